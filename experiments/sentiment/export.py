"""A classifier of sentences for export.

The graph has the inputs of `experiments.words.export`. Its outputs are `logits` `[B, K]`, `labels`
`[B]`, and with the readout by attention the `weights` `[B, T]` of words, which add up to 1.
"""

import functools

import jax.numpy as jnp
import numpy as np

from birnn_jax.interop.onnx import Graph, add_classifier
from experiments.runner.export.exported import (
    Answers,
    Arrays,
    Card,
    Exported,
    Test,
    add_label,
)
from experiments.runner.run.folder import RunFolder
from experiments.sentiment.config import TextClassifier
from experiments.sentiment.data import encode_texts, read_data
from experiments.sentiment.model import TextParams, attention, classify, load_classifier
from experiments.words.data import Encoder
from experiments.words.export import labels_of, vocabulary_of, word_part
from experiments.words.model import VOCABULARY

CARD = Card(
    title="Classifier of sentences",
    task="text-classification",
    summary="A bidirectional recurrent network over words and their characters, and one label for "
    "a whole sentence. With the attention readout it shows how much attention each word got.",
    use="Labelling single sentences that are like those of training, cut into words as "
    "`experiments.words.segments.split_text` does it.",
    limits="It is less accurate on longer texts, irony, and words that training has not seen. "
    "Attention weights show what was read, not why a label is right. Every text gets a label of "
    "training.",
    metrics=("accuracy", "bag_of_words"),
)
load = load_classifier


def exported(folder: RunFolder) -> Exported:
    """The classifier of a run."""
    classifier = load_classifier(folder)
    config, params = classifier.config, classifier.params
    model = config.model()

    def read_test() -> Test:
        texts = read_data(config, config.reading())["test"]
        examples = encode_texts(config, classifier.vocabulary, texts)
        gold = np.array([example["label"] for example in examples])

        def test(answers: Answers) -> dict[str, float]:
            found = labels_of(answers, examples, config.tokens_per_batch)
            return {"accuracy": float((np.array(found) == gold).mean())}

        return test

    return Exported(
        parts={
            "model": word_part(
                functools.partial(add_judgement, model, params),
                model.words.cell,
                params.reader,
                functools.partial(judge, model, params),
            )
        },
        params=params,
        vocabulary=vocabulary_of(Encoder(classifier.vocabulary, config.word_width)),
        card=CARD,
        preprocessing={"segmentation": config.segmentation},
        files=[VOCABULARY],
        read_test=read_test,
    )


def add_judgement(
    model: TextClassifier, params: TextParams, graph: Graph, xs: str, lengths: str
) -> None:
    """Adds scores, labels and the weights of words as outputs."""
    logits, weights = add_classifier(
        graph, model.words.layers, params.classifier, xs, lengths, readout=model.readout
    )
    graph.output("logits", logits, shape=["batch", len(params.classifier.b)])
    add_label(graph, logits)
    if weights is not None:
        graph.output("weights", weights, shape=["batch", "time"])


def judge(model: TextClassifier, params: TextParams, batch: Arrays) -> Arrays:
    """What the graph gives, in JAX."""
    logits = classify(model, params, batch, key=None)
    found = {"logits": logits, "labels": logits.argmax(axis=-1).astype(jnp.int32)}
    if model.readout == "attention":
        found["weights"] = attention(model, params, batch)
    return found
