"""Draws the pictures of docs/figures that no experiment draws: `python -m website.figures`."""

import pathlib
from typing import NamedTuple

from matplotlib.figure import Figure

from benchmarks._rows import geometric_mean, group_name, ratios, read, shape_name
from website import diagrams
from website.pages import DOCS, ROOT

FOLDER = DOCS / "figures"
PEERS = {
    "torch": "PyTorch",
    "flax-linen": "Flax Linen",
    "flax-nnx": "Flax NNX",
    "haiku": "Haiku",
    "equinox": "Equinox",
    "keras": "Keras on JAX",
}


def main() -> None:
    """Draws all of them."""
    FOLDER.mkdir(exist_ok=True)
    draw_speed(FOLDER / "speed.png")
    diagrams.draw_directions(FOLDER / "bidirectional.png")
    diagrams.draw_lstm(FOLDER / "lstm.png")
    diagrams.draw_gru(FOLDER / "gru.png")
    diagrams.draw_fast_path(FOLDER / "fast_path.png")


class Speed(NamedTuple):
    """How much longer a library trains than this one: the mean over shapes, and the least."""

    mean: float
    least: float


def training_times() -> dict[str, dict[str, Speed]]:
    """Of each cell and library, from the recorded run, without lengths."""
    rows = read(ROOT / "benchmarks/results/cpu.jsonl")
    found = {}
    for cell in ("lstm", "gru"):
        points: dict[str, dict[str, dict]] = {}
        for row in rows:
            if group_name(row) == f"{cell} train":
                points.setdefault(shape_name(row), {})[row["candidate"]] = row
        of_peers = {name: ratios(points.values(), name) for name in PEERS}
        found[cell] = {
            name: Speed(geometric_mean(values) or 1.0, min(values))
            for name, values in of_peers.items()
            if values
        }
    return found


def draw_speed(path: pathlib.Path) -> None:
    """Bars: training time of every library over ours."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, (cell, speeds) in zip(figure.subplots(1, 2), training_times().items(), strict=True):
        names = ["birnn_jax", *(PEERS[name] for name in speeds)]
        means = [1.0, *(speed.mean for speed in speeds.values())]
        axes.barh(names, means, color=["#ff7f0e"] + ["#1f77b4"] * len(speeds), height=0.65)
        for place, mean in enumerate(means):
            axes.text(mean + 0.1, place, f"{mean:.1f}", va="center", fontsize=9)
        axes.invert_yaxis()
        axes.set(title=cell.upper(), xlim=(0, max(means) * 1.15))
        axes.set_xlabel("training time, birnn_jax = 1")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
