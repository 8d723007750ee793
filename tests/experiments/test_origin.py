"""Trainings that start from a trained model: its parameters, a larger vocabulary, frozen parts."""

import dataclasses
import functools
import json
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

from birnn_jax import Total, make_optimizer
from birnn_jax.interop import safetensors
from birnn_jax.training import average_of, with_average
from experiments.pos_tagging import __main__ as pos_tagging
from experiments.pos_tagging.model import load_tagger
from experiments.runner.data.batches import Batches
from experiments.runner.export.weights import WEIGHTS
from experiments.runner.run import loop
from experiments.runner.run.folder import RUN_OF_EXPORT, RunFolder
from experiments.runner.run.origin import Origin, frozen, load_origin, named_leaves, started_from
from tests.experiments import _small_tagging
from tests.experiments._commands import command
from tests.experiments._trainings import started_training
from tests.experiments.test_runs import interrupt_at

QUIET = Console(quiet=True)


def loss_fn(params, batch, key):
    """The error of a small network, into which all parameters enter."""
    hidden = jnp.tanh(batch["xs"] @ params["net"]["w"] + params["net"]["b"][None, None])
    error = jnp.square(hidden @ params["out"] - batch["labels"])
    return {"loss": Total(error.sum(), jnp.array(error.size, error.dtype))}


def init_params(inputs, key):
    key_net, key_out = jax.random.split(key)
    net = {"w": jax.random.normal(key_net, [inputs, 5]), "b": jnp.full([5], -0.3)}
    return {"net": net, "out": jax.random.normal(key_out, [5])}


@pytest.fixture
def training():
    rng = np.random.default_rng(0)
    examples = [
        {"xs": rng.normal(size=[4, 3]).astype("f"), "labels": rng.normal(size=[4]).astype("f")}
        for _ in range(6)
    ]
    batches = {"buckets": (4,), "tokens_per_batch": 8}
    return loop.Training(
        loss_fn=loss_fn,
        optimizer=with_average(make_optimizer(0.1, clip_norm=0.01), 0.99),
        init_params=functools.partial(init_params, 3),
        train=Batches(examples, epochs=4, seed=0, **batches),
        dev=Batches(examples, **batches),
        steps_per_evaluation=6,
        patience=9,
        seed=0,
        score=lambda means: -means["loss"],
        evaluated_params=average_of,
    )


def start(path):
    return RunFolder.start(path, experiment="line", settings={"seed": 0}, data={})


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["net"], {"net.w", "net.b"}),
        (["net.b"], {"net.b"}),
        (["*.w", "out"], {"net.w", "out"}),
        ([], set()),
    ],
)
def test_frozen_parameters_do_not_move_and_the_others_do(training, tmp_path, patterns, names):
    changed, chosen = frozen(training, patterns)
    assert {*chosen} == names
    before = named_leaves(loop.initial_state(changed).params)
    folder = start(tmp_path / "run")
    loop.fit(folder, changed, QUIET)
    state = loop.best_state(folder, loop.initial_state(training))  # of the same structure
    for params in (state.params, average_of(state)):
        after = named_leaves(params)
        same = {name for name in before if before[name].tobytes() == after[name].tobytes()}
        assert same == names


def test_frozen_parameters_stay_with_an_optimizer_that_moves_without_a_gradient(training):
    decaying = dataclasses.replace(training, optimizer=optax.adamw(0.1, weight_decay=0.5))
    optimizer = frozen(decaying, ["net"])[0].optimizer
    params = training.init_params(jax.random.key(0))
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(zeros, optimizer.init(params), params)
    moved = {name for name, leaf in named_leaves(updates).items() if leaf.any()}
    assert moved == {"out"}


