"""A tagger of entities for export.

The graph has the inputs of `experiments.words.export`. Its outputs are `logits` `[B, T, K]`, the
`labels` `[B, T]` of the best row of tags, -1 in padding, and with a CRF its `scores` `[B]`.
"""

import functools

import jax.numpy as jnp
import numpy as np

from birnn_jax.heads import crf_decode
from birnn_jax.interop.onnx import Graph, add_crf_decode
from birnn_jax.metrics import score_entities
from experiments.ner.config import EntityTagger
from experiments.ner.data import read_data
from experiments.ner.model import EntityParams, chain, load_tagger
from experiments.pos_tagging.export import add_logits, tag
from experiments.runner.export.exported import (
    Answers,
    Arrays,
    Card,
    Exported,
    Test,
    add_labels,
)
from experiments.runner.run.folder import RunFolder
from experiments.words.export import labels_of, vocabulary_of, word_part
from experiments.words.model import VOCABULARY, score

CARD = Card(
    title="Tagger of named entities",
    task="token-classification",
    summary="A bidirectional recurrent network over words and their characters, which marks the "
    "names in a sentence. A CRF scores whole rows of tags, unless the settings say crf: false.",
    use="Finding names in sentences like those of training, cut into words in the same way.",
    limits="Names of other kinds, languages or periods are found less often. WNUT 2017 has rare "
    "names on purpose: a model without pretrained vectors misses most of them.",
    metrics=("f1", "precision", "recall"),
)
load = load_tagger


def exported(folder: RunFolder) -> Exported:
    """The tagger of a run."""
    tagger = load_tagger(folder)
    config, params = tagger.config, tagger.params
    encoder, model = config.encoder(tagger.vocabulary), config.model(tagger.vocabulary)

    def read_test() -> Test:
        sentences = read_data(config, config.reading())[0]["test"]
        examples = encoder.encode_all(sentences)
        gold = [sentence.tags for sentence in sentences]

        def test(answers: Answers) -> dict[str, float]:
            rows = labels_of(answers, examples, config.tokens_per_batch)
            found = [
                [model.tags[label] for label in row[: len(tags)]]
                for row, tags in zip(rows, gold, strict=True)
            ]
            overall = score_entities(gold, found)[""]
            return {name: getattr(overall, name) for name in CARD.metrics}

        return test

    return Exported(
        parts={
            "model": word_part(
                functools.partial(add_tagger, model, params),
                model.words.cell,
                params.words.reader,
                functools.partial(find, model, params),
            )
        },
        params=params,
        vocabulary=vocabulary_of(encoder) | {"scheme": model.scheme},
        card=CARD,
        files=[VOCABULARY],
        read_test=read_test,
    )


def add_tagger(
    model: EntityTagger, params: EntityParams, graph: Graph, xs: str, lengths: str
) -> None:
    """Adds scores and the best labels of words as outputs."""
    logits = add_logits(graph, model.words, params.words, xs, lengths)
    graph.output("logits", logits, shape=["batch", "time", len(model.tags)])
    if params.crf is None:
        labels = add_labels(graph, logits, lengths)
    else:
        labels, scores = add_crf_decode(graph, chain(model, params.crf), logits, lengths)
        graph.output("scores", scores, shape=["batch"])
    graph.output("labels", labels, shape=["batch", "time"], dtype=np.int32)


def find(model: EntityTagger, params: EntityParams, batch: Arrays) -> Arrays:
    """What the graph gives, in JAX."""
    if params.crf is None:
        return tag(model.words, params.words, batch)
    logits = score(model.words, params.words, batch, key=None)
    labels, scores = crf_decode(chain(model, params.crf), logits, batch["lengths"])
    return {"logits": logits, "labels": labels.astype(jnp.int32), "scores": scores}
