"""Pairs of sentences as subwords, and batches of them."""

import itertools
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from birnn_jax.data import Batch
from experiments.runner.data.batches import Batches, FlatBatch
from experiments.translation.config import TranslationConfig
from experiments.translation.data import Pair
from experiments.translation.subwords import END, Subwords

_PADDED = tuple(8 * 2**k for k in range(9))  # subwords of a side, with padding


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
            lexicon.source.encode(pair.source),
            np.append(lexicon.target.encode(pair.target), np.int32(END)),
        )
        for pair in pairs
    ]


class PacedBatches(Batches):
    """Batches that know how far the training is: `progress` `[]`, from 0 to 1."""

    def __getitem__(self, index: int) -> FlatBatch:
        return {**super().__getitem__(index), "progress": np.array(index / len(self), np.float32)}


def make_batches(
    config: TranslationConfig,
    pairs: Sequence[Encoded],
    *,
    epochs: int = 1,
    seed: int | None = None,
) -> PacedBatches:
    """Minibatches; without a seed, those to evaluate on."""
    return PacedBatches(
        pairs,
        batch_size=config.batch_size,
        buckets=[Encoded(*sides) for sides in itertools.product(_PADDED, repeat=2)],
        length=lambda lengths: lengths.source + lengths.target,
        epochs=epochs,
        seed=seed,
        flatten=flat_pairs,
    )


def flat_pairs(batch: Batch[Any]) -> FlatBatch:
    """{"source": [B, T], "target": [B, N]}, their lengths `[B]` and the pair of each row."""
    lengths = {f"{name}_lengths": side for name, side in batch.lengths._asdict().items()}
    return {**batch.values._asdict(), **lengths, "rows": batch.rows}


LEXICON = ("source.model", "target.model")


def learn_or_load(config: TranslationConfig, train: Sequence[Pair], path: pathlib.Path) -> Lexicon:
    """The subwords in the folder of a run; where it has none yet, those of its training data."""
    if all((path / name).exists() for name in LEXICON):
        return load_lexicon(path)
    return learn_lexicon(config, train)


def load_lexicon(path: pathlib.Path) -> Lexicon:
    """The subwords in the folder of a run."""
    return Lexicon(*(Subwords.load(path / name) for name in LEXICON))
