"""The table of the suite `cells`: ours over the plain cell, and theirs over ours."""

from collections.abc import Sequence

from benchmarks import _cells
from benchmarks._rows import OURS, conditions

BASE = "birnn-base"


def table(rows: Sequence[dict]) -> str:
    """Markdown, one line a row of the suite that was measured."""
    points: dict[tuple[str, str], dict[str, dict]] = {}
    for row in rows:
        points.setdefault((row["cell"], row["option"]), {})[row["candidate"]] = row
    lines = [
        *conditions(rows).splitlines(),
        "",
        "| cell | ms | over the plain cell (aim) | compile, s | theirs over ours |",
        "| --- | --- | --- | --- | --- |",
    ]
    known = [row for row in _cells.ROWS if (row.cell, row.option) in points]
    return "\n".join([*lines, *(_line(row, points[row.cell, row.option]) for row in known)])


def _line(row: _cells.Row, point: dict[str, dict]) -> str:
    ours = point[OURS]
    name = f"{row.cell}, {row.option}" if row.option else row.cell
    theirs = [
        f"{peer} {_ratio(other, ours)}"
        for peer, other in point.items()
        if peer not in (OURS, BASE) and "median_s" in other
    ]
    cells = [name, f"{1e3 * ours['median_s']:.3g}", _over_base(row, ours, point.get(BASE))]
    cells += [f"{ours['compile_s']:.2f}", ", ".join(theirs)]
    return f"| {' | '.join(cells)} |"


def _over_base(row: _cells.Row, ours: dict, base: dict | None) -> str:
    """The aim of a projection is for the plain cell of as many products."""
    if base is None:
        return ""
    if row.aim is None:
        return _ratio(ours, base)
    share = ours["flops"] / base["flops"] if row.cell == "projected_lstm" else 1
    return f"{_ratio(ours, base)} ({row.aim * share:.2f})"


def _ratio(row: dict, other: dict) -> str:
    return f"{row['median_s'] / other['median_s']:.2f}"
