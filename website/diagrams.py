"""Drawings of cells and of runs: boxes and arrows."""

import pathlib

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

BLUE, ORANGE, GREY, PALE = "#1f77b4", "#d95f02", "#555555", "#e8f0f8"
TIMES = "\N{MULTIPLICATION SIGN}"
Point = tuple[float, float]


def draw_directions(path: pathlib.Path) -> None:
    """Both directions over a row of four valid steps and two of padding."""
    axes = _canvas(14.5, 6.2, scale=0.58)
    for step in range(6):
        x = 2.4 + 2 * step
        if step > 3:
            _box(axes, (x, 0.6), "padding", color="#999999", face="white")
            _box(axes, (x, 5.6), "y = 0", color="#999999", face="white")
            continue
        _box(axes, (x, 0.6), f"x[{step + 1}]", face="white")
        _box(axes, (x, 2.3), f"fwd[{step + 1}]")
        _box(axes, (x, 3.9), f"bwd[{step + 1}]")
        _box(axes, (x, 5.6), f"y[{step + 1}]", face="white")
        for end in (1.9, 3.5):
            _line(axes, [(x - 0.85, 0.6), (x - 0.85, end + 0.4), (x - 0.67, end + 0.4)], GREY)
        for start in (2.3, 3.9):
            _line(axes, [(x + 0.65, start + 0.2), (x + 0.85, start + 0.2), (x + 0.85, 5.6)], GREY)
        _line(axes, [(x - 0.65, 0.6), (x - 0.85, 0.6)], GREY, head=False)
        _line(axes, [(x + 0.85, 5.6), (x + 0.66, 5.6)], GREY)
        _line(axes, [(x - 1.35, 2.2), (x - 0.66, 2.2)], BLUE)
        _line(axes, [(x + 0.66, 2.2), (x + 0.95, 2.2)], BLUE, head=False)
        _line(axes, [(x + 1.35, 3.9), (x + 0.66, 3.9)], ORANGE)
        _line(axes, [(x - 0.66, 3.9), (x - 0.95, 3.9)], ORANGE, head=False)
    for place, text, color in [
        ((9.6, 2.2), "final state of the forward direction", BLUE),
        ((9.9, 3.9), "initial carry of the backward direction", ORANGE),
        ((0.0, 2.2), "initial\ncarry", BLUE),
        ((0.0, 3.9), "final\nstate", ORANGE),
    ]:
        axes.text(*place, text, color=color, va="center", fontsize=9)
    _save(axes, path)


def draw_lstm(path: pathlib.Path) -> None:
    """The LSTM as a graph of one step."""
    axes = _canvas(12.5, 6.4, scale=0.58)
    _box(axes, (0.9, 5.5), "c[t-1]", face="white")
    _box(axes, (0.9, 1.9), "h[t-1]", face="white")
    _box(axes, (0.9, 0.6), "x[t]", face="white")
    _box(axes, (3.6, 1.25), "x w_x + h w_h + b", width=2.6)
    gates = {"f": 3.4, "i": 5.2, "g": 6.8, "o": 9.0}
    for name, x in gates.items():
        _box(axes, (x, 3.3), name, width=0.8)
        _line(axes, [(4.9, 1.25), (x, 1.25), (x, 2.9)] if x > 4.9 else [(x, 1.65), (x, 2.9)], GREY)
    for y in (1.9, 0.6):
        _line(axes, [(1.56, y), (1.95, y), (1.95, 1.25), (2.28, 1.25)], GREY)
    for place, text in [
        ((3.4, 5.5), TIMES),
        ((6.0, 4.4), TIMES),
        ((6.0, 5.5), "+"),
        ((10.2, 4.4), TIMES),
    ]:
        _box(axes, place, text, face="white", width=0.6)
    _box(axes, (9.0, 4.4), "tanh", face="white", width=0.9)
    _box(axes, (11.7, 5.5), "c[t]", face="white")
    _box(axes, (11.7, 4.4), "h[t]", face="white")
    _line(axes, [(1.56, 5.5), (3.08, 5.5)], BLUE)
    _line(axes, [(3.7, 5.5), (5.68, 5.5)], BLUE)
    _line(axes, [(6.3, 5.5), (11.03, 5.5)], BLUE)
    _line(axes, [(3.4, 3.7), (3.4, 5.1)], GREY)
    _line(axes, [(5.2, 3.7), (5.2, 4.4), (5.68, 4.4)], GREY)
    _line(axes, [(6.8, 3.7), (6.8, 4.4), (6.32, 4.4)], GREY)
    _line(axes, [(6.0, 4.8), (6.0, 5.1)], GREY)
    _line(axes, [(8.0, 5.5), (8.0, 4.4), (8.53, 4.4)], GREY)
    _line(axes, [(9.46, 4.4), (9.88, 4.4)], GREY)
    _line(axes, [(9.4, 3.3), (10.2, 3.3), (10.2, 4.0)], GREY)
    _line(axes, [(10.5, 4.4), (11.03, 4.4)], ORANGE)
    _save(axes, path)


