"""Keeps experiments/results.json, and the tables made from it in the README files.

python -m experiments.report add runs/a runs/b runs/c --metric accuracy --label "UPOS accuracy"
python -m experiments.report tables
"""

import json
import math
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
    """How numbers are written: in percent, or as they are."""
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
    """Whether it stands on the page of its experiment only."""

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
    """Write the tables of README.md and of each experiment from experiments/results.json."""

    def run(self) -> None:
        """Writes what lies between the two markers in each file."""
        results = read_results()
        for path, table in tables(results).items():
            write_text(path, replaced(path.read_text(encoding="utf-8"), table, path))


def read_results() -> list[dict[str, Any]]:
    """The results recorded so far."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []


def tables(results: list[dict[str, Any]]) -> dict[pathlib.Path, str]:
    """The table for each file: results that matter, and those of an experiment with their runs."""
    short = [result for result in results if not result.get("detail")]
    files = {HERE.parent / "README.md": _table(short, ("experiment", "data"))}
    for name in sorted({result["experiment"] for result in results}):
        own = [result for result in results if result["experiment"] == name]
        files[HERE / name / "README.md"] = f"{_table(own, ('data',))}\n{_runs(own)}"
    return files


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


def _table(results: list[dict[str, Any]], first: tuple[str, ...]) -> str:
    """A row for each result; `first` are the columns that say what was measured."""
    head = (*first, "measure", "result", "baseline", "published")
    rows = [
        (
            *(f"`{r[name]}`" if name == "experiment" else r[name] for name in first),
            *(r["label"], _result(r), _baseline(r), _reference(r)),
        )
        for r in results
    ]
    lines = [head, ("---",) * len(head), *rows] if rows else []
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _runs(results: list[dict[str, Any]]) -> str:
    """A line for each command: what it took, where it ran, and by which commit."""
    seconds: dict[tuple[str, ...], list[float]] = {}
    for r in results:
        seeds = ", ".join(map(str, r["seeds"]))
        hardware = f"{r['hardware']}, JAX {r['jax']}, commit {r['commit'][:8]}"
        seconds.setdefault((r["command"], seeds, hardware), []).append(r["seconds"])
    return "".join(
        f"- `{command}`: seeds {seeds}, {_span(times)} a run on {hardware}\n"
        for (command, seeds, hardware), times in seconds.items()
    )


def _span(seconds: list[float]) -> str:
    first, last = _time(min(seconds)), _time(max(seconds))
    return first if first == last else f"{first} to {last}"


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _result(result: dict[str, Any]) -> str:
    mean, std = (_number(result[name], result) for name in ("mean", "std"))
    return f"{mean} ± {std} ({len(result['values'])} seeds)"


def _baseline(result: dict[str, Any]) -> str:
    if "baseline" not in result:
        return ""
    return f"{_number(result['baseline'], result)}, {result['baseline_label']}"


def _reference(result: dict[str, Any]) -> str:
    return f"{result['reference']} ({result['source']})" if result["source"] else ""


def _number(value: float, result: dict[str, Any]) -> str:
    """A number of a result, to two digits of its spread, and at most to four decimals."""
    scale, unit = (100, " %") if result["unit"] == "percent" else (1, "")
    std = scale * result["std"]
    decimals = min(4, max(0, 1 - math.floor(math.log10(std)))) if std > 0 else 4
    return f"{scale * value:,.{min(decimals, 2) if unit else decimals}f}{unit}"


if __name__ == "__main__":
    run_command(
        "report",
        Annotated[Add, tyro.conf.subcommand("add")]
        | Annotated[Tables, tyro.conf.subcommand("tables")],
        "Records results of at least three seeds, and writes their tables.",
    )
