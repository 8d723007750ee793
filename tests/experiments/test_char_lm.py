"""The commands of the language experiments: what options do, what is refused, what goes on."""

import dataclasses
import json
import shutil
import signal

import jax
import numpy as np
import pytest
from rich.console import Console

from birnn_jax.training import JsonLines
from experiments import report
from experiments.bilm_leakage import __main__ as bilm_leakage
from experiments.bilm_leakage.config import SidesConfig
from experiments.char_lm import __main__ as char_lm
from experiments.char_lm.config import EPOCHS, ROWS
from experiments.char_lm.report import markdown_rows
from experiments.characters.config import LanguageConfig
from experiments.characters.data import read_corpus
from experiments.characters.training import load_model, make_training
from experiments.runner.run import loop
from experiments.runner.run.carried import make_carried_train_step
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.journal import read_journal
from tests import _figures
from tests.experiments import _small_language
from tests.experiments._commands import command, standard_input
from tests.experiments._computed import computed
from tests.experiments._small_language import TEXT

QUIET = Console(quiet=True)
CHANGES = {
    "characters": 200,
    "held_out": 0.5,
    "cell": "gru",
    "direction": "bwd",
    "layers": 3,
    "hidden_size": 7,
    "residual": True,
    "layer_norm": True,
    "init": "normal",
    "dropout": 0.5,
    "sampling": "random",
    "steps": 6,
    "batch_size": 3,
    "epochs": 2,
    "method": "sgd",
    "learning_rate": 0.02,
    "schedule": "cosine",
    "clip_norm": 0.5,
    "average_decay": 0.5,
    "epochs_per_evaluation": 2,
    "seed": 1,
}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return _small_language.write_text(tmp_path_factory.mktemp("data"))


def training_of(config):
    corpus = read_corpus(
        config.text, config.reading(), characters=config.characters, held_out=config.held_out
    )
    return make_training(config, corpus)


def computed_by(config):
    return computed(training_of(config))


@pytest.fixture(scope="module")
def usually_computed(text):
    return computed_by(_small_language.config(text, layers=2))


def test_text_is_read_in_its_encoding(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("naïve né\r\n".encode("latin-1"))
    reading = LanguageConfig(text=path, encoding="latin-1").reading()
    corpus = read_corpus(path, reading, characters=None, held_out=0.0)
    assert corpus.vocabulary.decode(corpus.train) == "naïve né\n"
    with pytest.raises(ValueError, match=r"line 1: not UTF-8 .*--encoding"):
        read_corpus(path, LanguageConfig(text=path).reading(), characters=None, held_out=0.0)


@pytest.mark.parametrize(
    ("make", "prepare"), [(LanguageConfig, char_lm.prepare), (SidesConfig, bilm_leakage.prepare)]
)
def test_training_reads_its_text_in_its_encoding(make, prepare, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(("naïve né" * 99).encode("latin-1"))
    options = {"text": path, "steps": 5, "batch_size": 4}
    prepared = prepare(make(**options, encoding="latin-1"), tmp_path, QUIET)
    prepared.files["vocabulary.json"](tmp_path / "vocabulary.json")
    assert json.loads((tmp_path / "vocabulary.json").read_text("utf-8")) == " aenvéï"
    with pytest.raises(ValueError, match=r"line 1: not UTF-8 .*--encoding"):
        prepare(make(**options), tmp_path, QUIET)


def test_every_option_is_tested():
    names = {field.name for field in dataclasses.fields(LanguageConfig)}
    assert names == CHANGES.keys() | {"text", "encoding", "strict"}


@pytest.mark.parametrize(("name", "value"), CHANGES.items(), ids=CHANGES.keys())
def test_option_changes_what_is_computed(text, usually_computed, name, value):
    config = _small_language.config(text, **{"layers": 2, name: value})
    assert computed_by(config) != usually_computed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("layers", 0), ("epochs", -1), ("learning_rate", 0.0), ("characters", 1)],
        *[("dropout", 1.0), ("average_decay", -0.1), ("held_out", 1.0)],
        *[("residual", True), ("layer_norm", True)],
    ],
)
def test_impossible_settings_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must"):
        LanguageConfig(**{name: value})


@pytest.mark.parametrize(
    ("content", "changes", "sentence"),
    [
        (b"", {}, "is empty: there is no character"),
        ("猫".encode(), {}, "has 1 character; one to read and one to predict"),
        (b"abc", {"held_out": 0}, "has 3 characters, but a minibatch of 4 windows of 5 takes 21"),
        (b"ab\ncd\xff", {}, "line 2: not UTF-8"),
        (b"abcdefgh", {"held_out": 0.1}, "Held out are 0 of the 8 characters"),
        (b"abcdefgh", {"characters": 9}, "has 8 characters, fewer than 9"),
        (None, {}, "does not exist"),
    ],
    ids=["empty", "one", "short", "not UTF-8", "held out", "too many", "missing"],
)
def test_text_that_cannot_be_learned_is_refused(tell, tmp_path, content, changes, sentence):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    status, _, err = tell(*_small_language.arguments(path, tmp_path / "run", **changes))
    assert status == 1 and sentence in err
    assert str(path) in err or "The text to train on" in err
    assert err.startswith("error: ") and err.count("\n") == 1


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    run = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        words = _small_language.arguments(text, run)
        assert command(patch, char_lm, *words) == 0
    return run


