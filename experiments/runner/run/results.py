"""The numbers of runs: of one at its end, and of several as a result with its spread."""

import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.runner.data.files import read_json
from experiments.runner.run.folder import RunFolder, write_json
from experiments.runner.run.journal import read_journal

RESULTS = pathlib.Path(__file__).parents[2] / "results.json"
MINIMUM_RUNS = 3  # a single seed is never a result
_NOT_OF_THE_RESULT = ("--run", "--seed")


def write_result(folder: RunFolder, metrics: Mapping[str, float]) -> None:
    """Writes result.json: the metrics on test, and what it took to get there."""
    clock = read_journal(folder.path / "clock.jsonl")
    result = {
        "metrics": dict(metrics),
        "seed": folder.settings["seed"],
        "steps": clock[-1]["step"],
        "seconds": round(sum(record["seconds"] for record in clock), 1),
    }
    write_json(folder.path / "result.json", result)


def has_result(folder: RunFolder) -> bool:
    """Whether the run has come to its end."""
    return (folder.path / "result.json").exists()


def read_result(folder: RunFolder) -> dict[str, Any]:
    """Reads what `write_result` wrote.

    Raises:
      ValueError: if the run has not come to its end.
    """
    path, what = folder.path / "result.json", "the result of a run"
    try:
        result = read_json(path, what)
    except FileNotFoundError:
        raise ValueError(f"{folder.path} has no result yet: let its training end first.") from None
    if not isinstance(result.get("metrics"), dict):
        raise ValueError(f"{path} is not {what}.")
    return result


def summarise_runs(paths: Sequence[pathlib.Path], metric: str) -> dict[str, Any]:
    """Mean and spread of a metric over runs that differ in their seed only.

    Raises:
      ValueError: if there are too few runs, if they are not repetitions of one another, or if
        their code was not that of a commit.
    """
    folders = [RunFolder.open(path) for path in paths]
    results = [read_result(folder) for folder in folders]
    environments = [
        read_json(path / "environment.json", "the environment of a run") for path in paths
    ]
    _require_repetitions(folders, results, environments)
    values = [_metric(result, metric) for result in results]
    first = environments[0]
    return {
        "experiment": folders[0].config["experiment"],
        "mean": statistics.mean(values),
        "std": statistics.stdev(values),
        "values": values,
        "seeds": [result["seed"] for result in results],
        "command": command_of(folders[0].config["experiment"], first["command"]),
        "commit": first["commit"],
        "seconds": round(statistics.mean(result["seconds"] for result in results)),
        "hardware": f"{first['cores']} core(s) of {first['processor']}, "
        f"{', '.join(first['devices'])}",
        "jax": first["packages"]["jax"],
    }


def read_recorded(path: pathlib.Path = RESULTS) -> list[dict[str, Any]]:
    """The results recorded so far."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def results_of(experiment: str, command: str) -> list[dict[str, Any]]:
    """The recorded results of a command, whatever its seeds are."""
    wanted = experiment, command
    return [row for row in read_recorded() if (row["experiment"], row["command"]) == wanted]


def _require_repetitions(
    folders: Sequence[RunFolder],
    results: Sequence[Mapping[str, Any]],
    environments: Sequence[Mapping[str, Any]],
) -> None:
    if len(folders) < MINIMUM_RUNS:
        raise ValueError(f"A result needs {MINIMUM_RUNS} runs or more, got {len(folders)}.")
    if len({result["seed"] for result in results}) < len(folders):
        raise ValueError("Two of the runs have the same seed.")
    for folder, environment in zip(folders, environments, strict=True):
        if _without_seed(folder) != _without_seed(folders[0]):
            raise ValueError(f"{folder.path} has other settings or data than {folders[0].path}.")
        if environment["commit"] is None or environment["uncommitted_changes"]:
            raise ValueError(f"{folder.path} was not trained by the code of a commit; train again.")
        if environment["commit"] != environments[0]["commit"]:
            raise ValueError(f"{folder.path} is of another commit than {folders[0].path}.")


def _without_seed(folder: RunFolder) -> dict[str, Any]:
    return folder.identity | {"experiment": folder.config["experiment"], "seed": None}


def _metric(result: Mapping[str, Any], name: str) -> float:
    if name not in result["metrics"]:
        raise ValueError(f"There is no metric {name}; there are {', '.join(result['metrics'])}.")
    return result["metrics"][name]


def command_of(experiment: str, words: Sequence[str]) -> str:
    """The command line, without seed and run folder, and with files by their names only."""
    kept = []
    skipped = False
    for word in words[1:]:
        if not skipped and word not in _NOT_OF_THE_RESULT:
            kept.append(pathlib.Path(word).name if "/" in word else word)
        skipped = word in _NOT_OF_THE_RESULT
    return " ".join(["python", "-m", f"experiments.{experiment}", *kept])