def test_gradient_is_clipped_by_the_norm_of_what_is_learned(training):
    changed, _ = frozen(training, ["net"])
    state, batch = loop.initial_state(training), training.train[0]
    norms = []
    for one in (training, changed):
        step, _ = loop._make_steps(one)
        _, metrics = step(jax.tree.map(jnp.copy, state), batch, jax.random.key(0))
        norms.append(float(metrics["grad_norm"]))
    means = lambda params: loss_fn(params, batch, None)["loss"].mean  # noqa: E731
    grads = jax.grad(means)(state.params)
    assert norms[1] == pytest.approx(float(jnp.linalg.norm(grads["out"])), rel=1e-5)
    assert norms[1] < 0.99 * norms[0]


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        (
            "nets",
            "There is no parameter 'nets' to freeze. Did you mean net, net.w, net.b? Available: ",
        ),
        ("x*", "There is no parameter 'x*' to freeze. Available: net.b, net.w, out."),
        ("*", "--freeze leaves no parameter to train."),
    ],
)
def test_wrong_name_is_answered_with_those_that_there_are(training, pattern, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        frozen(training, ["out", pattern])


def test_new_rows_are_fresh_and_old_ones_kept(training, tmp_path):
    folder = start(tmp_path / "run")
    loop.fit(folder, training, QUIET)
    larger = dataclasses.replace(training, init_params=functools.partial(init_params, 4))
    origin = load_origin(folder, larger)
    best = average_of(loop.best_state(folder, loop.initial_state(training)))
    jax.tree.map(np.testing.assert_array_equal, origin.params, best)
    params = started_from(larger, origin, ["net.w"]).init_params(jax.random.key(3))
    np.testing.assert_array_equal(params["net"]["w"][:3], best["net"]["w"])
    fresh = init_params(4, jax.random.key(3))
    np.testing.assert_array_equal(params["net"]["w"][3], fresh["net"]["w"][3])
    np.testing.assert_array_equal(params["out"], best["out"])
    with pytest.raises(ValueError, match=r"net.w has shape \[3, 5\] in .*run and \[4, 5\] with"):
        started_from(larger, origin, ["out"])
    moved = jax.tree.map(lambda leaf: leaf + 1, best)
    assert Origin(folder, moved).digest != origin.digest == Origin(folder, best).digest
    other = dataclasses.replace(training, init_params=lambda key: {"out": jnp.zeros([5]), "c": 1.0})
    with pytest.raises(
        ValueError, match=r"is a run of another model: it has no parameter params\['c'\]"
    ):
        load_origin(folder, other)


def test_interrupted_training_from_a_run_goes_on_bit_for_bit(training, tmp_path, monkeypatch):
    loop.fit(start(tmp_path / "origin"), training, QUIET)
    origin = load_origin(start(tmp_path / "origin"), training)
    changed, _ = frozen(started_from(training, origin, []), ["net.b"])
    folders = [start(tmp_path / name) for name in ("unbroken", "interrupted")]
    loop.fit(folders[0], changed, QUIET)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, 7)
        loop.fit(folders[1], changed, QUIET)
    loop.fit(folders[1], changed, QUIET)
    metrics = [(folder.path / "metrics.jsonl").read_bytes() for folder in folders]
    assert metrics[0] == metrics[1]
    assert metrics[0] != (tmp_path / "origin" / "metrics.jsonl").read_bytes()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return _small_tagging.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def new_data(data):
    """Other sentences, with words, a character and a tag that the first data do not have."""
    text = data.read_text().replace("the\t", "th\u00eb\t").replace("\tPUNCT", "\tMARK")
    path = data.parent / "new.tsv"
    path.write_text("\n".join(line for line in text.split("\n") if "# split" not in line))
    return path


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("origin") / "run"
    with pytest.MonkeyPatch.context() as patch:
        assert command(patch, pos_tagging, *_small_tagging.arguments(data, folder)) == 0
    return folder


@pytest.fixture(scope="module")
def tuned(trained, new_data):
    """A tagger that was trained on with new data, its speller frozen."""
    run = trained.parent / "tuned"
    words = ("train", "--from", trained, "--train", new_data, "--epochs", 2, "--run", run)
    with pytest.MonkeyPatch.context() as patch:
        assert command(patch, pos_tagging, *words, "--freeze", "speller", "characters") == 0
    return run


@pytest.fixture(scope="module")
def exported(trained):
    """The folder of the exported tagger, without graphs."""
    folder = trained.parent / "exported"
    without = shutil.ignore_patterns("checkpoints")
    shutil.copytree(trained, folder / RUN_OF_EXPORT, ignore=without)
    safetensors.save(folder / WEIGHTS, load_tagger(RunFolder.open(trained)).params, {})
    return folder


