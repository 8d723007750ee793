"""The made-up tasks against brute force, their settings, and the experiment that uses them."""

import dataclasses
import itertools
import json
import math

import jax
import numpy as np
import pytest

import birnn_jax
from experiments.memory_tasks import __main__ as memory_tasks
from experiments.memory_tasks import config as memory_tasks_config
from experiments.runner.run import loop
from experiments.runner.run.folder import RunFolder
from experiments.synthetic import tasks
from experiments.synthetic.commands import load_network
from experiments.synthetic.config import SyntheticConfig
from experiments.synthetic.data import TEST, Numbers, examples_of
from experiments.synthetic.model import make_training, totals_of
from tests import _figures
from tests.experiments._commands import command
from tests.experiments._trainings import grown_from, started_training
from tests.experiments.test_runs import interrupt_at

pytestmark = pytest.mark.slow

SMALL = {
    **{"task": "order", "length": 10, "cell": "elman", "hidden_size": 3, "batch_size": 4},
    **{"steps": 6, "steps_per_evaluation": 2, "held_out": 8, "learning_rate": 0.1},
}
CHANGES = {
    "task": "parity",
    "length": 11,
    "cell": "gru",
    "direction": "bwd",
    "layers": 2,
    "hidden_size": 4,
    "w_h": "identity",
    "optimizer": "sgd",
    "learning_rate": 0.2,
    "clip_norm": None,
    "batch_size": 5,
    "steps": 8,
    "steps_per_evaluation": 3,
    "held_out": 12,
    "seed": 1,
}
OF_GATES = {"forget_bias": 2.0, "time_span": 9}


def config(**changes):
    return SyntheticConfig(**(SMALL | changes))


def examples(name, length, batch_size=200):
    made = tasks.TASKS[name].make(jax.random.key(3), batch_size, length)
    return jax.tree.map(np.asarray, made)


def test_adding_asks_for_the_sum_of_one_number_of_each_half():
    xs, answers, mask = examples("adding", 7)
    numbers, markers = xs[..., 0], xs[..., 1]
    assert ((numbers >= 0) & (numbers < 1)).all() and set(np.unique(markers)) == {0, 1}
    places = [np.flatnonzero(row) for row in markers]
    assert {len(place) for place in places} == {2}
    assert {place[0] for place in places} == {0, 1, 2}
    assert {place[1] for place in places} == {3, 4, 5, 6}
    sums = [row[place[0]] + row[place[1]] for row, place in zip(numbers, places, strict=True)]
    np.testing.assert_allclose(answers[:, -1], sums, rtol=1e-6)
    assert mask.tolist() == [[False] * 6 + [True]] * 200


def test_copy_asks_for_the_symbols_after_the_sign():
    xs, answers, mask = examples("copy", 5)
    symbols = xs.argmax(axis=-1)
    assert (xs.sum(axis=-1) == 1).all() and symbols.shape == (200, 25) and mask.all()
    assert set(np.unique(symbols[:, :10])) == set(range(1, 9))
    assert (symbols[:, 10:14] == 0).all() and (symbols[:, 14] == 9).all()
    assert (symbols[:, 15:] == 0).all() and (answers[:, :15] == 0).all()
    np.testing.assert_array_equal(answers[:, 15:], symbols[:, :10])


def test_order_asks_for_two_symbols_in_their_order():
    xs, answers, mask = examples("order", 40, 400)
    symbols = xs.argmax(axis=-1)
    places = [np.flatnonzero(row < 2) for row in symbols]
    assert {len(place) for place in places} == {2}
    assert {place[0] for place in places} == set(range(4, 8))
    assert {place[1] for place in places} == set(range(20, 24))
    assert set(np.unique(symbols)) == set(range(6))
    classes = [
        2 * row[place[0]] + row[place[1]] for row, place in zip(symbols, places, strict=True)
    ]
    np.testing.assert_array_equal(answers[:, -1], classes)
    assert set(classes) == {0, 1, 2, 3}
    assert mask.sum() == 400 and mask[:, -1].all()


def test_parity_asks_whether_the_ones_so_far_are_odd():
    xs, answers, mask = examples("parity", 6)
    for bits, row in zip(xs[..., 0], answers, strict=True):
        assert row.tolist() == [list(bits[: t + 1]).count(1.0) % 2 for t in range(6)]
    assert set(np.unique(xs)) == {-1, 1} and mask.all()


@pytest.mark.parametrize(("length", "lag"), [(8, 1), (17, 2)])
def test_xor_asks_for_two_bits_at_equal_distances(length, lag):
    xs, answers, mask = examples("xor", length)
    bits = xs[..., 0] > 0
    for b, t in np.argwhere(mask):
        assert answers[b, t] == (bits[b, t - lag] != bits[b, t + lag])
    assert mask[0].tolist() == [lag <= t < length - lag for t in range(length)]