@pytest.fixture
def tell(monkeypatch, capsys):
    """Runs the command line: exit status, standard output, standard error."""

    def run(*words):
        status = command(monkeypatch, char_lm, *words)
        return status, *capsys.readouterr()

    return run


def test_evaluation_reads_a_text_in_its_encoding(trained, tell, tmp_path):
    path, found = tmp_path / "a.txt", []
    words = ["evaluate", "--run", trained, "--text", path]
    for encoding in ("utf-8", "utf-16-le"):
        path.write_text(TEXT, encoding=encoding)
        status, out, _ = tell(*words, "--encoding", encoding)
        assert status == 0 and "right" in out
        found.append(out)
    assert found[0] == found[1] and tell(*words)[0] == 1


def test_run_folder_has_what_it_promises(trained):
    result = json.loads((trained / "result.json").read_text())["metrics"]
    records = read_journal(trained / "metrics.jsonl")
    losses = [r["loss"] for r in records if r["split"] == "train"]
    per_epoch = len(losses) // 3
    assert result["perplexity_1"] == pytest.approx(np.exp(np.mean(losses[:per_epoch])))
    assert result["perplexity"] == pytest.approx(np.exp(np.mean(losses[-per_epoch:])))
    assert result["held_out_bits"] == pytest.approx(result["held_out_nats"] / np.log(2))
    assert result["seconds_an_epoch"] > 0
    vocabulary = json.loads((trained / "vocabulary.json").read_text())
    sample = (trained / "sample.txt").read_text()
    assert len(sample) > 200 and set(sample) <= {*vocabulary, "\n"}
    (axes,) = _figures.drawn(trained / "curves.png").axes
    drawn = _figures.named(axes)
    (in_training,), (on_dev,) = drawn.pop("training, as it goes on"), drawn.pop("dev")
    assert not drawn
    assert in_training[0, 1] == result["perplexity_1"]
    assert in_training[-1].tolist() == [3, result["perplexity"]]
    dev = [[r["step"] / per_epoch, np.exp(r["loss"])] for r in records if r["split"] == "dev"]
    np.testing.assert_allclose(on_dev, dev)


def test_evaluation_finds_the_numbers_of_the_run(trained, tell, tmp_path):
    metrics = json.loads((trained / "result.json").read_text())["metrics"]
    status, out, _ = tell("evaluate", "--run", trained)
    assert status == 0
    assert f"{metrics['held_out_bits']:.4f}" in out and f"{metrics['training_bits']:.4f}" in out
    other = _small_language.write_text(tmp_path, "the mat sat", "other.txt")
    status, out, _ = tell("evaluate", "--run", trained, "--text", other)
    assert status == 0 and "other.txt" in out


def test_text_of_other_characters_is_refused_naming_them(trained, tell, tmp_path):
    other = _small_language.write_text(tmp_path, "the zebra?", "other.txt")
    status, _, err = tell("evaluate", "--run", trained, "--text", other)
    assert status == 1 and "never seen: '?' 'b' 'r' 'z'." in err


def test_generation_is_streamed_and_a_function_of_its_seed(trained, tell, monkeypatch):
    words = ["generate", "the ", "cat", "--run", trained, "--length", "9"]
    status, out, _ = tell(*words)
    first, second = out.splitlines()
    assert status == 0
    assert (len(first), len(second)) == (13, 12) and first[:4] + second[:3] == "the cat"
    assert tell(*words)[1] == out
    assert tell(*words, "--seed", "1")[1] != out
    standard_input(monkeypatch, b"the \ncat\n")
    records = tell("generate", "--json", "--run", trained, "--length", "9")[1].splitlines()
    texts = zip(("the ", "cat"), (first, second), strict=True)
    assert [*map(json.loads, records)] == [{"prefix": p, "text": text} for p, text in texts]
    flushed = []
    monkeypatch.setattr("builtins.print", lambda *a, **k: flushed.append((a, k.get("flush"))))
    tell(*words)
    assert [text for (text,), _ in flushed] == [*("the ", *first[4:]), f"\n{second}"]
    assert all(flush for _, flush in flushed)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["the Z#"], "The prefix 'the Z#' has characters that the model has never seen: '#' 'Z'."),
        ([""], "Beginning 1 is empty"),
        ([], "standard input is empty: there is no beginning in it."),
    ],
)
def test_generation_refuses_what_it_cannot_go_on_from(trained, tell, monkeypatch, words, sentence):
    standard_input(monkeypatch, b"")
    status, out, err = tell("generate", *words, "--run", trained)
    assert (status, out) == (1, "") and sentence in err and err.count("\n") == 1


def test_impossible_drawing_is_refused_with_the_options(trained, tell):
    status, _, err = tell("generate", "the", "--top-p", "0", "--run", trained)
    assert status == 2 and "top_p must be above 0" in err