def leaves(run):
    return named_leaves(load_tagger(RunFolder.open(run)).params)


def test_training_from_a_run_has_its_settings_but_for_those_given(trained, tuned, new_data):
    settings, before = (RunFolder.open(run).settings for run in (tuned, trained))
    assert settings.pop("epochs") == 2 and before.pop("epochs") == 3
    assert settings.pop("freeze") == ["speller", "characters"]
    assert settings == before and settings["hidden_size"] == 5
    files = RunFolder.open(tuned).config["data"]
    assert {file["path"] for file in files.values()} == {str(new_data)}  # split off
    origin = json.loads((tuned / "config.json").read_text())["origin"]
    assert origin["run"] == str(trained) and len(origin["params"]) == 16


def test_vocabulary_is_extended_and_frozen_rows_stay(trained, tuned):
    old, new = (load_tagger(RunFolder.open(run)).vocabulary for run in (trained, tuned))
    assert [*new.counts][: len(old.counts)] == [*old.counts] and "th\u00eb" in new.counts
    assert new.characters[: len(old.characters)] == old.characters and "\u00eb" in new.characters
    assert new.tags == [*old.tags, "MARK"]
    before, after = leaves(trained), leaves(tuned)
    for name, leaf in before.items():
        corner = after[name][tuple(slice(0, size) for size in leaf.shape)]
        is_frozen = name.startswith(("speller.", "characters"))
        assert (corner.tobytes() == leaf.tobytes()) == is_frozen, name
    assert after["words"].shape[0] > before["words"].shape[0]
    assert after["tagger.b"].shape == (len(new.tags),)


def test_training_from_an_exported_model_is_that_from_its_run(
    trained, exported, new_data, tmp_path, monkeypatch
):
    words = ("train", "--train", new_data, "--run")
    begun = []
    for number, origin in enumerate((trained, exported)):
        path = tmp_path / str(number)
        started_training(monkeypatch, pos_tagging, *words, path, "--from", origin)
        folder = RunFolder.open(path)
        assert folder.config["origin"]["run"] == str(origin)
        begun.append((folder.identity, (path / "vocabulary.json").read_text()))
    assert begun[0] == begun[1] and "parameters of --from" in begun[0][0]


def test_tuned_tagger_stands_alone(trained, tuned, tmp_path, monkeypatch, capsys):
    shutil.copytree(tuned, tmp_path / "alone")
    told = ("predict", "--run", tmp_path / "alone", "th\u00eb man .")
    assert command(monkeypatch, pos_tagging, *told) == 0
    assert capsys.readouterr().out.split()[:3] == ["th\u00eb", "man", "."]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--from", "no"), "no is not a run folder: it has no config.json."),
        (("--from", "{run}", "--run", "{run}"), "--from and --run are both"),
        (("--from", "{model}", "--run", "{new}"), "nor model.safetensors beside it: give the run"),
        (("--from", "{whole}", "--run", "{new}", "--layers", 2), "has no parameter tagger.rnn.1."),
        (("--from", "{run}", "--run", "{new}", "--freeze", "spellar"), "Did you mean speller"),
        (("--from", "{run}", "--run", "{new}", "--hidden-size", 7), "[11, 5] in {run} and [11, 7]"),
        (("--from", "{run}", "--run", "{new}", "--layers", 2), "is a run of another model"),
    ],
)
def test_what_cannot_be_started_from_is_refused_in_a_sentence(
    trained, exported, tmp_path, monkeypatch, capsys, words, sentence
):
    places = {"run": trained, "new": tmp_path / "new", "model": tmp_path / "exported"}
    places["whole"] = exported
    shutil.copytree(exported / RUN_OF_EXPORT, tmp_path / "exported" / RUN_OF_EXPORT)
    words = [str(word).format(**places) for word in words]
    assert command(monkeypatch, pos_tagging, "train", *words) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith("error: ") and sentence.format(**places) in said
    assert not (tmp_path / "new").exists()
