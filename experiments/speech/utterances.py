"""Utterances, strings joined of them, and how they are padded.

A batch is {"signals": [B, N] or [B, T, 13], "lengths": [B], "labels": [B, L],
"label_lengths": [B], "rows": [B]}: `rows` says which take a row is, -1 for none.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import grain
import numpy as np

from birnn_jax.data import Batch
from experiments.runner.data.batches import Batches, FlatBatch
from experiments.speech.augment import AS_THEY_ARE, Change, Perturbation, perturb
from experiments.speech.config import SpeechConfig
from experiments.speech.features import SHIFT_SECONDS, num_frames
from experiments.speech.sounds import Recording


class Utterance(NamedTuple):
    """A sound and its labels."""

    signal: np.ndarray  # [N] or [T, 13]
    labels: tuple[int, ...]
    speaker: str
    ends: tuple[int, ...] = ()  # where each recording that was joined ends


class Take(NamedTuple):
    """Utterances of one speaker, one after the other, and how each of them is changed."""

    parts: tuple[Utterance, ...]
    changes: tuple[Change, ...]

    @property
    def length(self) -> int:
        """Steps of the sound."""
        return sum(self._lengths())

    def render(self) -> Utterance:
        """The utterance that is heard."""
        return Utterance(
            signal=np.concatenate(list(map(perturb, self._signals(), self.changes))),
            labels=tuple(label for part in self.parts for label in part.labels),
            speaker=self.parts[0].speaker,
            ends=tuple(itertools.accumulate(self._lengths())),
        )

    def _signals(self) -> list[np.ndarray]:
        return [part.signal for part in self.parts]

    def _lengths(self) -> list[int]:
        signals = self._signals()
        return [c.length(len(s)) for c, s in zip(self.changes, signals, strict=True)]


class Strings:
    """Takes of `shortest` to `longest` utterances of one speaker, `number` new ones a pass.

    Those of a pass are a function of (seed, pass), as are their changes. No utterance comes twice
    in a string while its speaker has others.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        *,
        shortest: int,
        longest: int,
        number: int,
        seed: int,
        perturbation: Perturbation = AS_THEY_ARE,
    ):
        """Takes the utterances to join, and what their changes are drawn from."""
        self._utterances = utterances
        self._range = (shortest, longest + 1)
        self._number = number
        self._seed = seed
        self._perturbation = perturbation
        speakers = np.array([utterance.speaker for utterance in utterances])
        self._of = [np.flatnonzero(speakers == name) for name in np.unique(speakers)]
        self._shares = np.array([len(rows) for rows in self._of]) / len(utterances)

    def __call__(self, epoch: int) -> list[Take]:
        """The strings of a pass."""
        rng = np.random.default_rng([self._seed, epoch])
        strings = [self._draw(rng) for _ in range(self._number)]
        return changed(strings, self._perturbation, seed=self._seed, epoch=epoch)

    def _draw(self, rng: np.random.Generator) -> tuple[Utterance, ...]:
        rows = self._of[rng.choice(len(self._of), p=self._shares)]
        size = int(rng.integers(*self._range))
        chosen = rng.choice(rows, size, replace=size > len(rows))
        return tuple(self._utterances[row] for row in chosen)


def changed(
    strings: Sequence[tuple[Utterance, ...]],
    perturbation: Perturbation,
    *,
    seed: int,
    epoch: int,
) -> list[Take]:
    """Draws a change for each utterance: a function of (seed, epoch) and of places."""
    rng = np.random.default_rng([seed, epoch, _CHANGES])
    return [
        Take(parts, tuple(perturbation.draw(rng, len(part.signal)) for part in parts))
        for parts in strings
    ]


class Takes(grain.MapDataset):
    """What is heard in takes that are drawn anew in each epoch, one after the other."""

    def __init__(self, draw: Callable[[int], Sequence[Take]]):
        """`draw` gives the takes of an epoch, as many in each."""
        super().__init__()
        self._draw = functools.lru_cache(maxsize=2)(draw)

    def __len__(self) -> int:
        return len(self._draw(0))

    def __getitem__(self, index: Any) -> Any:
        epoch, place = divmod(index, len(self))
        heard = self._draw(epoch)[place].render()
        labels = np.array(heard.labels, np.int32)
        return {"signals": heard.signal.astype(np.float32), "labels": labels}

    def lengths(self, epoch: int) -> dict[str, list[int]]:
        """Steps and labels of the takes of an epoch, none of which is rendered for that."""
        takes = self._draw(epoch)
        return {
            "signals": [take.length for take in takes],
            "labels": [sum(len(part.labels) for part in take.parts) for take in takes],
        }


