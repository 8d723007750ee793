"""Tables and pictures of what a prediction depends on."""

import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from birnn_jax import Bi
from experiments.bilm_leakage.model import score_both, score_fresh
from experiments.bilm_leakage.training import TrainedSides
from experiments.characters.report import COLORS, finish_axes
from experiments.runner.pictures.figures import new_figure, save_picture
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.results import read_result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LogNorm


def plot_sides(
    path: pathlib.Path,
    jacobians: Mapping[str, np.ndarray],
    perplexities: Mapping[str, Sequence[float]],
) -> None:
    """Draws on which characters each prediction depends, and the perplexities as bars.

    Entries of a Jacobian that are exactly zero stay white. A frame stands around the entries of
    the character that is predicted.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    figure = new_figure(13, 7.6)
    figure.suptitle(
        "What a prediction depends on (white: exactly not); framed is the character predicted"
    )
    grid = figure.add_gridspec(2, len(jacobians), height_ratios=(1.25, 1))
    highest = max(jacobian.max() for jacobian in jacobians.values())
    lowest = highest * 1e-6
    norm = LogNorm(vmin=lowest, vmax=highest)
    for column, (title, jacobian) in enumerate(jacobians.items()):
        axes = figure.add_subplot(grid[0, column])
        _plot_jacobian(axes, title, np.where(jacobian > 0, np.maximum(jacobian, lowest), 0), norm)
    figure.colorbar(
        ScalarMappable(norm, "Blues"), ax=figure.axes, shrink=0.8, label="norm of the gradient"
    )
    _plot_bars(figure.add_subplot(grid[1, :]), perplexities)
    save_picture(figure, path, dpi=130)


def _plot_jacobian(axes: "Axes", title: str, jacobian: np.ndarray, norm: "LogNorm") -> None:
    from matplotlib.patches import Rectangle

    size = len(jacobian)
    axes.imshow(np.ma.masked_equal(jacobian, 0), cmap="Blues", norm=norm)
    backward = "backward" in title
    # What the backward direction reads begins at x(2), so that its target stands before the place.
    offset = -1 if backward else 1
    for row in range(size):
        if 0 <= row + offset < size:
            frame = Rectangle((row + offset - 0.5, row - 0.5), 1, 1, fill=False, color="#d94801")
            axes.add_patch(frame)
    axes.set(title=title, xlabel="character read", ylabel="prediction at")
    axes.spines[:].set_visible(False)


def _plot_bars(axes: "Axes", perplexities: Mapping[str, Sequence[float]]) -> None:
    names = list(perplexities)[::-1]
    means = [float(np.mean(perplexities[name])) for name in names]
    colors = [COLORS[2] if "leaky" in name else COLORS[0] for name in names]
    axes.barh(names, means, color=colors, height=0.6)
    for place, (name, mean) in enumerate(zip(names, means, strict=True)):
        values = perplexities[name]
        axes.plot(values, [place] * len(values), "|", color="black", ms=9)
        axes.annotate(
            f"{mean:,.4g}",
            (max(values), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_xscale("log")
    axes.set(
        xlim=(0.9, max(means) * 3),
        xlabel="perplexity",
        ylabel="model",
        title="Perplexity per character, on text that training has not read",
    )
    finish_axes(axes)


def sensitivity(trained: TrainedSides, tokens: np.ndarray) -> Bi[np.ndarray]:
    """How the log-probability of each target depends on each character that is read, exactly.

    Entry [t, s] is the norm of the gradient with respect to the one-hot vector of character s, of
    the log-probability of the character that is predicted at t. Both arrays, `[T, T]`, are the
    same but for `elmo`, which has one for each direction.

    Args:
      trained: of a task without gaps.
      tokens: `[T + 1]`.
    """
    models, params = trained.config.models, trained.params
    num_read = len(trained.vocabulary.characters)
    inputs, labels = (jax.nn.one_hot(side[None], num_read) for side in (tokens[:-1], tokens[1:]))

    def of_fwd(read: jax.Array) -> jax.Array:
        if trained.config.task == "elmo":
            logits = score_both(models, params, {"inputs": read, "labels": labels}, None).fwd
        else:
            logits = score_fresh(models.fwd, params, read)
        return _log_probabilities(logits, tokens[1:])

    def of_bwd(read: jax.Array) -> jax.Array:
        logits = score_both(models, params, {"inputs": inputs, "labels": read}, None).bwd
        return _log_probabilities(logits, tokens[:-1])

    fwd = _norms(jax.jacrev(of_fwd)(inputs))
    return Bi(fwd, _norms(jax.jacrev(of_bwd)(labels)) if trained.config.task == "elmo" else fwd)


def _log_probabilities(logits: jax.Array, targets: np.ndarray) -> jax.Array:
    return jnp.take_along_axis(jax.nn.log_softmax(logits[0]), targets[:, None], axis=-1)[:, 0]


def _norms(jacobian: jax.Array) -> np.ndarray:
    """`[T, T]` from `[T, 1, T, V]`."""
    return np.asarray(jnp.linalg.norm(jacobian[:, 0], axis=-1))


def held_out_perplexities(runs: dict[str, list[RunFolder]]) -> dict[str, list[float]]:
    """The perplexities of the seeds, of each thing that is predicted from something."""
    sources = {
        "next, seeing it (leaky)": ("leaky", "perplexity"),
        "next, by the leaky model as it writes": ("leaky", "written_perplexity"),
        "next, from the left": ("elmo", "fwd_perplexity"),
        "previous, from the right": ("elmo", "bwd_perplexity"),
        "one missing, from both sides": ("masked", "perplexity"),
        "of a gap, from both sides": ("gap", "perplexity"),
        "of a gap, from the left": ("gap_left", "perplexity"),
        "of a gap, from the right": ("gap_right", "perplexity"),
    }
    return {
        name: [read_result(folder)["metrics"][metric] for folder in runs[task]]
        for name, (task, metric) in sources.items()
        if task in runs
    }


def print_perplexities(perplexities: dict[str, list[float]], console: Console) -> None:
    """Prints the mean over seeds."""
    table = Table(title="Perplexity of text not read before", title_justify="left")
    table.add_column("a character")
    table.add_column("perplexity", justify="right")
    for name, values in perplexities.items():
        table.add_row(name, f"{statistics.mean(values):,.4g}")
    console.print(table, highlight=False)
