"""The benchmark of compile times: which step it compiles, and what it prints."""

import itertools

import jax
import pytest

from benchmarks import compile_time
from birnn_jax.training import quick_compilation


class Step:
    """Stands for a step, a traced and a lowered one; records what it is traced with."""

    def __init__(self, loss_fn, options):
        self.loss_fn, self.options, self.given = loss_fn, options, None

    def trace(self, state, batch, key):
        jax.eval_shape(self.loss_fn, state.params, batch, key)
        self.given = state.params, batch
        return self

    def lower(self):
        return self

    def compile(self):
        return self


@pytest.fixture
def steps(monkeypatch):
    made = []

    def make(loss_fn, optimizer, *, compiler_options):
        made.append(Step(loss_fn, compiler_options))
        return made[-1]

    times = itertools.accumulate(itertools.count())
    monkeypatch.setattr(compile_time, "make_train_step", make)
    monkeypatch.setattr(compile_time.time, "process_time", lambda: next(times))
    return made


def test_options_change_what_is_compiled(steps):
    compile_time.main(
        ["--layers", "2", "--size", "6", "--words", "11", "--steps", "100", "--quick"]
    )
    compile_time.main(["--size", "5", "--steps", "100"])
    (first, (words, _, lengths)), (second, _) = steps[0].given, steps[1].given
    assert words.shape == (5, 100) and lengths.shape == (5,)
    assert [params.tagger.embedding.shape for params in (first, second)] == [(11, 6), (4000, 5)]
    assert [len(params.tagger.rnn) for params in (first, second)] == [2, 1]
    assert [params.tagger.w.shape for params in (first, second)] == [(12, 13), (10, 13)]
    assert steps[0].options == quick_compilation() and steps[1].options is None


def test_mean_leaves_out_the_first_shape(steps, capsys):
    compile_time.main(["--size", "3", "--steps", "40", "64", "128"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        "12, 40: 1.00 + 2.00 + 3.00",
        "8, 64: 5.00 + 6.00 + 7.00",
        "4, 128: 9.00 + 10.00 + 11.00",
        "mean without the first: 24.00",
    ]
