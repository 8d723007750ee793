"""What is chosen by the size of the data: of the network, of the run, and of changes in training.

Recordings that fill minutes take a smaller network, more passes, and other changes of each in each
pass; with hours, the network and the run are what results in README.md are of.
"""

from collections.abc import Sequence
from typing import NamedTuple

from experiments.runner.run.settings import require
from experiments.speech.features import NUM_FILTERS, SHIFT_SECONDS
from experiments.speech.sounds import Recording


class Recipe(NamedTuple):
    """The settings that are chosen; each can be given as an option of the same name."""

    hidden_size: int
    dropout: float
    noise: float
    steps: int
    speeds: tuple[float, ...]
    cut: float
    silence: float
    frequency_masks: tuple[int, int]
    time_masks: tuple[int, int]


LARGE = Recipe(
    hidden_size=96,
    dropout=0.4,
    noise=0.3,
    steps=0,
    speeds=(1.0,),
    cut=0.0,
    silence=0.0,
    frequency_masks=(0, 0),
    time_masks=(0, 0),
)
SMALL = Recipe(
    hidden_size=48,
    dropout=0.4,
    noise=0.3,
    steps=500,
    speeds=(0.9, 1.0, 1.1),
    cut=0.05,
    silence=0.1,
    frequency_masks=(0, 0),
    time_masks=(0, 0),
)
_SMALL_SECONDS = 300
_SLOWEST, _FASTEST = 0.5, 2.0


def seconds_of(recordings: Sequence[Recording], rate: int) -> float:
    """How long all recordings are together."""
    samples = sum(len(item.signal) for item in recordings if item.signal.ndim == 1)
    frames = sum(len(item.signal) for item in recordings if item.signal.ndim == 2)
    return samples / rate + frames * SHIFT_SECONDS


def recipe_for(seconds: float) -> Recipe:
    """The recipe for so much speech to train on."""
    return SMALL if seconds < _SMALL_SECONDS else LARGE


def told(recipe: Recipe, recordings: int, seconds: float, steps: int) -> str:
    """Says what was chosen, in one sentence."""
    size = "little" if seconds < _SMALL_SECONDS else "much"
    return (
        f"{recordings:,} recordings to train on, {_minutes(seconds)} of speech, count as {size} "
        f"data: {recipe.hidden_size} hidden units, dropout {recipe.dropout:g}, noise "
        f"{recipe.noise:g}, {steps:,} steps at most, {_changes(recipe)}; each of these can be "
        "given as an option."
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _changes(recipe: Recipe) -> str:
    """What is done to recordings in training, in words."""
    changes = []
    if recipe.speeds != (1.0,):
        changes.append(f"speeds {', '.join(f'{speed:g}' for speed in recipe.speeds)}")
    for name, what in (("cut", "cut off at either end"), ("silence", "of silence at either end")):
        if getattr(recipe, name):
            changes.append(f"up to {getattr(recipe, name):g} s {what}")
    for name, what in (("frequency_masks", "bands"), ("time_masks", "frames")):
        count, widest = getattr(recipe, name)
        if count and widest:
            changes.append(f"{count} times up to {widest} {what} hidden")
    return ", ".join(changes) or "no recording changed"


def require_possible(recipe: Recipe) -> None:
    """Refuses settings that no training can have."""
    require(recipe.hidden_size > 0, f"hidden_size must be positive, got {recipe.hidden_size}")
    require(
        0 <= recipe.dropout < 1,
        f"dropout must be at least 0 and below 1, got {recipe.dropout}",
    )
    for name in ("noise", "steps", "cut", "silence"):
        value = getattr(recipe, name)
        require(value >= 0, f"{name} must not be negative, got {value}")
    require(
        bool(recipe.speeds) and min(recipe.speeds) >= _SLOWEST and max(recipe.speeds) <= _FASTEST,
        f"speeds must be one number or more, each from {_SLOWEST} to {_FASTEST}, got "
        f"{' '.join(map(str, recipe.speeds)) or 'none'}",
    )
    for name in ("frequency_masks", "time_masks"):
        value = getattr(recipe, name)
        require(
            min(value) >= 0,
            f"{name} must be two numbers that are not negative, how many and how wide, got "
            f"{value[0]} {value[1]}",
        )
    require(
        recipe.frequency_masks[1] < NUM_FILTERS,
        f"frequency_masks must leave some of the {NUM_FILTERS} bands, got "
        f"{recipe.frequency_masks[1]}",
    )
