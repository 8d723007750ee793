"""The tagger: what its options do, what it reads, and what its commands print and refuse."""

import dataclasses
import functools
import json
import shutil
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from experiments.pos_tagging import __main__ as pos_tagging
from experiments.pos_tagging import model as pos_tagging_training
from experiments.pos_tagging import throughput
from experiments.pos_tagging.config import TaggingConfig
from experiments.pos_tagging.data import read_data, read_sentences
from experiments.pos_tagging.model import init_params, tagging_totals
from experiments.runner.data.batches import Batches
from experiments.runner.data.reading import Reading
from experiments.runner.run.journal import read_journal
from experiments.words.config import WordTagger
from experiments.words.data import Encoder, build_vocabulary
from experiments.words.model import score
from tests import _figures
from tests.experiments import _small_tagging
from tests.experiments._commands import command, standard_input
from tests.experiments._computed import computed
from tests.experiments._small_tagging import SENTENCES

CHANGES = {
    "cell": "gru",
    "direction": "fwd",
    "layers": 2,
    "hidden_size": 6,
    "word_size": 4,
    "character_size": 3,
    "speller_size": 3,
    "word_width": 3,
    "dropout": 0.1,
    "word_dropout": 0.0,
    "epochs": 2,
    "tokens_per_batch": 50,
    "buckets": 2,
    "learning_rate": 1e-2,
    "clip_norm": 1e-3,
    "average_decay": 0.5,
    "patience": 3,
    "epochs_per_evaluation": 2,
    "seed": 1,
}
scores = jax.jit(score, static_argnames="model")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return _small_tagging.write_data(tmp_path_factory.mktemp("data"))


def make_training(config):
    parts = read_data(**config.files, tags=config.tags, reading=config.reading())
    vocabulary = build_vocabulary(parts["train"])
    return pos_tagging_training.make_training(config, vocabulary, parts["train"], parts["dev"])


def computed_by(config):
    return computed(make_training(config))


@pytest.fixture(scope="module")
def usually_computed(data):
    return computed_by(_small_tagging.config(data))


def test_every_option_is_tested():
    names = {field.name for field in dataclasses.fields(TaggingConfig)}
    assert names == CHANGES.keys() | {"train", "dev", "test", "tags", "encoding", "strict"}


def test_same_options_compute_the_same(data, usually_computed):
    assert computed_by(_small_tagging.config(data)) == usually_computed


@pytest.mark.parametrize(("name", "value"), CHANGES.items(), ids=CHANGES.keys())
def test_option_changes_what_is_computed(data, usually_computed, name, value):
    assert computed_by(_small_tagging.config(data, **{name: value})) != usually_computed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layers", 0),
        ("epochs", -1),
        ("learning_rate", 0.0),
        ("patience", 0),
        ("word_width", 1),
        ("dropout", 1.0),
        ("average_decay", -0.1),
        ("word_dropout", -1.0),
    ],
)
def test_impossible_settings_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must"):
        TaggingConfig(**{name: value})


def test_word_with_an_unknown_tag_has_no_loss_and_counts_as_wrong():
    logits = jax.random.normal(jax.random.key(0), [1, 4, 5])
    batch = {"labels": np.array([[2, -1, 3, 0]]), "lengths": np.array([3])}
    totals = tagging_totals(logits, batch)
    known = tagging_totals(logits, batch | {"labels": np.array([[2, 0, 3, 0]])})
    assert totals["loss"].count == 2 and known["loss"].count == 3
    assert totals["accuracy"].count == 3
    assert np.isfinite(totals["loss"].sum)


