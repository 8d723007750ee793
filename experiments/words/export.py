"""What models over words read, as part of a graph, and what a program needs to make it of text.

Inputs are `words` `[B, T]`, `characters` `[B, T, W]` and `lengths` `[B]`, integers. A word is
looked up in lower case and in the composed form of Unicode (NFC), its characters in that form only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from birnn_jax import Cell
from birnn_jax.interop.onnx import Graph, add_character_encoder, add_embedding
from birnn_jax.interop.stablehlo import Input
from birnn_jax.models import CharacterEncoderParams
from experiments.runner.data.batches import Batches, by_rows
from experiments.runner.export.exported import Answers, Arrays, Part, add_inputs
from experiments.words.data import NO_CHARACTER, UNKNOWN_WORD, Encoder
from experiments.words.model import WordParams

INPUTS = {
    "words": Input("batch, time", jnp.int32),
    "characters": Input("batch, time, width", jnp.int32),
    "lengths": Input("batch", jnp.int32),
}


def add_words(graph: Graph, cell: Cell, params: WordParams, words: str, characters: str) -> str:
    """Adds `read_words` in evaluation: `[B, T, E + 2 * speller_size]`."""
    some = graph.op("Greater", graph.cast(characters, np.int32), graph.constant(np.int32(0)))
    counts = graph.reduce("ReduceSum", graph.cast(some, np.int32), 2)
    encoder = CharacterEncoderParams(params.characters, params.speller)
    spelled = add_character_encoder(graph, cell, encoder, characters, counts)
    return graph.op("Concat", add_embedding(graph, params.words, words), spelled, axis=2)


def word_part(
    add: Callable[[Graph, str, str], None],
    cell: Cell,
    params: WordParams,
    function: Callable[[Arrays], Arrays],
) -> Part:
    """A part that reads words.

    Args:
      add: adds what comes above the words and the outputs, from the names of vectors `[B, T, D]`
        and of lengths.
      cell: of the characters.
      params: of `read_words`.
      function: the same in JAX, of a batch as `Encoder` makes it.
    """

    def fill(graph: Graph) -> None:
        names = add_inputs(graph, INPUTS)
        xs = add_words(graph, cell, params, names["words"], names["characters"])
        add(graph, xs, names["lengths"])

    def of_batch(inputs: Arrays) -> Arrays:
        return function({**inputs, "rows": jnp.zeros_like(inputs["lengths"])})

    return Part(fill, of_batch, INPUTS)


UNKNOWN_CHARACTER = 1


def vocabulary_of(encoder: Encoder) -> dict[str, Any]:
    """vocabulary.json of a model over words."""
    indices = encoder.indices()
    return {
        "labels": indices["tags"],
        "words": indices["words"],
        "unknown_word": UNKNOWN_WORD,
        "characters": indices["characters"],
        "no_character": NO_CHARACTER,
        "unknown_character": UNKNOWN_CHARACTER,
        "word_width": indices["word_width"],
    }


def labels_of(
    answers: Answers, examples: Sequence[Mapping[str, np.ndarray]], tokens_per_batch: int
) -> list[np.ndarray]:
    """The output `labels` of each encoded sentence, in their order; -1 in padding."""
    batches = Batches(examples, buckets=(8, 32, 128), tokens_per_batch=tokens_per_batch)

    def read(batch: Arrays) -> Any:
        inputs = {name: np.asarray(batch[name], np.int32) for name in INPUTS}
        return answers["model"](inputs)["labels"]

    return by_rows(batches, read)
