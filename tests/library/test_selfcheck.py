"""The self-check finds every backend, and errors that are planted."""

import jax
import jax.numpy as jnp
import pytest

from birnn_jax import LSTM
from birnn_jax._recurrence.backends import REFERENCE, XLA
from birnn_jax.kernels.cpu import library as cpu
from birnn_jax.selfcheck import compare as selfcheck


@pytest.fixture
def a_single_cell(monkeypatch):
    monkeypatch.setattr(selfcheck, "CELLS", {"lstm": LSTM})


ARGS = ["--cases", "1", "--seed", "3"]


def test_selfcheck_prints_the_errors_of_every_backend(a_single_cell, capsys):
    assert selfcheck.main(ARGS) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if " lstm " in line]
    native = [f"cpu_kernel {isa}" for isa in cpu.find_isas()] if cpu.is_registered() else []
    double = ["cpu_kernel float64"] if cpu.has_float64() else []
    want = [*native, "xla", "reference", *double]
    assert [" ".join(row[: row.index("lstm")]) for row in rows] == want
    for row in rows:
        low, high = (1e-18, 1e-11) if "float64" in row else (1e-9, 2e-5)
        assert all(low < float(number) < high for number in row[-2:])


def wrong_values(params):
    return jax.tree.map(lambda w: w * 1.0005, params)


def wrong_gradient_of_one_weight(params):
    changed = params.w_h.at[-1, -1].multiply(1.5)
    return params._replace(w_h=changed + jax.lax.stop_gradient(params.w_h - changed))


def not_a_number(params):
    return jax.tree.map(lambda w: w * jnp.nan, params)


@pytest.mark.parametrize("change", [wrong_values, wrong_gradient_of_one_weight, not_a_number])
def test_selfcheck_finds_a_planted_error(change, monkeypatch, capsys):
    wrong = LSTM._replace(step=lambda params, carry, x: LSTM.step(change(params), carry, x))
    monkeypatch.setattr(selfcheck, "CELLS", {"lstm": wrong})
    monkeypatch.setattr(selfcheck, "BACKENDS", (XLA, REFERENCE))  # of any cell
    assert selfcheck.main(ARGS) == 1
    assert capsys.readouterr().out.count("WRONG") == 2
