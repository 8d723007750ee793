"""A tagger for export: a folder, or one ONNX file.

The graph is that of `experiments.words.model.score` in evaluation, with the inputs of
`experiments.words.export`; its outputs are `logits` `[B, T, K]` and `labels` `[B, T]`, -1 in
padding. The one file has logits only, inputs of 64 bits, and in its metadata, under "vocabulary",
how a sentence becomes integers, as JSON.
"""

import functools
import json
import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from birnn_jax.interop.onnx import Graph, add_projection, add_stack
from experiments.pos_tagging.data import read_data
from experiments.pos_tagging.model import TrainedTagger, load_tagger
from experiments.runner.data.files import require_new
from experiments.runner.export.exported import (
    Answers,
    Arrays,
    Card,
    Exported,
    Test,
    add_labels,
)
from experiments.runner.run.folder import RunFolder, write_bytes
from experiments.words.config import WordTagger
from experiments.words.data import Encoder
from experiments.words.export import add_words, labels_of, vocabulary_of, word_part
from experiments.words.model import VOCABULARY, WordTaggerParams, score

CARD = Card(
    title="Part-of-speech tagger",
    task="token-classification",
    summary="A bidirectional recurrent network over words and their characters, which gives every "
    "word of a sentence its part of speech. It was trained without pretrained vectors.",
    use="Tagging sentences like those of training, cut into words in the same way: punctuation "
    "marks are words of their own.",
    limits="It is less accurate on text of another language, period or kind, and on words that "
    "training has not seen. It does not cut sentences into words.",
    metrics=("accuracy", "accuracy_unknown_words", "most_frequent_tag"),
)
load = load_tagger


def exported(folder: RunFolder) -> Exported:
    """The tagger of a run."""
    tagger = load_tagger(folder)
    config, params = tagger.config, tagger.params
    encoder = Encoder(tagger.vocabulary, config.word_width)
    model = config.tagger

    def read_test() -> Test:
        reading = config.reading()
        parts = read_data(**config.files, tags=config.tags, reading=reading)
        examples = encoder.encode_all(parts["test"])
        gold = np.concatenate([example["labels"] for example in examples])

        def test(answers: Answers) -> dict[str, float]:
            rows = labels_of(answers, examples, config.tokens_per_batch)
            found = [row[: len(own["labels"])] for row, own in zip(rows, examples, strict=True)]
            return {"accuracy": float((np.concatenate(found) == gold).mean())}

        return test

    return Exported(
        parts={
            "model": word_part(
                functools.partial(add_tagger, model, params),
                model.cell,
                params.reader,
                functools.partial(tag, model, params),
            )
        },
        params=params,
        vocabulary=vocabulary_of(encoder),
        card=CARD,
        files=[VOCABULARY],
        read_test=read_test,
    )


def add_tagger(
    model: WordTagger, params: WordTaggerParams, graph: Graph, xs: str, lengths: str
) -> None:
    """Adds scores and labels of words as outputs."""
    logits = add_logits(graph, model, params, xs, lengths)
    num_tags = len(params.tagger.b)
    graph.output("logits", logits, shape=["batch", "time", num_tags])
    labels = add_labels(graph, logits, lengths)
    graph.output("labels", labels, shape=["batch", "time"], dtype=np.int32)


def add_logits(
    graph: Graph, model: WordTagger, params: WordTaggerParams, xs: str, lengths: str
) -> str:
    """Adds the scores of words `[B, T, K]`."""
    _, ys = add_stack(graph, model.layers, params.tagger.rnn, xs, lengths)
    return add_projection(graph, ys, params.tagger.w, params.tagger.b)


def tag(model: WordTagger, params: WordTaggerParams, batch: Arrays) -> Arrays:
    """What the graph gives, in JAX."""
    logits = score(model, params, batch, key=None)
    valid = jnp.arange(logits.shape[1])[None] < batch["lengths"][:, None]
    labels = jnp.where(valid, logits.argmax(axis=-1), -1)
    return {"logits": logits, "labels": labels.astype(jnp.int32)}


def export(tagger: TrainedTagger, path: pathlib.Path) -> int:
    """Writes the tagger to one file that does not exist yet; returns its size in bytes.

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
    """The graph of `score`, an `onnx.ModelProto`, with inputs of 64 bits."""
    graph = Graph()
    words = graph.input("words", np.int64, ["batch", "time"])
    characters = graph.input("characters", np.int64, ["batch", "time", "characters"])
    lengths = graph.cast(graph.input("lengths", np.int64, ["batch"]), np.int32)
    xs = add_words(graph, model.cell, params.reader, words, characters)
    graph.output("logits", add_logits(graph, model, params, xs, lengths), rank=3)
    return graph.model(metadata)
