"""Keeps experiments/results.json, and the tables made from it.

They stand in the README of each experiment, and all together in docs/results/index.md.

python -m experiments.report add runs/a runs/b runs/c --metric accuracy --label "UPOS accuracy"
python -m experiments.report tables
"""

import math
import pathlib
from collections.abc import Callable
from typing import Annotated, Any, Literal

import tyro

from experiments.runner.run.command_line import run_command
from experiments.runner.run.folder import write_json, write_text
from experiments.runner.run.options import Options, Words
from experiments.runner.run.results import RESULTS, read_recorded, summarise_runs

HERE = pathlib.Path(__file__).parent
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
_KEY = ("experiment", "data", "label")
Column = Callable[[dict[str, Any]], str]


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
    """How numbers are written: in percent, or unchanged."""
    also: Words = ()
    """Names of other metrics whose means are recorded beside it, for tables of their own."""
    baseline: str = ""
    """Name of a metric in result.json that is the baseline."""
    baseline_label: str = ""
    """What the baseline is called in the tables."""
    reference: str = ""
    """The published number to compare with."""
    source: str = ""
    """Where that number was published."""
    detail: bool = False
    """Show the result on the page of its experiment only."""

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
    """Write docs/results/index.md and the table of each experiment from results.json."""

    def run(self) -> None:
        """Writes what lies between the two markers in each file."""
        results = read_results()
        for path, table in tables(results).items():
            write_text(path, replaced(path.read_text(encoding="utf-8"), table, path))


def read_results() -> list[dict[str, Any]]:
    """The results recorded so far."""
    return read_recorded(RESULTS)


def tables(results: list[dict[str, Any]]) -> dict[pathlib.Path, str]:
    """The table for each file: results that matter, and those of an experiment with their runs."""
    short = [result for result in results if not result.get("detail")]
    columns = {"experiment": _experiment, "data": _data} | _COLUMNS
    del columns["published"]  # too wide here
    files = {HERE.parent / "docs" / "results" / "index.md": _table(short, columns)}
    for name in sorted({result["experiment"] for result in results}):
        own = [result for result in results if result["experiment"] == name]
        runs = list(dict.fromkeys(map(_run, own)))
        own.sort(key=lambda result: runs.index(_run(result)))
        numbers = {"run": lambda result, runs=runs: str(1 + runs.index(_run(result)))}
        table = _table(own, {"data": _data} | _COLUMNS | (numbers if len(runs) > 1 else {}))
        files[HERE / name / "README.md"] = f"{table}\n{_runs(own)}"
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


def _table(results: list[dict[str, Any]], columns: dict[str, Column]) -> str:
    """A row for each result; a column in which every cell is empty is left out."""
    cells = {name: [column(result) for result in results] for name, column in columns.items()}
    cells = {name: values for name, values in cells.items() if any(values)}
    if not cells:
        return ""
    rows = [[*cells], ["---"] * len(cells), *map(list, zip(*cells.values(), strict=True))]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _run(result: dict[str, Any]) -> tuple[str, str, str]:
    """The command of a result, its seeds, and where it ran."""
    seeds = ", ".join(map(str, result["seeds"]))
    hardware = f"{result['hardware']}, JAX {result['jax']}, commit {result['commit'][:8]}"
    return result["command"], seeds, hardware


def _runs(results: list[dict[str, Any]]) -> str:
    """A line for each command: what it took, where it ran, and by which commit."""
    seconds: dict[tuple[str, str, str], list[float]] = {}
    for result in results:
        seconds.setdefault(_run(result), []).append(result["seconds"])
    return "".join(
        f"{number}. `{command}`: seeds {seeds}, {_span(times)} a run on {hardware}\n"
        for number, ((command, seeds, hardware), times) in enumerate(seconds.items(), start=1)
    )


def _span(seconds: list[float]) -> str:
    first, last = _time(min(seconds)), _time(max(seconds))
    return first if first == last else f"{first} to {last}"


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _experiment(result: dict[str, Any]) -> str:
    name = result["experiment"]
    return f"[{name}](../../experiments/{name}/README.md)"


def _data(result: dict[str, Any]) -> str:
    return result["data"]


def _label(result: dict[str, Any]) -> str:
    return result["label"]


def _result(result: dict[str, Any]) -> str:
    """Mean and spread, rounded together, with the unit once.

    To the first digit of the spread, and to the second if the first is a one.
    """
    mean, std = (_number(result[name], result) for name in ("mean", "std"))
    return f"{mean} ± {std}{_unit(result)}"


def _baseline(result: dict[str, Any]) -> str:
    if "baseline" not in result:
        return ""
    return f"{_number(result['baseline'], result)}{_unit(result)}, {result['baseline_label']}"


def _published(result: dict[str, Any]) -> str:
    return f"{result['reference']} ({result['source']})" if result["source"] else ""


def _number(value: float, result: dict[str, Any]) -> str:
    """A number of a result without its unit, at most to four decimals."""
    scale = 100 if _unit(result) else 1
    std = scale * result["std"]
    first = -math.floor(math.log10(std)) if std > 0 else 4  # decimals up to its first digit
    decimals = min(4, max(0, first + (std * 10**first < 1.95)))
    return f"{scale * value:,.{min(decimals, 2) if _unit(result) else decimals}f}"


def _unit(result: dict[str, Any]) -> str:
    return " %" if result["unit"] == "percent" else ""


_COLUMNS: dict[str, Column] = {
    "measure": _label,
    "result": _result,
    "baseline": _baseline,
    "published": _published,
}


if __name__ == "__main__":
    run_command(
        "report",
        Annotated[Add, tyro.conf.subcommand("add")]
        | Annotated[Tables, tyro.conf.subcommand("tables")],
        "Records results of at least three seeds, and writes their tables.",
    )
