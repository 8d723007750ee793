"""Entities: the schemes of tags, the scorer, and the tagger with its chain."""

import functools
import pathlib

import jax
import numpy as np
import pytest

from birnn_jax.metrics import EntityScore, entity_f1, score_entities
from birnn_jax.text import complete_tags, convert_tags, find_scheme, spans_of_tags, tag_faults
from experiments.ner.config import EntityConfig
from experiments.ner.data import read_answers
from experiments.ner.model import decode, entity_totals, init_params
from experiments.runner.data.batches import flat_batch
from experiments.runner.data.reading import Reading
from tests.experiments._small_entities import TINY, USUAL, tagging

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data" / "wnut17"
SYSTEMS = {  # F1 of the seven systems of the shared task, in percent
    "uh_ritual.gz": 41.86,
    "spinningbytes.txt.gz": 40.78,
    "sjtu_adapt.txt.gz": 40.42,
    "arcada.gz": 39.98,
    "flytxt.gz": 38.35,
    "mic-cis.txt.gz": 37.06,
    "drexel_cci.gz": 26.30,
}
best = jax.jit(decode, static_argnames="model")
SAME = [(0, 2, "PER"), (2, 3, "PER"), (4, 5, "LOC")]


@jax.jit(static_argnames="model")
def totals(model, params, batch):
    return entity_totals(model, params, batch, None)


@pytest.mark.parametrize(
    "tags",
    [
        ["B-PER", "I-PER", "B-PER", "O", "B-LOC"],
        ["I-PER", "I-PER", "B-PER", "O", "I-LOC"],
        ["B-PER", "E-PER", "S-PER", "O", "S-LOC"],
        ["B-PER", "I-PER", "B-PER", "O", "E-LOC"],
        ["I-PER", "E-PER", "E-PER", "O", "M-LOC"],
        ["B-PER", "L-PER", "U-PER", "O", "U-LOC"],
    ],
    ids=["BIO", "IOB1", "BIOES", "broken BIOES", "broken", "BILOU"],
)
def test_every_scheme_says_the_same_spans(tags):
    assert spans_of_tags(tags) == SAME
    assert convert_tags(tags, "BIO") == ["B-PER", "I-PER", "B-PER", "O", "B-LOC"]
    assert convert_tags(tags, "BIOES") == ["B-PER", "E-PER", "S-PER", "O", "S-LOC"]


@pytest.mark.parametrize(
    ("scheme", "tags", "places"),
    [
        ("BIO", "O B-P I-P I-L", [3]),
        ("BIO", "I-P I-P O I-P", [0, 3]),
        ("BIOES", "B-P O", [0]),
        ("BIOES", "B-P I-P O E-P", [1, 3]),
        ("BILOU", "B-P L-P U-L", []),
        ("BMES", "O B-P", [1]),
        ("BMES", "S-P B-P M-P E-P O", []),
        ("IOB1", "O B-P", [1]),
        ("IOB1", "I-P B-P I-L", []),
        ("IOB1", "I B O B", [3]),
        ("IO", "I-P I-P O I-L", []),
    ],
)
def test_faults_are_the_tags_that_stand_where_their_scheme_writes_others(scheme, tags, places):
    assert tag_faults(tags.split(), scheme) == places


@pytest.mark.parametrize(
    ("scheme", "sentences"),
    [
        ("BIO", ["B-P I-P B-P", "I-P"]),
        ("BIO", ["O O"]),
        ("IOB1", ["I-P B-P O I-L", "I-L", "B-P"]),
        ("IO", ["I-P I-P", "O I-L"]),
        ("BIOES", ["O", "S-P"]),
        ("BILOU", ["B-P L-P", "U-P"]),
        ("BMES", ["B-P M-P E-P"]),
    ],
)
def test_scheme_is_told_from_the_whole_file(scheme, sentences):
    assert find_scheme([tags.split() for tags in sentences]) == scheme


def test_training_on_single_entities_knows_the_tags_of_long_ones():
    assert complete_tags(["O", "B-LOC"], "BIO") == ["B-LOC", "I-LOC", "O"]
    assert complete_tags(["S"], "BIOES") == ["B", "E", "I", "S"]


def test_score_counts_entities_with_the_same_words_and_class():
    gold = [["B-PER", "I-PER", "O"], ["B-LOC", "B-PER", "I-PER"], ["O"]]
    said = [["B-PER", "I-PER", "I-LOC"], ["I-LOC", "I-PER", "O"], ["B-PER"]]
    scores = score_entities(gold, said)
    assert scores == {
        "": EntityScore(2, 5, 3),
        "LOC": EntityScore(1, 2, 1),
        "PER": EntityScore(1, 3, 2),
    }
    assert (scores[""].precision, scores[""].recall, scores[""].f1) == (2 / 5, 2 / 3, 1 / 2)
    assert score_entities([["O"]], [["O"]])[""] == EntityScore(0, 0, 0)


@functools.cache
def gold():
    return read_answers(SHARED / "emerging.test.annotated", USUAL, Reading())


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not beside the project")
@pytest.mark.parametrize(("name", "f1"), SYSTEMS.items())
def test_score_is_that_of_the_shared_task(name, f1):
    said = read_answers(SHARED / "submissions" / name, USUAL, Reading())
    assert round(100 * score_entities(gold(), said)[""].f1, 2) == f1


@pytest.mark.parametrize("scheme", ["BIO", "BMES"])
def test_f1_of_batches_is_that_of_the_scorer(scheme):
    tags = tuple(complete_tags(["B-PER", "B-LOC", "O"], scheme))
    rng = np.random.default_rng(0)
    lengths = np.array([9, 0, 4, 7, 9])
    labels, found = (rng.integers(0, len(tags), (5, 9)) for _ in range(2))
    found = np.where(rng.random((5, 9)) < 0.7, labels, found)
    rows = [
        [[tags[k] for k in row[:n]] for row, n in zip(some, lengths, strict=True)]
        for some in (labels, found)
    ]
    expected = score_entities(*rows)[""]
    total = entity_f1(tags, labels, found, lengths)
    assert expected.correct > 3 and expected.f1 < 1
    assert (total.sum, total.count) == (2 * expected.correct, expected.predicted + expected.gold)


@pytest.mark.parametrize("crf", [True, False], ids=["crf", "softmax"])
def test_chain_keeps_to_the_scheme_and_words_alone_do_not(tmp_path, crf):
    sentences, vocabulary = tagging(tmp_path)
    config = EntityConfig(**TINY, crf=crf)
    model = config.model(vocabulary)
    assert model.tags == ("B-PER", "I-PER", "O")
    params = init_params(config, vocabulary, jax.random.key(0))
    b = params.words.tagger.b + np.array([0.0, 9.0, 0.0])  # every word alone is I-PER
    params = params._replace(words=params.words._replace(tagger=params.words.tagger._replace(b=b)))
    examples = config.encoder(vocabulary).encode_all(sentences)
    batch = flat_batch(examples, batch_size=4, length=5)
    labels = best(model, params, batch)
    first = "B-PER" if crf else "I-PER"
    assert [vocabulary.tags[k] for k in labels[1, :3]] == [first, "I-PER", "I-PER"]
    strange = batch | {"labels": np.where(batch["rows"][:, None] == 1, -1, batch["labels"])}
    losses = [
        totals(one, params, rows)["loss"]
        for one, rows in [
            (model, batch),
            (model, strange),
            (model._replace(recall_cost=20.0), batch),
        ]
    ]
    assert [loss.count for loss in losses] == [6, 3, 6]
    assert losses[2].sum - losses[0].sum > 1 and np.isfinite(losses[1].sum)
