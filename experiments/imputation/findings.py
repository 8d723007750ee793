"""How well a model fills in what was hidden, beside what needs no model, and over longer gaps."""

from collections.abc import Callable, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table as Printed

from experiments.imputation.baselines import BASELINES
from experiments.imputation.hide import hide
from experiments.imputation.windows import Windows

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]  # values and seen [N, T, D] to estimates
MODEL = "model"
GAPS = (1, 2, 4, 8, 16, 24)


def errors_of(fill: Fill, windows: Windows) -> dict[str, float]:
    """Mean absolute and squared error of the hidden values, in standard deviations."""
    shown = np.where(windows.seen, windows.values, 0)
    differences = (fill(shown, windows.seen) - windows.values)[windows.hidden]
    return {"mae": float(np.abs(differences).mean()), "mse": float((differences**2).mean())}


def compare(fill: Fill, windows: Windows) -> dict[str, dict[str, float]]:
    """The errors of the model and of what needs none."""
    return {name: errors_of(one, windows) for name, one in {MODEL: fill, **BASELINES}.items()}


def metrics_of(compared: dict[str, dict[str, float]]) -> dict[str, float]:
    """As result.json has them."""
    baselines = {
        f"mae_{name.replace(' ', '_')}": errors["mae"]
        for name, errors in compared.items()
        if name != MODEL
    }
    return {**compared[MODEL], **baselines}


def hide_again(windows: Windows, gap: int, seed: int) -> Windows:
    """The same windows with a tenth of them hidden in gaps of `gap` steps."""
    observed = windows.seen | windows.hidden
    hidden = hide(observed, 0.1, gap, np.random.default_rng([seed, gap]))
    return windows._replace(seen=observed & ~hidden, hidden=hidden)


def errors_by_gap(fill: Fill, windows: Windows, gaps: Sequence[int], seed: int) -> list[float]:
    """The mean absolute error over gaps of each length."""
    return [errors_of(fill, hide_again(windows, gap, seed))["mae"] for gap in gaps]


def print_comparison(compared: dict[str, dict[str, float]], count: int, console: Console) -> None:
    """Prints a row for each way to fill in."""
    table = Printed(title=f"{count:,} hidden values, errors in deviations", title_justify="left")
    table.add_column("filled in by")
    table.add_column("mean absolute error", justify="right")
    table.add_column("mean squared error", justify="right")
    for name, errors in compared.items():
        table.add_row(name, f"{errors['mae']:.4f}", f"{errors['mse']:.4f}")
    console.print(table, highlight=False)


def print_gaps(rows: dict[str, list[float]], gaps: Sequence[int], console: Console) -> None:
    """Prints the mean absolute error over gaps of each length."""
    table = Printed(title="mean absolute error by steps of a gap", title_justify="left")
    table.add_column("filled in by")
    for gap in gaps:
        table.add_column(str(gap), justify="right")
    for name, errors in rows.items():
        table.add_row(name, *(f"{error:.3f}" for error in errors))
    console.print(table, highlight=False)