@pytest.mark.parametrize("content", [None, "{", "reversed", "[1]"])
def test_vocabulary_that_is_not_that_of_the_run_is_refused(trained, tell, tmp_path, content):
    shutil.copytree(trained, tmp_path / "run")
    path = tmp_path / "run" / "vocabulary.json"
    known = json.loads(path.read_text())
    path.unlink()
    if content is not None:
        path.write_text(json.dumps(known[::-1]) if content == "reversed" else content)
    status, _, err = tell("generate", "the", "--run", tmp_path / "run")
    assert status == 1 and "vocabulary" in err and err.count("\n") == 1


def test_run_of_another_text_is_refused(trained, tell, tmp_path):
    other = _small_language.write_text(tmp_path, TEXT + "More.", "other.txt")
    status, _, err = tell(*_small_language.arguments(other, trained))
    assert status == 1 and "content of --text" in err


def outcome(path):
    """Everything that must not depend on interruptions."""
    folder = RunFolder.open(path, experiment=char_lm.NAME)
    params = jax.device_get(load_model(folder).params)
    journal = (path / "metrics.jsonl").read_bytes()
    return journal, [leaf.tobytes() for leaf in jax.tree.leaves(params)]


@pytest.mark.parametrize("step", [2, 14], ids=["first pass", "second pass"])
def test_interrupted_run_takes_up_the_carried_state_bit_for_bit(
    text, trained, tmp_path, monkeypatch, step
):
    config = _small_language.config(text)
    add = JsonLines.add

    def add_and_interrupt(self, record):
        add(self, record)
        if record["step"] == step and record.get("split") == "train":
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="to resume"):
        patch.setattr(JsonLines, "add", add_and_interrupt)
        char_lm.EXPERIMENT.train(config, tmp_path / "run")
    folder = char_lm.EXPERIMENT.train(config, tmp_path / "run")
    assert outcome(folder.path) == outcome(trained)


def test_carry_goes_from_step_to_step_and_its_gradient_stops(text):
    training = training_of(_small_language.config(text))
    step = make_carried_train_step(training.loss_fn, training.optimizer)
    states = [loop.initial_state(training)]
    for i in range(2):
        copy = jax.tree.map(jax.numpy.copy, states[-1])
        states.append(step(copy, training.train[i], jax.random.key(0))[0])
    start, first, _ = states

    def losses(carry):
        batch = training.train[1]
        totals, _ = training.loss_fn(first.params, batch, None, carry)
        return float(totals["loss"].mean)

    assert not any(leaf.any() for leaf in jax.tree.leaves(start.carry))
    assert losses(first.carry) != losses(start.carry)
    _, metrics = step(jax.tree.map(jax.numpy.copy, first), training.train[1], jax.random.key(0))
    assert float(metrics["loss"].mean) == pytest.approx(losses(first.carry), rel=1e-6)
    anew = training.train[1] | {"fresh": np.array(True)}
    totals, _ = training.loss_fn(first.params, anew, None, first.carry)
    assert float(totals["loss"].mean) == pytest.approx(losses(start.carry), rel=1e-6)


def test_rows_of_the_source_are_trained_and_shown_beside_its_numbers(tell, tmp_path):
    text = _small_language.write_text(tmp_path, "".join(TEXT[i % 45] for i in range(10_000)))
    run = tmp_path / "table"
    words = ["--rows", "gru", "--seeds", "0", "--epochs", "1", "--run", run, "--text", text]
    words += ["--picture", tmp_path / "table.png"]
    status, out, _ = tell("source-table", *words)
    assert status == 0 and "GRU, library layer" in out and "ours, 1 seed(s)" in out
    (axes,) = _figures.drawn(tmp_path / "table.png").axes
    ours, published = _figures.curves(axes)
    metrics = json.loads((run / "gru" / "0" / "result.json").read_text())["metrics"]
    np.testing.assert_allclose(ours, [[1, metrics["perplexity_1"] - 1]])
    np.testing.assert_allclose(published[:, 1] + 1, [n for n in ROWS["gru"].published if n])
    assert {"GRU, library layer", "the source's numbers"} <= {*_figures.words(axes)}
    settings = json.loads((run / "gru" / "0" / "config.json").read_text())["settings"]
    expected = {"learning_rate": 0.01, "clip_norm": 0.01, "steps": 35, "batch_size": 32}
    assert expected.items() <= settings.items() and settings["hidden_size"] == 256
    status, _, err = tell("source-table", "--rows", "tcn")
    assert status == 1 and "There is no row tcn" in err


def test_table_of_the_readme_is_that_of_the_results():
    text = (report.HERE / "char_lm" / "README.md").read_text(encoding="utf-8")
    assert f"<!-- char_lm:begin -->\n{markdown_rows(report.read_results())}" in text


def test_every_row_of_the_source_has_its_numbers():
    assert len(ROWS) == 7
    assert all(len(row.published) == len(EPOCHS) for row in ROWS.values())
