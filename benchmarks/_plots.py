"""Log-log plots of time, memory and compile time against sizes, and bars of ratios."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from benchmarks._rows import OURS, group_name, ratios, shape_name
from benchmarks.peers import CANDIDATES

AXES = {"B": "rows B", "T": "steps T", "D": "features D", "H": "hidden units H", "layers": "layers"}
QUANTITIES = {
    "median_s": ("milliseconds", 1e3),
    "peak_bytes": ("rise of memory, MB", 1e-6),
    "compile_s": ("seconds to compile", 1),
}
MAX_BARS = 10  # groups of bars in one picture; a sweep has its curves
STYLE: Any = {"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True}


def draw(rows: list[dict], folder: Path) -> None:
    """Writes one PNG for each group of points: sweeps of one size, and ratios."""
    folder.mkdir(parents=True, exist_ok=True)
    groups: dict[str, list[dict]] = {}
    for row in rows:
        if "median_s" in row:
            groups.setdefault(group_name(row), []).append(row)
    with plt.rc_context(STYLE):
        for group, members in groups.items():
            stem = group.replace(" ", "_")
            if len({shape_name(row) for row in members}) <= MAX_BARS:
                _draw_ratios(group, members, folder / f"ratios_{stem}.png")
            for axis in AXES:
                sweep = _sweep(members, axis)
                if len({_size(row, axis) for row in sweep}) > 2:
                    _draw_sweep(group, axis, sweep, folder / f"sweep_{axis}_{stem}.png")


def _size(row: dict, axis: str) -> int:
    return row["layers"] if axis == "layers" else row["shape"]["BTDH".index(axis)]


def _sweep(rows: list[dict], axis: str) -> list[dict]:
    """The most numerous rows that differ in this size alone."""
    families: dict[tuple, list[dict]] = {}
    for row in rows:
        others = tuple(_size(row, other) for other in AXES if other != axis)
        families.setdefault(others, []).append(row)
    return max(families.values(), key=lambda family: len({_size(row, axis) for row in family}))


def _draw_sweep(group: str, axis: str, rows: list[dict], path: Path) -> None:
    figure, panels = plt.subplots(1, len(QUANTITIES), figsize=(13, 3.8), layout="constrained")
    candidates = list(dict.fromkeys(row["candidate"] for row in rows))
    for panel, (key, (label, unit)) in zip(panels, QUANTITIES.items(), strict=True):
        for candidate in candidates:
            mine = [row for row in rows if row["candidate"] == candidate and row.get(key)]
            mine.sort(key=lambda row: _size(row, axis))
            sizes, values = [_size(row, axis) for row in mine], [unit * row[key] for row in mine]
            panel.loglog(sizes, values, "o-", color=_color(candidate), label=candidate)
        panel.set_ylim(whole_decades(unit * row[key] for row in rows if row.get(key)))
        _mark(panel, axis, rows)
        panel.set(xlabel=AXES[axis], ylabel=label)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right upper", frameon=False)
    fixed = [f"{other} {_size(rows[0], other)}" for other in AXES if other != axis]
    figure.suptitle(f"{group}, {', '.join(fixed)}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _mark(panel: Axes, axis: str, rows: list[dict]) -> None:
    """Plain numbers: the sizes that were measured, and 1, 2, 5, 10, 20 and so on."""
    sizes = sorted({_size(row, axis) for row in rows})
    panel.set_xticks(sizes, list(map(str, sizes)))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter("{x:g}")
    panel.grid(alpha=0.3)


def whole_decades(values: Iterable[float]) -> tuple[float, float] | None:
    """Limits of a logarithmic axis: the powers of ten around the values, however close they are."""
    logs = [math.log10(value) for value in values]
    return (10.0 ** math.floor(min(logs)), 10.0 ** (math.floor(max(logs)) + 1)) if logs else None


def _color(candidate: str) -> Any:
    """The same in every picture: muted for our own variants, bright for the others."""
    is_ours = [name.startswith(OURS) for name in CANDIDATES]
    ours = candidate.startswith(OURS)
    number = is_ours[: list(CANDIDATES).index(candidate)].count(ours)
    return plt.get_cmap("tab20b" if ours else "tab10")(number)


def _draw_ratios(group: str, rows: list[dict], path: Path) -> None:
    points: dict[str, dict[str, dict]] = {}
    for row in rows:
        points.setdefault(shape_name(row), {})[row["candidate"]] = row
    candidates = [c for c in dict.fromkeys(row["candidate"] for row in rows) if c != OURS]
    figure, panel = plt.subplots(figsize=(4 + 1.4 * len(points), 3.8), layout="constrained")
    width = 0.8 / max(1, len(candidates))
    for number, candidate in enumerate(candidates):
        heights = [sum(ratios([point], candidate)) for point in points.values()]
        left = (number + 0.5 - len(candidates) / 2) * width
        at = [index + left for index in range(len(points))]
        gains = [height - 1 for height in heights]
        panel.bar(at, gains, width, bottom=1, color=_color(candidate), label=candidate)
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter("{x:g}")
    panel.axhline(1, color="black", linewidth=1)
    panel.grid(axis="y", alpha=0.3)
    panel.set_xticks(range(len(points)), list(points))
    panel.set(xlabel="B,T,D,H", ylabel=f"time over that of {OURS}", title=group)
    figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