@pytest.mark.parametrize("name", tasks.TASKS)
def test_batches_are_functions_of_seed_part_and_number(name):
    small = config(task=name)

    def xs(seed, part, number):
        batch = Numbers(dataclasses.replace(small, seed=seed), part, number + 1)[number]
        return np.asarray(examples_of(small, batch).xs)

    np.testing.assert_array_equal(xs(0, 1, 2), xs(0, 1, 2))
    for other in ([1, 1, 2], [0, 2, 2], [0, 1, 3]):
        assert (xs(0, 1, 2) != xs(*other)).any()


def test_rows_of_a_batch_are_those_of_the_whole():
    small = config(task="copy")
    batch = Numbers(small, TEST, 1)[0]
    some = examples_of(small, batch | {"rows": batch["rows"][1:3]})
    for part, whole in zip(some, examples_of(small, batch), strict=True):
        np.testing.assert_array_equal(part, whole[1:3])


def test_best_constant_of_adding_errs_by_a_sixth():
    answers = examples("adding", 10, 20_000).answers[:, -1]
    assert answers.var() == pytest.approx(tasks.TASKS["adding"].memoryless(10), rel=0.05)


def test_copying_without_a_memory_costs_ten_guesses():
    made = tasks.copy(jax.random.key(0), 3, 7)
    logits = np.full([3, 27, 10], -1e9, "f")
    logits[:, :17, 0] = 0
    logits[:, 17:, 1:9] = 0
    loss = totals_of(jax.numpy.asarray(logits), made)["loss"].mean
    assert float(loss) == pytest.approx(tasks.TASKS["copy"].memoryless(7), rel=1e-6)
    assert tasks.TASKS["copy"].memoryless(1000) == pytest.approx(0.02039, abs=5e-6)  # Bai et al.


def best_share(length, asked, seen, answer):
    """The share right of the best rule that knows `seen(bits, t)`, over all strings of bits."""
    counts = {}
    for bits in itertools.product([0, 1], repeat=length):
        for t in asked:
            pair = counts.setdefault((t, seen(bits, t)), [0, 0])
            pair[answer(bits, t)] += 1
    total = sum(map(sum, counts.values()))
    return sum(map(max, counts.values())) / total


def test_parity_without_a_memory_is_known_at_the_first_step_only():
    share = best_share(6, range(6), lambda bits, t: bits[t], lambda bits, t: sum(bits[: t + 1]) % 2)
    assert share == pytest.approx(tasks.TASKS["parity"].memoryless(6))


@pytest.mark.parametrize(
    ("seen", "share"),
    [
        (lambda bits, t: bits[: t + 1], 0.5),
        (lambda bits, t: bits[t:], 0.5),
        (lambda bits, t: bits, 1.0),
    ],
    ids=["past", "future", "both"],
)
def test_xor_is_a_coin_toss_for_every_causal_rule(seen, share):
    best = best_share(8, range(1, 7), seen, lambda bits, t: bits[t - 1] ^ bits[t + 1])
    assert best == share == (tasks.TASKS["xor"].memoryless(8) if share < 1 else 1)


def computed(settings):
    """All that a run computes: its batches, its parameters, and the text of its step."""
    training = make_training(settings)
    batches = [
        [jax.tree.map(np.ndarray.tolist, source[i]) for i in range(len(source))]
        for source in parts(training)
    ]
    state = loop.initial_state(training)
    step, _ = loop._make_steps(training)
    text = jax.jit(step).lower(state, training.train[0], jax.random.key(0)).as_text()
    return batches, [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(state)], text


def parts(training):
    return training.train, training.dev


def test_every_option_is_tested():
    names = {field.name for field in dataclasses.fields(SyntheticConfig)}
    assert names == CHANGES.keys() | OF_GATES.keys()


@pytest.fixture(scope="module")
def usually_computed():
    return {cell: computed(config(cell=cell)) for cell in ("elman", "lstm")}


def test_same_options_compute_the_same(usually_computed):
    assert computed(config()) == usually_computed["elman"]


@pytest.mark.parametrize(
    ("cell", "name", "value"),
    [("elman", *one) for one in CHANGES.items()] + [("lstm", *one) for one in OF_GATES.items()],
    ids=[*CHANGES, *OF_GATES],
)
def test_option_changes_what_is_computed(usually_computed, cell, name, value):
    assert computed(config(**{"cell": cell, name: value})) != usually_computed[cell]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hidden_size": 0}, "hidden_size must be positive, got 0"),
        ({"learning_rate": -1.0}, "learning_rate must be positive"),
        ({"steps": 7}, "steps must be a multiple of steps_per_evaluation, got 7 and 2"),
        ({"length": 9}, "order needs a length of at least 10, got 9"),
        ({"forget_bias": 1.0}, "Unknown option 'forget_bias' for the init of ELMAN"),
        ({"w_h": "orthogonol"}, "orthogonol"),
        ({"clip_norm": 0.0}, "clip_norm must be positive"),
    ],
)
def test_impossible_settings_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        loop.initial_state(make_training(config(**changes)))


