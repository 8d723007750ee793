"""What a sweep trains for each task."""

from collections.abc import Mapping
from typing import NamedTuple

from experiments.synthetic.config import SyntheticConfig
from experiments.synthetic.tasks import TASKS


class Plan(NamedTuple):
    """What a sweep trains for one task."""

    lengths: tuple[int, ...]
    variants: tuple[str, ...]
    settings: Mapping[str, object]


_CELLS = ("Elman", "GRU", "LSTM")
_GATED = (*_CELLS, "LSTM, chrono")
PLANS = {
    "adding": Plan((50, 100, 200, 600), _GATED, {}),
    "copy": Plan((10, 20, 50), _GATED, {"hidden_size": 64, "learning_rate": 1e-2}),
    "order": Plan((50, 100, 200), _CELLS, {}),
    "parity": Plan((10, 20, 50, 100), (*_CELLS, "minGRU"), {}),
    "xor": Plan((16, 32, 64), ("both directions", "both, one layer", "forwards only"), {}),
}


def settings_of(variant: str, num_steps: int) -> dict[str, object]:
    """What a line of the picture stands for."""
    return {
        "Elman": {"cell": "elman"},
        "GRU": {"cell": "gru"},
        "LSTM": {"cell": "lstm"},
        "LSTM, chrono": {"cell": "lstm", "time_span": num_steps},
        "minGRU": {"cell": "mingru"},
        "both directions": {"direction": "both", "layers": 2},
        "both, one layer": {"direction": "both"},
        "forwards only": {"direction": "fwd", "layers": 2},
    }[variant]


def config_of(task: str, variant: str, length: int, steps: int | None) -> SyntheticConfig:
    """The settings of one run of a sweep; `steps` None stands for those of the plan."""
    settings = {**PLANS[task].settings, **settings_of(variant, TASKS[task].num_steps(length))}
    if steps is not None:
        settings |= {"steps": steps, "steps_per_evaluation": min(steps, 100)}
    return SyntheticConfig(task=task, length=length, **settings)  # pyright: ignore
