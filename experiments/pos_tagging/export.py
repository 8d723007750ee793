"""A trained tagger as one ONNX file, which onnxruntime and NumPy can serve.

The graph is that of `experiments.words.model.score` in evaluation. Its inputs are `words`
`[B, T]`, `characters` `[B, T, W]` and `lengths` `[B]`, integers, and its output is `logits`
`[B, T, K]`. How a sentence becomes integers is in the metadata of the model, under "vocabulary", as
JSON: the index of each word in lower case (0 for others), of each character (0 for none, 1 for
others), the tags in the order of the logits, and the characters kept of a word.
"""

import json
import pathlib
from typing import Any

import numpy as np

from birnn_jax import Layer
from birnn_jax.interop.onnx import Graph, add_final_states, add_projection, add_stack
from birnn_jax.stacks import LayerParams
from experiments.pos_tagging.model import TrainedTagger
from experiments.runner.data.files import require_new
from experiments.runner.run.folder import write_bytes
from experiments.words.config import WordTagger
from experiments.words.data import NO_CHARACTER, Encoder
from experiments.words.model import WordTaggerParams

_INT32 = 6  # TensorProto.INT32


def export(tagger: TrainedTagger, path: pathlib.Path) -> int:
    """Writes the tagger to a file that does not exist yet; returns its size in bytes.

    Raises:
      ValueError: if the file exists, or its folder does not.
      ImportError: without the package onnx.
    """
    require_new(path)
    encoder = Encoder(tagger.vocabulary, tagger.config.word_width)
    text = json.dumps(encoder.indices(), ensure_ascii=False)
    content = to_onnx(tagger.config.tagger, tagger.params, metadata={"vocabulary": text})
    serialized = content.SerializeToString()
    write_bytes(path, serialized)
    return len(serialized)


def to_onnx(model: WordTagger, params: WordTaggerParams, *, metadata: dict[str, str]) -> Any:
    """The graph of `score`, an `onnx.ModelProto`."""
    graph = Graph()
    words = graph.input("words", np.int64, ["batch", "time"])
    characters = graph.input("characters", np.int64, ["batch", "time", "characters"])
    lengths = graph.op("Cast", graph.input("lengths", np.int64, ["batch"]), to=_INT32)
    spelled = _add_speller(graph, model, params, words, characters)
    embedded = graph.op("Gather", graph.constant(params.words), words)
    xs = graph.op("Concat", embedded, spelled, axis=2)
    _, ys = add_stack(graph, model.layers, params.tagger.rnn, xs, lengths)
    logits = add_projection(graph, ys, params.tagger.w, params.tagger.b)
    graph.output("logits", logits, rank=3)
    return graph.model(metadata)


def _add_speller(
    graph: Graph, model: WordTagger, params: WordTaggerParams, words: str, characters: str
) -> str:
    """`spell`: a recurrence over the characters of each word, `[B, T, 2 * speller_size]`."""
    flat = graph.op("Flatten", characters, axis=2)  # [B * T, W]
    some = graph.op("Greater", flat, graph.constant(np.int64(NO_CHARACTER)))
    axis = graph.constant(np.array([1]))
    counts = graph.op("ReduceSum", graph.op("Cast", some, to=_INT32), axis, keepdims=0)
    embedded = graph.op("Gather", graph.constant(params.characters), flat)
    speller = (LayerParams(params.speller),)
    carries, _ = add_stack(graph, (Layer(model.cell),), speller, embedded, counts)
    rest = graph.constant(np.array([-1]))
    shape = graph.op("Concat", graph.op("Shape", words), rest, axis=0)
    return graph.op("Reshape", add_final_states(graph, carries[0]), shape)