@pytest.fixture(scope="module")
def model():
    """A model with parameters and a batch of three rows."""
    config = TaggingConfig(**{**_small_tagging.OPTIONS, "word_size": 8, "layers": 2})
    sentences = [
        SENTENCES[0],
        SENTENCES[1],
        SENTENCES[0]._replace(words=("A", "dog", "the")),
    ]
    vocabulary = build_vocabulary(sentences)
    params = init_params(config, vocabulary, jax.random.key(0))
    examples = Encoder(vocabulary, config.word_width).encode_all(sentences)
    batch = Batches(examples, buckets=(8,), tokens_per_batch=24)[0]
    return config.tagger, params, batch


@pytest.mark.parametrize("seed", [None, 0], ids=["evaluation", "training"])
def test_scores_of_a_row_do_not_depend_on_the_batch(model, seed):
    tagger, params, batch = model
    turned = {name: array[::-1] for name, array in batch.items()}
    others_empty = batch | {"lengths": batch["lengths"] * [0, 1, 0]}

    def of_row(batch, row):
        key = None if seed is None else jax.random.key(seed)
        return scores(tagger, params, batch, key)[row, : batch["lengths"][row]]

    np.testing.assert_allclose(of_row(turned, 1), of_row(batch, 1), atol=1e-6)
    np.testing.assert_allclose(of_row(others_empty, 1), of_row(batch, 1), atol=1e-6)
    np.testing.assert_allclose(of_row(turned, 2), of_row(batch, 0), atol=1e-6)


def test_rare_words_are_read_as_unknown_in_training_only(model):
    tagger, params, batch = model
    always = tagger._replace(dropout=0.0, word_dropout=1e9)
    other = batch | {"words": np.where(batch["words"], batch["words"] % 3 + 1, 0)}

    def differ(tagger, seed):
        keys = [None if seed is None else jax.random.key(seed) for _ in range(2)]
        scores = [score(tagger, params, *pair) for pair in zip((batch, other), keys, strict=True)]
        return not np.allclose(*scores)

    assert not differ(always, 0)
    assert differ(always, None)
    assert differ(always._replace(word_dropout=0.0), 0)


