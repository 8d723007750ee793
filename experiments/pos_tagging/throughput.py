"""Throughput of a trained tagger, of its ONNX model in onnxruntime, and of spaCy.

Each tagger is given the same sentences as words, and makes its own batches. spaCy's has random
weights and the sizes of its small English pipeline (a convolutional encoder of width 96 and depth
4), which is as fast as a trained one.
"""

import functools
import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.pos_tagging.export import to_onnx
from experiments.pos_tagging.model import TrainedTagger
from experiments.words.data import Encoder
from experiments.words.model import label_rows

Sentences = Sequence[Sequence[str]]
TagAll = Callable[[Sentences], Any]


def measure(tagger: TrainedTagger, sentences: Sentences, rounds: int) -> dict[str, float]:
    """Sentences per second of each tagger: the largest of `rounds` measurements, in turns."""
    taggers = find_taggers(tagger)
    for tag in taggers.values():
        tag(sentences)  # compiles
    seconds: dict[str, list[float]] = {name: [] for name in taggers}
    for _ in range(rounds):
        for name, tag in taggers.items():
            start = time.perf_counter()
            tag(sentences)
            seconds[name].append(time.perf_counter() - start)
    return {name: len(sentences) / min(times) for name, times in seconds.items()}


def find_taggers(tagger: TrainedTagger) -> Mapping[str, TagAll]:
    """This one, and those whose packages are installed."""
    taggers: dict[str, TagAll] = {"birnn_jax": tagger.tag}
    if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx"):
        taggers["onnxruntime"] = _in_onnxruntime(tagger)
    if importlib.util.find_spec("spacy"):
        taggers["spaCy"] = _in_spacy(tagger.vocabulary.tags)
    return taggers


def _in_onnxruntime(tagger: TrainedTagger) -> TagAll:
    import onnxruntime

    model = to_onnx(tagger.config.tagger, tagger.params, metadata={})
    session: Any = onnxruntime.InferenceSession(model.SerializeToString())
    encoder = Encoder(tagger.vocabulary, tagger.config.word_width)

    def decode(batch: Mapping[str, Any]) -> np.ndarray:
        names = ("words", "characters", "lengths")
        feeds = {name: np.asarray(batch[name], np.int64) for name in names}
        return np.asarray(session.run(None, feeds)[0]).argmax(axis=-1)

    def tag(sentences: Sentences) -> list[list[str]]:
        examples = [encoder.encode_words(words) for words in sentences]
        labels = label_rows(decode, examples, tagger.config.tokens_per_batch)
        return [[tagger.vocabulary.tags[k] for k in row] for row in labels]

    return tag


def _in_spacy(tags: Sequence[str]) -> TagAll:
    spacy: Any = importlib.import_module("spacy")
    pipeline = spacy.blank("en")
    encoder = {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "pretrained_vectors": None,
        "width": 96,
        "depth": 4,
        "embed_size": 2000,
        "window_size": 1,
        "maxout_pieces": 3,
        "subword_features": True,
    }
    model = {"@architectures": "spacy.Tagger.v2", "tok2vec": encoder}
    component = pipeline.add_pipe("tagger", config={"model": model})
    for name in tags:
        component.add_label(name)
    pipeline.initialize()
    make = functools.partial(spacy.tokens.Doc, pipeline.vocab)

    def tag(sentences: Sentences) -> list[list[str]]:
        docs = pipeline.pipe(make(words=list(words)) for words in sentences)
        return [[token.tag_ for token in doc] for doc in docs]

    return tag
