"""Tables and pictures of a model that continues music."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Console

from experiments.music.compose.baselines import independent_keys, markov_keys
from experiments.music.compose.generate import compose
from experiments.music.compose.model import TrainedComposer
from experiments.music.data import Part
from experiments.music.midi import write_midi
from experiments.music.report import Strip, plot_rolls
from experiments.runner.pictures.curves import Panel, plot_curves
from experiments.runner.run.folder import RunFolder

_SAMPLE_FRAMES = 64


def finish(
    folder: RunFolder,
    composer: TrainedComposer,
    rolls: Mapping[Part, Sequence[np.ndarray]],
    console: Console,
) -> dict[str, float]:
    """Tests the model, prints how it does, draws, and writes a piece; returns the metrics."""
    metrics = {
        "nats": composer.measure(rolls["test"]),
        "nats_dev": composer.measure(rolls["dev"]),
        "nats_markov": markov_keys(rolls["train"], rolls["test"]),
        "nats_independent": independent_keys(rolls["train"], rolls["test"]),
    }
    console.print(
        f"Test: {metrics['nats']:.4f} nats a frame; by counting how each key goes on "
        f"{metrics['nats_markov']:.2f}, by how often it sounds {metrics['nats_independent']:.2f}.",
        highlight=False,
    )
    levels = {"Markov": metrics["nats_markov"]}
    plot_curves(folder, Panel("Loss, nats a frame", "loss", levels=levels))
    beginning = rolls["test"][0][:1]
    roll = compose(
        *(composer.config.model, composer.params, beginning),
        frames=_SAMPLE_FRAMES,
        voices=4,
        temperature=1.0,
        seed=0,
    )
    write_midi(folder.path / "sample.mid", roll)
    draw(folder.path / "sample.png", roll, len(beginning))
    return metrics


def draw(path: pathlib.Path, roll: np.ndarray, given: int) -> None:
    """Draws a piece: what was given, and what the model made."""
    made = roll > 0
    made[:given] = False
    title = f"{given} frame{'s' if given > 1 else ''} given, {len(roll) - given} made"
    plot_rolls(path, [Strip(title, roll, made, frames=(given, len(roll)))], "made")