@pytest.mark.parametrize(("direction", "sees"), [("fwd", False), ("bwd", True), ("both", True)])
def test_direction_decides_whether_a_word_sees_what_follows(model, direction, sees):
    tagger, _, batch = model
    layers = tuple(dataclasses.replace(layer, direction=direction) for layer in tagger.layers)
    tagger = WordTagger(tagger.cell, layers, 0.0, 0.0)
    config = TaggingConfig(**{**_small_tagging.OPTIONS, "layers": 2, "direction": direction})
    params = init_params(config, build_vocabulary(SENTENCES), jax.random.key(0))
    words = np.minimum(batch["words"], len(params.words) - 1)
    last = int(batch["lengths"][0]) - 1
    changed = words.copy()
    changed[0, last] = 1 + changed[0, last] % 3
    one, other = (scores(tagger, params, batch | {"words": w}, None) for w in (words, changed))
    np.testing.assert_array_equal((one != other)[0, :last].any(), sees)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run folder whose data has been deleted since."""
    folder = tmp_path_factory.mktemp("trained")
    copy = shutil.copy(data, folder / "gone.tsv")
    with pytest.MonkeyPatch.context() as patch:
        assert command(patch, pos_tagging, *_small_tagging.arguments(copy, folder / "run")) == 0
    (folder / "gone.tsv").unlink()
    return folder / "run"


@pytest.fixture
def tell(monkeypatch, capsys):
    """Runs the command line: exit status, standard output, standard error."""

    def run(*words):
        status = command(monkeypatch, pos_tagging, *words)
        return status, *capsys.readouterr()

    return run


def test_predict_reads_the_run_folder_only(trained, tell):
    status, out, _ = tell("predict", "--run", trained, "Al - Zaman", "I know .")
    first, _, second, tags = out.splitlines()
    assert status == 0
    assert first.split() == ["Al", "-", "Zaman"] and second.split() == ["I", "know", "."]
    assert len(tags.split()) == 3


def test_predict_tags_what_comes_from_standard_input(trained, tell, monkeypatch):
    standard_input(monkeypatch, b"I know .\nAl - Zaman\n")
    _, piped, _ = tell("predict", "--run", trained)
    _, given, _ = tell("predict", "--run", trained, "I know .", "Al - Zaman")
    assert piped == given and piped.count("\n") == 4
    _, records, _ = tell("predict", "--run", trained, "--json", "I know .", "Al - Zaman")
    first, _ = map(json.loads, records.splitlines())
    assert [first["words"], first["tags"]] == [line.split() for line in given.splitlines()[:2]]


@pytest.mark.parametrize("sentences", [("",), ("I know .", "  ")])
def test_predict_refuses_an_empty_sentence(trained, tell, sentences):
    status, out, err = tell("predict", "--run", trained, *sentences)
    assert (status, out) == (1, "")
    assert err == f"error: Sentence {len(sentences)} is empty: there is nothing to read in it.\n"


def test_evaluate_measures_another_file_and_tells_unknown_tags(trained, data, tell, tmp_path):
    status, out, _ = tell("evaluate", "--run", trained, "--test", data)
    assert status == 0 and "5 sentences, 75 words" in out
    (tmp_path / "new.tsv").write_text("I\tPRON\nknow\tNEW\n")
    _, out, _ = tell("evaluate", "--run", trained, "--test", tmp_path / "new.tsv")
    assert "Training has no tag NEW: those words count as wrong." in out


def test_evaluate_without_its_data_says_so(trained, tell):
    status, _, err = tell("evaluate", "--run", trained)
    assert status == 1 and "gone.tsv does not exist" in err


def test_predictions_are_in_the_format_of_the_input(trained, data):
    predictions = read_sentences(trained / "predictions.tsv", "upos", "test", Reading())
    test = read_sentences(data, "upos", "test", Reading())
    assert [one.words for one in predictions] == [one.words for one in test]
    assert [one.tags for one in predictions] != [one.tags for one in test]


def test_run_of_other_settings_is_refused(trained, tell, data):
    arguments = _small_tagging.arguments(data, trained, layers=2)
    status, _, err = tell(*arguments)
    assert status == 1 and "holds a run with layers 1, not layers 2" in err


def test_checkpoint_of_another_model_is_refused(trained, tell, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 5', '"hidden_size": 6'))
    status, _, err = tell("predict", "--run", tmp_path / "run", "I know .")
    assert status == 1 and len(err.splitlines()) <= 2


def test_no_run_folder_is_refused(tmp_path, tell):
    status, _, err = tell("predict", "--run", tmp_path, "I know .")
    assert (status, err) == (
        1,
        f"error: {tmp_path} is not a run folder: it has no config.json. Train a model first, or "
        "give the folder of a trained one.\n",
    )


def test_directions_compares_runs(trained, tell, tmp_path):
    picture = tmp_path / "directions.png"
    status, out, _ = tell("directions", "--runs", trained, trained, "--picture", picture)
    assert status == 0 and out.count("direction both") == 2 and out.count(" know ") == 4
    records = [r for r in read_journal(trained / "metrics.jsonl") if r["split"] == "dev"]
    (axes,) = _figures.drawn(picture).axes
    for points in _figures.curves(axes):
        np.testing.assert_allclose(points, [[r["step"], r["accuracy"]] for r in records])
    assert len(_figures.curves(axes)) == 2
    assert f"direction both: {records[-1]['accuracy']:.1%}" in _figures.words(axes)


def test_export_refuses_what_it_cannot_write(trained, tell, tmp_path):
    taken = tmp_path / "taken.onnx"
    taken.write_text("mine")
    status, out, err = tell("export", "--run", trained, "--onnx", taken)
    assert (status, out) == (1, "") and err.startswith(f"error: {taken} exists already")
    assert taken.read_text() == "mine"
    status, _, err = tell("export", "--run", trained, "--onnx", tmp_path / "no" / "tagger.onnx")
    assert (status, err) == (
        1,
        f"error: {tmp_path / 'no'} is not a folder. Create it first, or give another name.\n",
    )
    status, _, err = tell("export", "--run", tmp_path, "--onnx", tmp_path / "tagger.onnx")
    assert status == 1 and "is not a run folder" in err


def test_export_without_onnx_says_what_to_install(trained, tell, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    status, _, err = tell("export", "--run", trained, "--onnx", tmp_path / "tagger.onnx")
    assert (status, err) == (
        1,
        "error: Export to ONNX needs onnx: pip install 'birnn-jax[onnx]'.\n",
    )
    assert not list(tmp_path.iterdir())


def test_throughput_measures_taggers_that_agree(trained):
    pytest.importorskip("onnxruntime")
    tagger = pos_tagging_training.load_tagger(pos_tagging.EXPERIMENT.open(trained))
    taggers = throughput.find_taggers(tagger)
    sentences = [["The", "dog", "barks"], ["dog"], ["Rex", "the", "dog", "saw", "dogs"]]
    assert taggers["onnxruntime"](sentences) == tagger.tag(sentences)
    found = throughput.measure(tagger, sentences, rounds=1)
    assert found.keys() == taggers.keys() and min(found.values()) > 0


def test_throughput_is_that_of_the_fastest_round_without_the_first_call(monkeypatch):
    seconds = {"slow": iter([99, 8, 5, 6]), "fast": iter([99, 3, 4, 2])}
    now, calls = [0.0], []

    def tag(name, sentences):
        calls.append(name)
        now[0] += next(seconds[name])

    taggers = {name: functools.partial(tag, name) for name in seconds}
    monkeypatch.setattr(throughput, "find_taggers", lambda tagger: taggers)
    monkeypatch.setattr(throughput, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    found = throughput.measure(None, [["dog"]] * 10, rounds=3)
    assert found == {"slow": 10 / 5, "fast": 10 / 2} and calls == ["slow", "fast"] * 4


def test_throughput_is_printed_and_recorded_for_each_program(
    trained, data, tell, tmp_path, monkeypatch
):
    shutil.copytree(trained, tmp_path / "run")
    config, calls = tmp_path / "run" / "config.json", []
    config.write_text(config.read_text().replace(str(trained.parent / "gone.tsv"), str(data)))

    def measured(tagger, sentences, rounds):
        calls.append((sentences, rounds))
        return {"birnn_jax": 40.0, "numpy": 20.0}

    monkeypatch.setattr(throughput, "measure", measured)
    told = ("throughput", "--run", tmp_path / "run", "--sentences", 7, "--rounds", 3)
    status, out, _ = tell(*told, "--to", tmp_path / "rows.jsonl")
    test = [one.words for one in read_sentences(data, "upos", "test", Reading())]
    chosen = [test[i % len(test)] for i in range(7)]
    words = sum(map(len, chosen))
    assert status == 0 and calls == [(chosen, 3)] and 1 < len(test) < 7
    assert out.splitlines() == [
        f"{name}: {number} sentences per second, {number * words / 7:,.0f} words per second"
        for name, number in (("birnn_jax", 40), ("numpy", 20))
    ]
    rows = [*map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())]
    assert [(row["tagger"], row["sentences_per_second"]) for row in rows] == [
        *(("birnn_jax", 40), ("numpy", 20))
    ]
    assert rows[1]["version"] == np.__version__ and rows[1]["words"] == words
    assert {(row["sentences"], row["rounds"], row["cores"] > 0) for row in rows} == {(7, 3, True)}


@pytest.mark.parametrize("name", ["sentences", "rounds"])
def test_throughput_of_nothing_is_refused(trained, tell, name):
    status, _, err = tell("throughput", "--run", trained, f"--{name}", 0)
    assert status == 2 and f"{name} must be positive, got 0." in err
