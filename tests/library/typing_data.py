"""What a type checker knows about data: read by `_typing.py`, never run."""

from typing import NamedTuple, reveal_type

import numpy as np

from birnn_jax.data import pack, packed_batches, pad, padded_batches, prefetch, windows
from birnn_jax.text import Vocabulary, build_vocabulary, read_conll, spans_of_tags


class Sentence(NamedTuple):
    """An example."""

    words: np.ndarray
    tags: np.ndarray


sentences = [Sentence(np.ones(3), np.ones(3))]


def batches() -> None:
    """Batches have leaves by the names that examples have."""
    padded = padded_batches(sentences, batch_size=2)
    reveal_type(padded[0])  # reveals Batch[Sentence]
    reveal_type(padded[0].values.words)  # reveals ndarray[tuple[Any, ...], dtype[Any]]
    padded[0].values.typo  # refused
    for batch in padded.repeat(2):
        reveal_type(batch)  # reveals Batch[Sentence]
    for batch in prefetch(padded, start_step=3):
        reveal_type(batch.lengths)  # reveals Sentence
    padded.shard(0, 2).typo  # refused
    reveal_type(pad(sentences))  # reveals Batch[Sentence]
    reveal_type(pack(sentences))  # reveals Packed[Sentence]
    reveal_type(packed_batches(sentences, steps=4, batch_size=2)[0])  # reveals Packed[Sentence]
    reveal_type(windows(sentences, steps=4, batch_size=2)[0].values)  # reveals Sentence
    padded_batches(3, batch_size=2)  # refused
    padded_batches(sentences, batch_sise=2)  # refused
    padded_batches(sentences, batch_size="2")  # refused


def texts() -> None:
    """Vocabularies and files."""
    reveal_type(build_vocabulary([["ab"]]))  # reveals Vocabulary
    found = Vocabulary.load("a.json").encode("ab")
    reveal_type(found)  # reveals ndarray[tuple[Any, ...], dtype[Any]]
    reveal_type(spans_of_tags(["B"])[0].label)  # reveals str
    read_conll("a.txt", column=1)  # refused