def padded(takes: Takes, *, unit: int, **options: Any) -> Batches:
    """Batches of takes of similar length.

    Signals are padded to `unit`, 2 `unit`, 4 `unit`, ... steps and labels to 8, 16, 32, ...: few
    lengths, so few compilations.
    """
    sides = itertools.product([unit * 2**k for k in range(16)], [8 * 2**k for k in range(9)])
    return Batches(
        takes,
        buckets=[{"signals": steps, "labels": labels} for steps, labels in sides],
        lengths=takes.lengths,
        length=lambda lengths: lengths["signals"],
        flatten=_flat,
        **options,
    )


def _flat(batch: Batch[Any]) -> FlatBatch:
    lengths = {"lengths": batch.lengths["signals"], "label_lengths": batch.lengths["labels"]}
    return {**batch.values, **lengths, "rows": batch.rows}


_UNIT_SECONDS = 0.5  # the shortest padding
_CHANGES = 3  # sets the numbers that changes are drawn from apart from others of an epoch
_HELD_OUT_SEED = 7  # of the strings of dev and test, the same in every run


def joined(config: SpeechConfig, recordings: Sequence[Recording]) -> tuple[int, int]:
    """How many recordings make a string, fewest and most."""
    if config.task == "label":
        return 1, 1
    single = all(len(item.words) == 1 for item in recordings)
    return tuple(config.join or ((3, 7) if single else (1, 1)))  # pyright: ignore


def make_batches(
    config: SpeechConfig,
    recordings: Sequence[Recording],
    labels: Sequence[str],
    *,
    seed: int | None = None,
) -> Batches:
    """Minibatches of recordings or of strings of them.

    With a seed, all those of a training run; without, those to evaluate on, which are not changed.
    """
    draw = make_draw(config, recordings, labels, seed)
    unit = round(_UNIT_SECONDS * _steps_per_second(config, recordings))
    return padded(
        Takes(draw),
        unit=unit,
        batch_size=config.batch_size,
        epochs=1 if seed is None else config.epochs,
        seed=seed,
    )


def make_draw(
    config: SpeechConfig, recordings: Sequence[Recording], labels: Sequence[str], seed: int | None
) -> Callable[[int], list[Take]]:
    """The function from a pass to its takes. A word that is no label is label -1."""
    place = {word: i for i, word in enumerate(labels)}
    utterances = [
        Utterance(item.signal, tuple(place.get(word, -1) for word in item.words), item.speaker)
        for item in recordings
    ]
    shortest, longest = joined(config, recordings)
    copies = 1 if seed is None else num_copies(config, recordings)
    perturbation = AS_THEY_ARE
    if seed is not None:
        perturbation = config.perturbation(_steps_per_second(config, recordings))
    if longest == 1:
        require_room(config, recordings)
        alone = [(utterance,) for utterance in utterances] * copies
        return lambda epoch: changed(alone, perturbation, seed=seed or 0, epoch=epoch)
    return Strings(
        utterances,
        shortest=shortest,
        longest=longest,
        number=config.strings * copies if seed is not None else -(-config.strings // 2),
        seed=_HELD_OUT_SEED if seed is None else seed,
        perturbation=perturbation,
    )


def num_copies(config: SpeechConfig, recordings: Sequence[Recording]) -> int:
    """How often each recording, or so many more strings, come in an epoch of training.

    As often as it takes for all epochs to have the fewest steps that are asked for.
    """
    number = len(recordings) if joined(config, recordings)[1] == 1 else config.strings
    wanted = -(-config.recipe.steps // config.epochs)  # minibatches of an epoch
    full = (wanted - 1) * config.batch_size  # what all of them but the last hold
    return max(1, full // number + 1)


def _steps_per_second(config: SpeechConfig, recordings: Sequence[Recording]) -> float:
    """Samples, or frames of MFCC."""
    return 1 / SHIFT_SECONDS if recordings[0].signal.ndim == 2 else config.rate


def require_room(config: SpeechConfig, recordings: Sequence[Recording]) -> None:
    """Refuses a recording that has more labels than the network has steps for them."""
    if config.task == "label":
        return
    for item in recordings:
        steps = len(item.signal)
        if item.signal.ndim == 1:
            steps = int(num_frames(config.model.features, steps))
        for every in config.subsample:
            steps = -(-steps // every)
        needed = len(item.words) + sum(
            a == b for a, b in zip(item.words, item.words[1:], strict=False)
        )
        if needed > steps:
            raise ValueError(
                f"{item.name} has {len(item.words)} labels but only {steps} steps for them: give "
                "smaller numbers to --subsample, or leave the recording out."
            )
