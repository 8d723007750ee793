"""The model card: README.md with the head that the Hugging Face Hub reads."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments.runner.data.files import read_json
from experiments.runner.export.bundled import Data, data_of
from experiments.runner.export.exported import Card
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.results import command_of, has_result, read_result, results_of


class Cost(NamedTuple):
    """What the 8-bit model loses: each measure of the 32-bit model, and of it."""

    missing: str | None
    measures: Mapping[str, tuple[float, float]] = {}

    def text(self) -> str:
        """In words, and a table."""
        if self.missing:
            return f"The effect of 8 bits was not measured. {self.missing}"
        rows = [
            f"| {name} | {whole:.4f} | {small:.4f} |"
            for name, (whole, small) in self.measures.items()
        ]
        head = ["| graph, test data of the run | 32 bits | 8 bits |", "| --- | --- | --- |"]
        return "\n".join([*head, *rows])


def card_of(folder: RunFolder, card: Card, models: Sequence[str], cost: Cost | None) -> str:
    """The text of the card.

    Args:
      folder: of the run.
      card: what the experiment says.
      models: names of the ONNX files.
      cost: of 8 bits, if there is such a model.
    """
    data = data_of(folder)
    environment = read_json(folder.path / "environment.json", "the environment of a run")
    name = folder.config["experiment"]
    command = command_of(name, environment["command"])
    metrics = _metrics(folder, card)
    sections = {
        "Use": f"{card.use}\n\n{_example(name, models)}",
        "Data and licence": _data(folder, data),
        "Results": _results(metrics, folder, name, command, cost),
        "Limits": card.limits,
        "How it was made": _origin(folder, command, environment),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"{_head(card, data, metrics)}\n# {card.title}\n\n{card.summary}\n\n{body}\n"


def _metrics(folder: RunFolder, card: Card) -> dict[str, float]:
    if not has_result(folder):
        return {}
    found = read_result(folder)["metrics"]
    return {name: found[name] for name in card.metrics if name in found}


def _head(card: Card, data: Data | None, metrics: Mapping[str, float]) -> str:
    """YAML, every value of which is also JSON."""
    lines: dict[str, Any] = {"library_name": "birnn_jax", "pipeline_tag": card.task}
    lines["license"] = data.licence if data else "other"
    if card.language:
        lines["language"] = card.language
    lines["tags"] = ["onnx", "jax", "rnn"]
    if metrics:
        main = next(iter(metrics))  # others are baselines, or parts of it
        results = {
            "task": {"type": card.task},
            "dataset": {"name": data.name, "type": data.identifier}
            if data
            else {"name": "own data", "type": "own"},
            "metrics": [{"type": main, "value": round(metrics[main], 4)}],
        }
        lines["model-index"] = [{"name": card.title, "results": [results]}]
    text = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in lines.items()]
    return "\n".join(["---", *text, "---", ""])


def _example(name: str, models: Sequence[str]) -> str:
    """How to load it."""
    shown = ", ".join(f"`{model}`" for model in models)
    return (
        f"{shown}: for ONNX Runtime; `config.json` lists inputs and outputs, "
        "`vocabulary.json` how inputs become numbers. With birnn_jax and its experiments:\n\n"
        "```python\nfrom experiments import from_pretrained\n\n"
        'model = from_pretrained("path/to/this/folder")\n```\n\n'
        "The `.stablehlo` files run in JAX alone, by `jax.export`, on CPUs, NVIDIA GPUs and TPUs; "
        "`model.safetensors` holds the parameters."
    )


def _data(folder: RunFolder, data: Data | None) -> str:
    if data is not None:
        licence = f"licence {data.licence}. The model has the same licence."
        return f"{data.name} ({data.source}), {licence}"
    named = [
        f"{file['path'].rpartition('/')[2]} (SHA-256 {file['sha256'][:12]})"
        for file in folder.config["data"].values()
    ]
    files = ", ".join(dict.fromkeys(named))
    return (
        f"Trained on {files}. Write here where the data is from and under which licence; then set "
        "`license` above."
    )


def _results(
    metrics: Mapping[str, float],
    folder: RunFolder,
    name: str,
    command: str,
    cost: Cost | None,
) -> str:
    rows = ["| measure | value | seeds |", "| --- | --- | --- |"]
    seed = folder.settings["seed"]
    rows += [f"| {metric} | {value:.4f} | {seed} |" for metric, value in metrics.items()]
    for result in results_of(name, command):
        seeds = ", ".join(map(str, result["seeds"]))
        value = f"{result['mean']:.4f} ± {result['std']:.4f}"
        rows.append(f"| {result['label']}, recorded runs | {value} | {seeds} |")
    text = "\n".join(rows) if len(rows) > 2 else "The run has not been tested yet."
    return text if cost is None else f"{text}\n\n{cost.text()}"


def _origin(folder: RunFolder, command: str, environment: Mapping[str, Any]) -> str:
    commit = environment.get("commit") or "no commit"
    changed = ", with uncommitted changes" if environment.get("uncommitted_changes") else ""
    packages = ", ".join(f"{key} {value}" for key, value in environment["packages"].items())
    return (
        f"`{command} --seed {folder.settings['seed']}`, commit {commit}{changed}, with {packages} "
        f"on {environment['processor']}."
    )