def draw_gru(path: pathlib.Path) -> None:
    """The GRU, reset after the product, as a graph of one step."""
    axes = _canvas(12.5, 6.2, scale=0.58)
    _box(axes, (0.9, 5.3), "h[t-1]", face="white")
    _box(axes, (0.9, 0.9), "x[t]", face="white")
    _box(axes, (3.0, 3.1), "h w_h", width=1.4)
    _box(axes, (3.0, 0.9), "x w_x + b", width=1.7)
    _box(axes, (5.6, 2.0), "r", width=0.8)
    _box(axes, (5.6, 0.9), "z", width=0.8)
    _box(axes, (7.2, 3.1), TIMES, face="white", width=0.6)
    _box(axes, (8.8, 3.1), "n", width=0.8)
    _box(axes, (8.8, 5.3), "(1 - z) n + z h", face="white", width=2.4)
    _box(axes, (11.7, 5.3), "h[t]", face="white")
    _line(axes, [(1.56, 5.3), (7.57, 5.3)], BLUE)
    _line(axes, [(1.7, 5.3), (1.7, 3.1), (2.28, 3.1)], GREY)
    _line(axes, [(1.56, 0.9), (2.13, 0.9)], GREY)
    _line(axes, [(3.7, 3.1), (6.88, 3.1)], GREY)
    _line(axes, [(3.86, 0.9), (5.18, 0.9)], GREY)
    _line(axes, [(4.5, 3.1), (4.5, 0.9)], GREY, head=False)
    _line(axes, [(4.5, 2.0), (5.18, 2.0)], GREY)
    _line(axes, [(6.0, 2.0), (7.2, 2.0), (7.2, 2.7)], GREY)
    _line(axes, [(7.5, 3.1), (8.38, 3.1)], GREY)
    _line(axes, [(3.0, 0.5), (3.0, 0.15), (8.8, 0.15), (8.8, 2.7)], GREY)
    _line(axes, [(8.8, 3.5), (8.8, 4.9)], GREY)
    _line(axes, [(6.0, 0.9), (9.6, 0.9), (9.6, 4.9)], GREY)
    _line(axes, [(10.0, 5.3), (11.03, 5.3)], ORANGE)
    axes.text(7.35, 2.35, "b_hn inside", fontsize=7, color=GREY)
    _save(axes, path)


def draw_fast_path(path: pathlib.Path) -> None:
    """What runs inside the loop over time, and what runs once."""
    axes = _canvas(13, 5.4, scale=0.62)
    for y, color, loop, after in [
        (4.1, BLUE, "one step: [x, h] w, gates, carry", "outputs, residuals"),
        (
            1.2,
            ORANGE,
            "one step: gradients of\ngates and carry",
            "one product for all\nweight gradients",
        ),
    ]:
        name = "forward pass" if color == BLUE else "backward pass"
        axes.text(6.4, y + 0.85, name, fontsize=10, color=color, weight="bold")
        _box(axes, (3.4, y), loop, width=5.0, height=1.1)
        _box(axes, (10.4, y), after, face="white", width=4.0, height=1.1)
        _line(axes, [(5.9, y), (8.37, y)], color)
        axes.text(6.0, y + 0.15, "after the last step", fontsize=8, color=color)
        _line(axes, [(5.0, y + 0.55), (5.0, y + 0.95), (2.6, y + 0.95), (2.6, y + 0.58)], color)
        order = "for t = 1 .. n" if color == BLUE else "for t = n .. 1"
        axes.text(3.1, y + 1.02, order, fontsize=8, color=color)
    _line(axes, [(10.4, 3.55), (10.4, 2.6), (1.5, 2.6), (1.5, 1.77)], GREY)
    _save(axes, path)


def _canvas(width: float, height: float, *, scale: float) -> Axes:
    axes = Figure(figsize=(width * scale, height * scale), layout="constrained").subplots()
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return axes


def _box(
    axes: Axes,
    place: Point,
    text: str,
    *,
    color: str = "black",
    face: str = PALE,
    width: float = 1.3,
    height: float = 0.75,
) -> None:
    corner = (place[0] - width / 2, place[1] - height / 2)
    style = "round,pad=0.02,rounding_size=0.12"
    box = FancyBboxPatch(corner, width, height, boxstyle=style, facecolor=face, edgecolor=color)
    axes.add_patch(box)
    axes.text(*place, text, ha="center", va="center", fontsize=9, color=color)


def _line(axes: Axes, points: list[Point], color: str, *, head: bool = True) -> None:
    """A line through `points`, with an arrow head at its end."""
    xs, ys = zip(*points, strict=True)
    axes.plot(xs, ys, color=color, linewidth=1, solid_joinstyle="round")
    if head:
        arrow = {"arrowstyle": "-|>", "color": color, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", points[-1], points[-2], arrowprops=arrow)


def _save(axes: Axes, path: pathlib.Path) -> None:
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.savefig(path, dpi=130)
