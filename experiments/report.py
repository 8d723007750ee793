"""Keeps experiments/results.json, and the tables made from it in the README files.

python -m experiments.report add runs/a runs/b runs/c --metric accuracy --label "UPOS accuracy"
python -m experiments.report tables
"""

import json
import pathlib
from typing import Annotated, Any, Literal

import tyro

from experiments.runner.run.command_line import run_command
from experiments.runner.run.folder import write_json, write_text
from experiments.runner.run.options import Options
from experiments.runner.run.results import summarise_runs

HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "results.json"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
_KEY = ("experiment", "data", "label")


class Add(Options):
    """Record the mean and spread of a metric over runs that differ in their seed only.

    It takes at least three runs, of one commit without uncommitted changes. A result of the same
    experiment, data and label is replaced, and the tables are made again.
    """

    runs: tyro.conf.Positional[tuple[pathlib.Path, ...]]
    """Run folders."""
    metric: str
    """Name of the metric in the result.json of each run."""
    label: str
    """What the metric is called in the tables."""
    data: str
    """What the data is called in the tables."""
    unit: Literal["percent", "plain", "perplexity"] = "percent"
    """How numbers are written."""
    also: tuple[str, ...] = ()
    """Names of other metrics whose means are recorded beside it, for tables of their own."""
    baseline: str = ""
    """Name of a metric in result.json that is the baseline."""
    baseline_label: str = ""
    """What the baseline is called in the tables."""
    reference: str = ""
    """The published number to compare with, and whose it is."""
    source: str = ""
    """Where that number was published."""
    detail: bool = False
    """Whether it stands in the table of the experiment's README.md only."""

    def run(self) -> None:
        """Records and makes the tables."""
        result = summarise_runs(self.runs, self.metric) | {
            name: getattr(self, name)
            for name in ("data", "label", "unit", "reference", "source", "detail")
        }
        if self.also:
            means = {name: summarise_runs(self.runs, name)["mean"] for name in self.also}
            result |= {"also": means}
        if self.baseline:
            value = summarise_runs(self.runs, self.baseline)["mean"]
            result |= {"baseline": value, "baseline_label": self.baseline_label or self.baseline}
        others = [r for r in read_results() if any(r[name] != result[name] for name in _KEY)]
        ordered = sorted([*others, result], key=lambda r: [r[name] for name in _KEY])
        write_json(RESULTS, ordered)
        Tables().run()


class Tables(Options):
    """Write the tables of README.md and of the experiments from experiments/results.json."""

    def run(self) -> None:
        """Writes what lies between the two markers in each file."""
        results = read_results()
        for path, table in tables(results).items():
            write_text(path, replaced(path.read_text(encoding="utf-8"), table, path))


def read_results() -> list[dict[str, Any]]:
    """The results recorded so far."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []


def tables(results: list[dict[str, Any]]) -> dict[pathlib.Path, str]:
    """The table for each file: what came out, and, beside each experiment, how to repeat it."""
    short = _table(
        ("experiment", "data", "measure", "result", "baseline", "published"),
        [
            (f"`{r['experiment']}`", r["data"], r["label"], _result(r), _baseline(r), _reference(r))
            for r in results
            if not r.get("detail")
        ],
    )
    names = sorted({result["experiment"] for result in results})
    repeated = {name: [r for r in results if r["experiment"] == name] for name in names}
    return {HERE.parent / "README.md": short} | {
        HERE / name / "README.md": _table(
            ("data", "measure", "result", "seeds", "time a run", "hardware", "commit", "command"),
            [_row(result) for result in of_name],
        )
        for name, of_name in repeated.items()
    }


def _row(result: dict[str, Any]) -> tuple[str, ...]:
    return (
        result["data"],
        result["label"],
        _result(result),
        ", ".join(map(str, result["seeds"])),
        _time(result["seconds"]),
        f"{result['hardware']}, JAX {result['jax']}",
        result["commit"][:8],
        f"`{result['command']}`",
    )


def replaced(text: str, table: str, path: pathlib.Path) -> str:
    """`text` with `table` between its markers.

    Raises:
      ValueError: if a marker is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} lacks the markers {BEGIN} and {END} around its table.")
    return f"{before}{BEGIN}\n{table}{END}{after}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows] if rows else []
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _result(result: dict[str, Any]) -> str:
    mean, std = (_number(result[name], result) for name in ("mean", "std"))
    return f"{mean} ± {std} ({len(result['values'])} seeds)"


def _baseline(result: dict[str, Any]) -> str:
    if "baseline" not in result:
        return ""
    return f"{_number(result['baseline'], result)}, {result['baseline_label']}"


def _reference(result: dict[str, Any]) -> str:
    return f"{result['reference']} ({result['source']})" if result["source"] else ""


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _number(value: float, result: dict[str, Any]) -> str:
    if result["unit"] == "perplexity":
        return f"{value:#,.4g}" if value >= 10 else f"{value:.4f}"
    return f"{100 * value:.2f} %" if result["unit"] == "percent" else f"{value:.3g}"


if __name__ == "__main__":
    run_command(
        "report",
        Annotated[Add, tyro.conf.subcommand("add")]
        | Annotated[Tables, tyro.conf.subcommand("tables")],
        "Records results of at least three seeds, and writes their tables.",
    )
