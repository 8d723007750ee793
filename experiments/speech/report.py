"""Tables and pictures of what trained networks hear."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from birnn_jax.metrics import count_edits, label_error_rate
from experiments.runner.pictures.confusion import plot_confusion
from experiments.runner.pictures.curves import Panel, plot_curves
from experiments.runner.pictures.figures import new_figure, save_picture
from experiments.runner.pictures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    literal,
    tidy,
)
from experiments.runner.run.folder import RunFolder, write_text
from experiments.speech.config import SpeechModel
from experiments.speech.features import SHIFT_SECONDS, Features, extract, spectrum_of
from experiments.speech.model import Heard, TrainedListener, score
from experiments.speech.sounds import Recording
from experiments.speech.stream import CHUNK, LOOKAHEAD, LiveListener, stream_recordings
from experiments.speech.utterances import Utterance, make_draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = (VERMILION, BLUE, GREEN, ORANGE, PURPLE, SKY)
_SEEN = 0.2  # a label that never gets this probable is not drawn


class Hearing(NamedTuple):
    """One sound, and what networks make of it."""

    spectrogram: np.ndarray  # [T, 26], log power in mel bands every 10 ms
    ends: tuple[float, ...]  # seconds, of the recordings that were joined
    said: tuple[str, ...]
    probabilities: dict[str, np.ndarray]  # [S, 1 + K] for each network by name, the blank in front
    labels: tuple[str, ...]
    shift: float  # seconds of a frame


def plot_posteriors(path: pathlib.Path, hearing: Hearing) -> None:
    """Draws the probabilities of each network, and the spectrogram below them."""
    count = len(hearing.probabilities)
    figure = new_figure(9, 1.6 + 1.7 * (count + 1))
    rows = figure.subplots(count + 1, 1, sharex=True, height_ratios=[1] * count + [1.2])
    seconds = len(hearing.spectrogram) * hearing.shift
    for axes, (name, probabilities) in zip(rows, hearing.probabilities.items(), strict=False):
        _plot_labels(axes, probabilities, hearing, seconds)
        axes.set(title=name, ylabel="probability", ylim=(0, 1.18), yticks=[0, 0.5, 1])
        tidy(axes)
    rows[-1].imshow(
        hearing.spectrogram.T,
        origin="lower",
        aspect="auto",
        extent=(0, seconds, 0, hearing.spectrogram.shape[1]),
        cmap="magma",
    )
    rows[-1].set(xlabel="seconds", ylabel="mel band", xlim=(0, seconds))
    for end in hearing.ends[:-1]:
        for axes in rows:
            axes.axvline(end, color="white" if axes is rows[-1] else GREY, lw=1, ls=":")
    said = literal(" ".join(hearing.said))
    figure.suptitle(
        f"Said: {said}. Grey: the blank; dotted: where recordings were joined", x=0.01, ha="left"
    )
    save_picture(figure, path)


def _plot_labels(axes: "Axes", probabilities: np.ndarray, hearing: Hearing, seconds: float) -> None:
    """The blank in grey, and each label that is heard in a colour, named at its peaks."""
    step = seconds / len(probabilities)
    times = (np.arange(len(probabilities)) + 0.5) * step
    axes.fill_between(times, probabilities[:, 0], color=GREY, alpha=0.2, lw=0)
    heard = [k for k in range(1, probabilities.shape[1]) if probabilities[:, k].max() > _SEEN]
    for number, k in enumerate(heard):
        color, values = _COLORS[number % len(_COLORS)], probabilities[:, k]
        axes.plot(times, values, color=color, lw=1.8)
        for peak in _peaks(values):
            axes.annotate(
                literal(hearing.labels[k - 1]),
                (times[peak], values[peak]),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                color=color,
                weight="bold",
            )


def _peaks(values: Sequence[float] | np.ndarray) -> list[int]:
    """The highest step of each run of steps at which the label is seen."""
    peaks: list[int] = []
    inside: list[int] = []
    for step, value in enumerate([*values, 0.0]):
        if value > _SEEN:
            inside.append(step)
        elif inside:
            peaks.append(max(inside, key=lambda at: values[at]))
            inside = []
    return peaks


_SHOWN = 3  # mistakes that are printed


def finish(
    folder: RunFolder, listener: TrainedListener, test: Sequence[Recording], console: Console
) -> dict[str, float]:
    """Tests the network, prints how it does, and draws; returns the metrics."""
    heard = listener.listen(test)
    metrics = summarise(heard, listener, test)
    metrics |= streamed_metrics(listener, test)
    print_summary(heard, metrics, listener, console)
    wrong = [mistake(result) for result in heard if not result.is_right]
    write_text(folder.path / "mistakes.txt", "".join(f"{line}\n" for line in wrong))
    plot_curves(
        folder,
        Panel("Loss, nats a sound", "loss", scale="log"),
        Panel("Sounds with every label right", "accuracy", percent=True),
    )
    if listener.config.task == "label":
        said, found = ([result[i][0] for result in heard] for i in (0, 1))
        plot_confusion(folder.path / "confusion.png", said, found)
    else:
        listeners = {f"direction {listener.config.direction}": listener}
        plot_posteriors(folder.path / "posteriors.png", hearing(listeners, test))
    return metrics


def summarise(
    heard: Sequence[Heard], listener: TrainedListener, recordings: Sequence[Recording]
) -> dict[str, float]:
    """Shares, of 1."""
    metrics = {"accuracy": sum(result.is_right for result in heard) / len(heard)}
    if listener.config.task == "row":
        metrics["label_error_rate"] = error_rate_of(heard)
        greedy = listener.listen(recordings, greedy=True)
        metrics["greedy_label_error_rate"] = error_rate_of(greedy)
    return metrics


def streamed_metrics(listener: TrainedListener, test: Sequence[Recording]) -> dict[str, float]:
    """The label error rate where each sound is heard as a stream, of networks that can do that."""
    if listener.config.task != "row" or listener.config.direction == "bwd":
        return {}
    live = LiveListener(listener, chunk=CHUNK, lookahead=LOOKAHEAD)
    heard = stream_recordings(live, listener, test).heard
    return {"streamed_label_error_rate": error_rate_of(heard)}


def error_rate_of(heard: Sequence[Heard]) -> float:
    """The label error rate, of 1."""
    return label_error_rate([item.said for item in heard], [item.heard for item in heard])


def print_summary(
    heard: Sequence[Heard],
    metrics: Mapping[str, float],
    listener: TrainedListener,
    console: Console,
) -> None:
    """Prints the measures, what is unknown, and a few mistakes."""
    names = {
        "accuracy": "sounds with every label right",
        "label_error_rate": f"label error rate, beam of {listener.config.beam_width}",
        "greedy_label_error_rate": "label error rate, best path",
        "streamed_label_error_rate": "label error rate, best path, as a stream: chunks of "
        f"{CHUNK * SHIFT_SECONDS:g} s, look-ahead of {LOOKAHEAD * SHIFT_SECONDS:g} s",
    }
    table = Table(
        title=f"{len(heard):,} sounds, {sum(len(result.said) for result in heard):,} labels"
    )
    table.add_column("measure")
    table.add_column("share", justify="right")
    for name, value in metrics.items():
        table.add_row(names[name], f"{value:.2%}")
    console.print(table)
    unknown = {word for result in heard for word in result.said} - set(listener.labels)
    if unknown:
        console.print(f"Training has no label {', '.join(sorted(unknown))}: that counts as wrong.")
    for result in [result for result in heard if not result.is_right][:_SHOWN]:
        console.print(mistake(result), highlight=False, markup=False)


def mistake(result: Heard) -> str:
    """One line on a sound that was not heard right."""
    kinds = count_edits(result.said, result.heard)._asdict()
    edits = ", ".join(f"{count} {name}" for name, count in kinds.items() if count)
    said, heard = " ".join(result.said), " ".join(result.heard) or "-"
    return f"{result.name}: said {said}, heard {heard} ({edits})"


def hearing(
    listeners: Mapping[str, TrainedListener], recordings: Sequence[Recording], row: int = 0
) -> Hearing:
    """What each network makes of one sound of the test."""
    first = next(iter(listeners.values()))
    utterance = make_draw(first.config, recordings, first.labels, None)(0)[row].render()
    batch = alone(utterance)
    probabilities = {}
    for name, listener in listeners.items():
        steps, lengths = _probabilities(listener.config.model, listener.params, batch)
        probabilities[name] = np.asarray(steps[0, : int(lengths[0])])
    features = Features("mfcc", first.config.rate, deltas=0, normalise=False)
    spectrum, frames = _spectrum(features, batch)
    seconds = 1 if utterance.signal.ndim == 2 else 1 / features.shift
    return Hearing(
        spectrogram=np.asarray(spectrum[0, : int(frames[0])]),
        ends=tuple(end * seconds * 0.01 for end in utterance.ends),
        said=tuple(first.labels[k] for k in utterance.labels),
        probabilities=probabilities,
        labels=tuple(first.labels),
        shift=0.01,
    )


@jax.jit(static_argnames="model")
def _probabilities(
    model: SpeechModel, params: Any, batch: dict[str, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    logits, lengths = score(model, params, batch, None)
    return jax.nn.softmax(logits), lengths


@jax.jit(static_argnames="features")
def _spectrum(features: Features, batch: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    mfcc, frames = extract(features, batch["signals"], batch["lengths"])
    return spectrum_of(mfcc), frames


def alone(utterance: Utterance) -> dict[str, jax.Array]:
    """A minibatch of one sound."""
    return {
        "signals": jnp.asarray(utterance.signal)[None],
        "lengths": jnp.array([len(utterance.signal)]),
    }
