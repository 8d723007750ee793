"""Pairs of sentences as subwords, and minibatches of them."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.runner.data.minibatches import Minibatch, Minibatches, padded_length
from experiments.translation.config import TranslationConfig
from experiments.translation.data import Pair
from experiments.translation.subwords import END, Subwords

_UNIT = 8  # subwords of the shortest padding


class Lexicon(NamedTuple):
    """The subwords of both languages."""

    source: Subwords
    target: Subwords


class Encoded(NamedTuple):
    """A pair as subwords."""

    source: np.ndarray  # [T]
    target: np.ndarray  # [N], the end included


def learn_lexicon(config: TranslationConfig, train: Sequence[Pair]) -> Lexicon:
    """Learns the subwords of both languages."""
    return Lexicon(
        Subwords.learn([pair.source for pair in train], config.source_subwords),
        Subwords.learn([pair.target for pair in train], config.target_subwords),
    )


def encode_pairs(lexicon: Lexicon, pairs: Sequence[Pair]) -> list[Encoded]:
    """Pairs as subwords."""
    return [
        Encoded(
            lexicon.source.encode(pair.source), np.append(lexicon.target.encode(pair.target), END)
        )
        for pair in pairs
    ]


def make_batches(
    config: TranslationConfig,
    pairs: Sequence[Encoded],
    *,
    epochs: int = 1,
    seed: int | None = None,
) -> Minibatches:
    """Minibatches; without a seed, those to evaluate on."""
    return Minibatches(
        lambda epoch: pairs,
        length=lambda pair: len(pair.source) + len(pair.target),
        pad=pad,
        batch_size=config.batch_size,
        epochs=epochs,
        seed=seed,
    )


def pad(pairs: Sequence[Encoded], size: int) -> Minibatch:
    """Stacks pairs to {"source": [B, T], "target": [B, N]} and their lengths `[B]`."""
    batch = {}
    for name in Encoded._fields:
        sides = [getattr(pair, name) for pair in pairs]
        rows = np.zeros([size, padded_length(max(map(len, sides)), _UNIT)], np.int32)
        lengths = np.zeros([size], np.int32)
        for i, side in enumerate(sides):
            rows[i, : len(side)], lengths[i] = side, len(side)
        batch |= {name: rows, f"{name}_lengths": lengths}
    return batch


LEXICON = ("source.model", "target.model")


def learn_or_load(config: TranslationConfig, train: Sequence[Pair], path: pathlib.Path) -> Lexicon:
    """The subwords in the folder of a run; where it has none yet, those of its training data."""
    if all((path / name).exists() for name in LEXICON):
        return load_lexicon(path)
    return learn_lexicon(config, train)


def load_lexicon(path: pathlib.Path) -> Lexicon:
    """The subwords in the folder of a run."""
    return Lexicon(*(Subwords.load(path / name) for name in LEXICON))
