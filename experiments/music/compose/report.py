"""Tables and pictures of a model that goes on with music."""

import pathlib

import numpy as np
from rich.console import Console

from experiments.music.compose.generate import compose
from experiments.music.compose.training import TrainedComposer
from experiments.music.midi import write_midi
from experiments.music.report import Strip, plot_rolls
from experiments.runner.pictures.curves import Panel, plot_curves
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.journal import read_journal
from experiments.runner.run.results import write_result

_SAMPLE_FRAMES = 64


def finish(
    folder: RunFolder,
    composer: TrainedComposer,
    beginning: np.ndarray,
    metrics: dict[str, float],
    console: Console,
) -> None:
    """Prints how the model does, and leaves results, pictures and a piece in the run folder."""
    write_result(folder, metrics)
    console.print(
        f"Test: {metrics['nats']:.4f} nats a frame; by counting how each key goes on "
        f"{metrics['nats_markov']:.2f}, by how often it sounds {metrics['nats_independent']:.2f}.",
        highlight=False,
    )
    records = read_journal(folder.path / "metrics.jsonl")
    panels = [Panel("Loss, nats a frame", "loss", levels={"Markov": metrics["nats_markov"]})]
    plot_curves(folder.path / "curves.png", records, panels)
    roll = compose(
        *(composer.config.model, composer.params, beginning),
        frames=_SAMPLE_FRAMES,
        voices=4,
        temperature=1.0,
        seed=0,
    )
    write_midi(folder.path / "sample.mid", roll)
    draw(folder.path / "sample.png", roll, len(beginning))
    console.print(f"Everything is in {folder.path}; look at its curves.png and sample.png.")


def draw(path: pathlib.Path, roll: np.ndarray, given: int) -> None:
    """Draws a piece: what was given, and what the model made."""
    made = roll > 0
    made[:given] = False
    title = f"{given} frame{'s' if given > 1 else ''} given, {len(roll) - given} made"
    plot_rolls(path, [Strip(title, roll, made, frames=(given, len(roll)))], "made")