def outcome(path, settings):
    state = loop.best_state(RunFolder.open(path), loop.initial_state(make_training(settings)))
    result = json.loads((path / "result.json").read_text())
    leaves = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]
    return (path / "metrics.jsonl").read_bytes(), leaves, result["metrics"]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    path = tmp_path_factory.mktemp("unbroken")
    memory_tasks.EXPERIMENT.train(config(), path)
    return path


def test_interrupted_run_goes_on_bit_for_bit(unbroken, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="to resume"):
        interrupt_at(patch, 3)
        memory_tasks.EXPERIMENT.train(config(), tmp_path)
    memory_tasks.EXPERIMENT.train(config(), tmp_path)
    assert outcome(tmp_path, config()) == outcome(unbroken, config())


def test_finished_run_is_left_alone(unbroken, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in unbroken.iterdir()}
    monkeypatch.setattr(loop, "fit", None)
    memory_tasks.EXPERIMENT.train(config(), unbroken)
    assert {path: path.stat().st_mtime_ns for path in unbroken.iterdir()} == before


@pytest.mark.parametrize(
    ("task", "solved", "unsolved"),
    [("order", {"accuracy": 1.0}, {"accuracy": 0.99}), ("adding", {"loss": 9e-4}, {"loss": 2e-3})],
)
def test_solved_task_ends_the_run(task, solved, unsolved):
    training = make_training(config(task=task))
    assert training.score(solved) >= training.enough > training.score(unsolved)


def test_test_sequences_are_not_those_of_training_or_dev():
    training = make_training(config())

    def numbers(source):
        batches = [source[i] for i in range(len(source))]
        names = ("seed", "part", "number")
        columns = [np.concatenate([np.atleast_1d(one[name]) for one in batches]) for name in names]
        return set(zip(*(column.tolist() for column in columns), strict=True))

    seen = set().union(*map(numbers, parts(training)))
    assert seen.isdisjoint(numbers(Numbers(config(), TEST, 9)))


def test_sweep_trains_what_is_missing_and_draws(tmp_path, monkeypatch, capsys):
    options = ("--tasks", "parity", "--lengths", 4, "--seeds", 0, "--steps", 2, "--runs", tmp_path)
    monkeypatch.setitem(
        memory_tasks_config.PLANS, "parity", memory_tasks_config.Plan((4,), ("Elman",), {})
    )
    picture = tmp_path / "new" / "lengths.png"
    assert command(monkeypatch, memory_tasks, "sweep", *options, "--picture", picture) == 0
    assert "accuracy" in capsys.readouterr().out
    run = tmp_path / "parity-4-elman-seed0"
    accuracy = json.loads((run / "result.json").read_text())["metrics"]["accuracy"]
    panel, *_, legend = _figures.drawn(picture).axes
    *ours, without_memory = _figures.curves(panel)
    assert all(points.tolist() == [[4, accuracy]] for points in ours) and ours
    np.testing.assert_allclose(without_memory[:, 1], tasks.TASKS["parity"].memoryless(4))
    assert "Elman" in _figures.words(legend)
    told = ("predict", "--run", run, "--json", "0110", "10011")
    assert command(monkeypatch, memory_tasks, *told) == 0
    config, params = load_network(RunFolder.open(run))
    for line, bits in zip(capsys.readouterr().out.splitlines(), ("0110", "10011"), strict=True):
        xs = np.array([[2.0 * int(bit) - 1] for bit in bits], "f")
        outputs = np.asarray(birnn_jax.tagger(config.stack, params, xs[None])[0])
        answer = "".join(map(str, outputs.argmax(axis=-1)))
        assert json.loads(line) == {"sequence": bits, "answer": answer}
    longer = ("train", "--from", run, "--length", 6, "--run", tmp_path / "longer")
    training = started_training(monkeypatch, memory_tasks, *longer)
    assert grown_from(training, params) == set()
    names = {"config.json", "environment.json", "metrics.jsonl", "clock.jsonl", "result.json"}
    assert {path.name for path in run.iterdir()} == names | {"curves.png", "checkpoints"}


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("sweep", "--tasks", "adition"), 1, "no task 'adition'; there are adding, copy"),
        (("train", "--task", "xor", "--length", 7), 2, "xor needs a length of at least 8, got 7"),
    ],
    ids=["sweep", "train"],
)
def test_bad_command_line_is_answered_by_a_sentence(monkeypatch, capsys, words, status, sentence):
    assert command(monkeypatch, memory_tasks, *words) == status
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_plans_are_those_of_the_tasks():
    assert memory_tasks_config.PLANS.keys() == tasks.TASKS.keys()
    for task, plan in memory_tasks_config.PLANS.items():
        for variant in plan.variants:
            made = memory_tasks_config.config_of(task, variant, plan.lengths[0], None)
            assert made.task == task and made.steps % made.steps_per_evaluation == 0
    assert math.isclose(
        memory_tasks_config.config_of("copy", "LSTM, chrono", 10, None).time_span, 30
    )
