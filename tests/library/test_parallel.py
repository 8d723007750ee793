"""`parallel`: over all of time at once as step by step, by one scan or by Newton iterations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import Segments, scan_cell
from birnn_jax.cells import INDRNN, LSTM, MINGRU, MINLSTM, PARA_GRU, PARA_LSTM, parallel
from birnn_jax.inspection import newton_iterations
from tests.library._cases import (
    LENGTHS,
    PADDING,
    B,
    D,
    H,
    assert_close,
    assert_equal,
    random_cell,
    random_xs,
    weigh,
)

DIAGONAL = {"para_gru": PARA_GRU, "para_lstm": PARA_LSTM, "indrnn": INDRNN}
BOTH_KINDS = DIAGONAL | {"mingru": MINGRU, "minlstm": MINLSTM}
EVERY_CELL = pytest.mark.parametrize("cell", BOTH_KINDS.values(), ids=BOTH_KINDS.keys())
EACH_KIND = pytest.mark.parametrize("cell", [PARA_GRU, MINLSTM], ids=["para_gru", "minlstm"])
SEGMENTS = Segments(np.array([[1, 1, 2, 2, 0], [0, 3, 3, 3, 4], [0, 0, 0, 0, 0]]))


@functools.partial(jax.jit, static_argnames=("cell", "reverse"))
def run(cell, params, xs, carry, lengths=LENGTHS, *, reverse=False):
    """Outputs and gradients."""

    def loss(params, xs, carry):
        out = in_xla(cell)(params, xs, lengths, initial_carry=carry, reverse=reverse)
        return weigh(out), out

    return jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(params, xs, carry)


def in_xla(cell):
    """`scan_cell` with a backend that does as the cell says, on a CPU too."""
    return functools.partial(scan_cell, cell, backend="xla")


@EVERY_CELL
@pytest.mark.parametrize("lengths", [LENGTHS, SEGMENTS], ids=["lengths", "segments"])
def test_values_and_gradients_are_those_of_steps(cell, lengths, x64):
    params, carry = random_cell(cell, 1, dtype="float64")
    args, reverse = (params, random_xs(dtype="float64"), carry, lengths), lengths is SEGMENTS
    at_once = run(parallel(cell), *args, reverse=reverse)
    assert_close(at_once, run(cell, *args, reverse=reverse), "float64")


@pytest.mark.parametrize("cell", [PARA_GRU, PARA_LSTM], ids=["para_gru", "para_lstm"])
def test_second_derivatives_are_those_of_steps(cell, x64):
    params, carry = random_cell(cell, 1, dtype="float64")
    xs, d_xs = random_xs(dtype="float64"), random_xs(7, dtype="float64")

    def curvature(cell):
        def gradient(xs, carry):
            return jax.grad(
                lambda xs: weigh(in_xla(cell)(params, xs, LENGTHS, initial_carry=carry))
            )(xs)

        return jax.jit(lambda xs: jax.jvp(gradient, (xs, carry), (d_xs, carry))[1])(xs)

    assert_close(curvature(parallel(cell)), curvature(cell), "float64")


@EACH_KIND
def test_padding_changes_no_value_and_no_gradient(cell):
    params, carry = random_cell(cell, 1)
    xs = random_xs()
    dirty = jnp.where(PADDING[..., None], jnp.nan, xs)
    clean = run(parallel(cell), params, xs, carry)
    assert_equal(run(parallel(cell), params, dirty, carry), clean)
    assert not np.asarray(clean[1][1])[PADDING].any()


@EACH_KIND
@pytest.mark.parametrize("reverse", [False, True])
def test_no_steps_keep_the_carry(cell, reverse):
    params, carry = random_cell(cell, 1)
    (_, out), _ = run(parallel(cell), params, random_xs(0, B, 0, D), carry, None, reverse=reverse)
    assert_equal(out, (carry, jnp.zeros([B, 0, H])))


def test_newton_has_no_loop_over_time_and_a_cpu_takes_steps_by_itself():
    """`while` is the loop of iterations."""
    params, _ = random_cell(PARA_GRU, 1)
    at_once = str(jax.make_jaxpr(in_xla(parallel(PARA_GRU)))(params, random_xs()))
    assert "while[" in at_once and "scan[" not in at_once
    for cell in (PARA_GRU, parallel(PARA_GRU)):
        run = functools.partial(scan_cell, cell)
        assert "while[" not in str(jax.make_jaxpr(run)(params, random_xs()))


def test_one_scan_is_no_loop_over_time():
    params, _ = random_cell(MINGRU, 1)
    texts = [
        str(jax.make_jaxpr(in_xla(cell))(params, random_xs()))
        for cell in (MINGRU, parallel(MINGRU))
    ]
    assert ["scan[" in text for text in texts] == [True, False]


@pytest.mark.parametrize(("scale", "least", "most"), [(1.0, 2, 8), (8.0, 10, 90)])
@pytest.mark.parametrize("cell", DIAGONAL.values(), ids=DIAGONAL.keys())
def test_iterations_are_counted_and_end_when_every_step_fits(cell, scale, least, most):
    """Recurrent weights that amplify take more of them, and agree all the same."""
    params, carry = random_cell(cell, 1)
    if cell is not INDRNN:  # whose states would overflow
        params = params._replace(w_h=scale * params.w_h)
    xs = random_xs(3, B, 90, D)
    lengths = np.array([90, 40, 0])
    report = jax.jit(newton_iterations, static_argnums=0)(
        cell, params, xs, lengths, initial_carry=carry
    )
    assert report.iterations[2] == 0 and report.residual.max() < 1e-4
    assert report.difference.max() < 1e-4
    if cell is not INDRNN:
        assert least <= report.iterations[0] <= most


def test_what_is_not_diagonal_is_refused():
    params, _ = random_cell(LSTM, 1)
    with pytest.raises(ValueError, match="DiagonalStep, such as PARA_GRU; got LSTM"):
        newton_iterations(LSTM, params, random_xs())
    with pytest.raises(ValueError, match="whose step is a DiagonalStep"):
        parallel(LSTM)
    assert parallel(parallel(PARA_GRU)) == parallel(PARA_GRU) != parallel(MINGRU)
    assert repr(parallel(PARA_LSTM)) == "parallel(PARA_LSTM)"
