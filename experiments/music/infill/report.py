"""Tables of how well hidden notes are filled in."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.music.infill.data import VOICES
from experiments.music.infill.model import TrainedInfiller
from experiments.runner.pictures.curves import Panel, plot_curves
from experiments.runner.run.folder import RunFolder


def finish(
    folder: RunFolder, infiller: TrainedInfiller, test: Sequence[np.ndarray], console: Console
) -> dict[str, float]:
    """Tests the model, prints how it does, and draws; returns the metrics."""
    measured = infiller.measure(test)
    print_measures(measured, console)
    plot_curves(
        folder,
        Panel("Loss, nats a hidden note", "loss"),
        Panel("Accuracy on hidden notes", "accuracy", percent=True),
    )
    return flat_measures(measured)


def print_measures(measured: Mapping[str, Mapping[str, float]], console: Console) -> None:
    """Prints a row for each way to hide."""
    table = Table(title="hidden notes", title_justify="left")
    table.add_column("hidden")
    table.add_column("right", justify="right")
    table.add_column("nats a note", justify="right")
    for name, means in measured.items():
        table.add_row(name, f"{means['accuracy']:.2%}", f"{means['loss']:.3f}")
    console.print(table, highlight=False)


def flat_measures(measured: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """As result.json has them; that of `voices` is the mean of the four."""
    flat = {f"accuracy_{name}": means["accuracy"] for name, means in measured.items()}
    flat |= {f"nats_{name}": means["loss"] for name, means in measured.items()}
    for kind in ("accuracy", "nats"):
        flat[f"{kind}_voices"] = float(np.mean([flat[f"{kind}_{voice}"] for voice in VOICES]))
    return flat
