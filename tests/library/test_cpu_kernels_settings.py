"""Segments, gaps and noise inside the native CPU kernels, for every cell that they know."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import Bi, Segments, bidirectional
from birnn_jax._core.keys import fold_in_each
from birnn_jax.cells import (
    LAYER_NORM_LSTM_TFA,
    LSTM,
    MINGRU,
    MINLSTM,
    PEEPHOLE_LSTM,
    SLSTM,
    LinearStep,
    candidate_dropout,
    parallel,
    recurrent_dropout,
    zoneout,
)
from birnn_jax.kernels.cpu import call
from birnn_jax.kernels.cpu import library as cpu
from birnn_jax.kernels.cpu.keys import fold_in
from birnn_jax.selfcheck import compare
from tests.library._cases import assert_close, random_cell, random_like, random_xs, weigh

pytestmark = pytest.mark.skipif(not cpu.is_registered(), reason=cpu.load().note)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", compare.FAST["cpu_kernel"])
def test_settings_give_what_the_equations_say(name, seed):
    """Sizes around those of vectors; lengths, gaps or segments; noise, its expectation or none."""
    case = compare._draw_case(name, np.random.default_rng(seed), everything=seed == 0)
    for isa in cpu.find_isas():
        with cpu.forced_isa(isa):
            errors = compare._compare("cpu_kernel", case)
        assert max(errors) < compare.LIMIT, isa


@pytest.mark.skipif(not cpu.has_float64(), reason="no kernels for float64 on this processor")
@pytest.mark.parametrize("name", compare.FAST["cpu_kernel"])
def test_float64_gives_what_the_equations_say_to_its_last_digits(name):
    """The same, with noise: its numbers have 52 random bits in place of 23."""
    with jax.enable_x64(True):
        case = compare._draw_case(name, np.random.default_rng(4), everything=True, dtype=np.float64)
        assert max(compare._compare("cpu_kernel", case)) < compare.LIMIT_64


def swap_masks(arguments):
    """The candidate's mask as that of the cell state."""
    changed = list(arguments)
    changed[-3], changed[-2] = changed[-2], changed[-3]
    return changed


def forget_starts(arguments):
    changed = list(arguments)
    changed[8] = jnp.zeros([0, 0], bool)
    return changed


def see_everything(arguments):
    changed = list(arguments)
    changed[-4] = jnp.ones_like(changed[-4])
    return changed


def start_from_zero(arguments):
    changed = list(arguments)
    changed[9:11] = map(jnp.zeros_like, changed[9:11])
    return changed


def swap_scales(arguments):
    """Those of both products."""
    changed = list(arguments)
    scale_x, scale_h, rest = jnp.split(changed[3], [changed[2].size, 2 * changed[2].size])
    changed[3] = jnp.concatenate([scale_h, scale_x, rest])
    return changed


@functools.cache
def case_of_everything(name):
    return compare._draw_case(name, np.random.default_rng(9), everything=True)


@pytest.mark.parametrize(
    ("mistake", "name"),
    [
        (swap_masks, "lstm"),
        (forget_starts, "lstm"),
        (see_everything, "lstm"),
        (start_from_zero, "lstm"),
        (forget_starts, "layer_norm_lstm_ba"),
        (swap_scales, "layer_norm_lstm_ba"),
    ],
)
def test_planted_mistakes_are_caught(mistake, name, monkeypatch):
    case = case_of_everything(name)
    assert max(compare._compare("cpu_kernel", case)) < compare.LIMIT
    arguments, run = call._arguments, compare._outputs_and_grads.__wrapped__
    monkeypatch.setattr(call, "_arguments", lambda direction: mistake(arguments(direction)))
    # Another function, which was not compiled before.
    again = jax.jit(
        lambda cell, *args, residuals, backend: run(
            cell, *args, residuals=residuals, backend=backend
        ),
        static_argnums=0,
        static_argnames=("residuals", "backend"),
    )
    monkeypatch.setattr(compare, "_outputs_and_grads", again)
    with np.errstate(all="ignore"):
        errors = compare._compare("cpu_kernel", case)
    assert not max(errors) < 10 * compare.LIMIT  # NaN is wrong too


# What JAX makes of them.

NOISY = zoneout(recurrent_dropout(candidate_dropout(PEEPHOLE_LSTM, 0.3), 0.2), h=0.25, c=0.15)
NORMED = zoneout(recurrent_dropout(LAYER_NORM_LSTM_TFA, 0.2), h=0.25, c=0.15)
MINIMAL = zoneout(MINGRU, h=0.25)
LINEAR = zoneout(  # of a user's
    MINLSTM._replace(step=LinearStep(lambda *args: MINLSTM.step.coefficients(*args))), h=0.25
)
IDS = ["noisy", "normed", "minimal", "linear"]
SEGMENTS = Segments(np.array([[1, 1, 0, 2, 2], [3, 3, 3, 3, 3], [0, 0, 0, 0, 0], [0, 1, 2, 0, 3]]))
XS = random_xs(0, 4, 5, 2)
KEY = jax.random.key(5)


@functools.cache
def arguments_of(cell):
    pairs = [random_cell(cell, seed, batch_size=4) for seed in (10, 20)]
    params, carry = (Bi(*pair) for pair in zip(*pairs, strict=True))
    return params, XS, carry


def loss_of(cell, backend):
    def loss(params, xs, carry):
        outputs = bidirectional(
            cell, params, xs, SEGMENTS, initial_carry=carry, key=KEY, backend=backend
        )
        return weigh(outputs)

    return loss


def gradients(loss):
    return jax.grad(loss, (0, 1, 2))


def by_a_single_part(loss):
    return lambda params, xs, carry: jax.grad(
        lambda h: loss(params, xs, carry._replace(bwd=carry.bwd._replace(h=h)))
    )(carry.bwd.h)


def over_inputs(loss):
    many = lambda xs: jnp.stack([xs, 0.5 * xs])  # noqa: E731
    run = jax.vmap(gradients(loss), (None, 0, None))
    return lambda params, xs, carry: run(params, many(xs), carry)


def forward_mode(loss):
    return lambda *args: jax.jvp(loss, args, random_like(args, 3))


def hessian_times_vector(loss):
    return lambda *args: jax.jvp(gradients(loss), args, random_like(args, 3))


def rematerialised(loss):
    return gradients(jax.checkpoint(loss))


@pytest.mark.parametrize(
    "transform",
    [
        gradients,
        by_a_single_part,
        over_inputs,
        forward_mode,
        hessian_times_vector,
        rematerialised,
    ],
)
@pytest.mark.parametrize("cell", [NOISY, NORMED, MINIMAL, LINEAR], ids=IDS)
def test_transformed_kernel_is_the_transformed_reference(transform, cell):
    args = arguments_of(cell)
    runs = (jax.jit(transform(loss_of(cell, name))) for name in ("cpu_kernel", "reference"))
    got, want = (run(*args) for run in runs)
    # Where little varies, a norm makes the gradient of the reference large, and its error.
    shrink = lambda leaf, like: leaf / jnp.maximum(1, jnp.abs(like).max())  # noqa: E731
    assert_close(jax.tree.map(shrink, got, want), jax.tree.map(shrink, want, want))


def test_noise_is_that_of_the_reference_under_any_setting_of_the_generator():
    """Another order of its bits: these the native code does not know, and JAX draws them."""
    run = lambda backend: jax.jit(loss_of(NOISY, backend))(*arguments_of(NOISY))  # noqa: E731
    with jax.threefry_partitionable(False):
        other = run("cpu_kernel")
        assert_close(other, run("reference"))
    assert abs(other - run("cpu_kernel")) > 1e-3


def test_keys_of_rows_are_those_of_jax_and_cost_no_compilation():
    keys = jax.random.split(KEY, (2, 3))
    numbers = jnp.array([0, 7, -1])
    got, want = (jax.vmap(fold, (0, None))(keys, numbers) for fold in (fold_in, fold_in_each))
    assert (jax.random.key_data(got) == jax.random.key_data(want)).all()
    text = jax.jit(loss_of(NOISY, "auto")).lower(*arguments_of(NOISY)).as_text()
    assert "birnn_fold_in" in text and "threefry" not in text.replace("threefry2x32>", "")


@pytest.mark.parametrize("spread", [1, 10])
def test_slstm_starts_where_units_have_seen_nothing_and_with_gates_far_apart(spread):
    """By the normaliser, too, while the other arrays of the carry stand still."""
    cell = SLSTM.with_init(heads=7)
    params, xs, carry = arguments_of(cell)
    params = jax.tree.map(lambda leaf: spread ** (leaf.ndim == 1) * leaf, params)
    n = jax.tree.map(lambda n: jnp.where(jnp.arange(7) % 2 == 0, n, 0), Bi(*(c.n for c in carry)))

    def run(backend):
        def loss(params, xs, n):
            start = Bi(*(own._replace(n=n) for own, n in zip(carry, n, strict=True)))
            return loss_of(cell, backend)(params, xs, start)

        return jax.jit(jax.grad(loss, (0, 1, 2)))(params, xs, n)

    assert_close(run("cpu_kernel"), run("reference"))


@pytest.mark.parametrize("transform", [gradients, rematerialised])
@pytest.mark.parametrize("cell", [NOISY, NORMED, MINIMAL, LINEAR], ids=IDS)
def test_gradient_has_no_loop_of_xla(transform, cell):
    lowered = jax.jit(transform(loss_of(cell, "auto"))).lower(*arguments_of(cell))
    text = lowered.as_text()
    name = "birnn_linear_backward" if cell is LINEAR else "birnn_backward_2"
    assert name in text and not re.search(r"stablehlo.while.*f32", text)


@pytest.mark.parametrize("cell", [NOISY, LINEAR], ids=["noisy", "linear"])
def test_program_names_the_build_of_the_kernels_that_it_calls(cell, monkeypatch):
    """By its text a persistent compilation cache finds a program again."""
    called = []
    for digest in ("first", "second"):
        monkeypatch.setattr(cpu, "_digest_of_build", lambda digest=digest: digest)
        jax.clear_caches()
        text = jax.jit(gradients(loss_of(cell, "auto"))).lower(*arguments_of(cell)).as_text()
        called.append(re.findall(r"@(birnn_[\w.]+)", text))
    first, second = called
    assert len(first) > 1 and all(name.endswith(".first") for name in first)
    assert second == [name.replace(".first", ".second") for name in first]


def test_parallel_cell_steps_where_there_are_kernels():
    params, xs, carry = arguments_of(MINGRU)
    run = lambda cell: jax.jit(  # noqa: E731
        lambda xs: bidirectional(cell, params, xs, SEGMENTS, initial_carry=carry)
    )
    text = run(parallel(MINGRU)).lower(xs).as_text()
    assert text.count("birnn_forward_2") == 1
    assert_close(run(parallel(MINGRU))(xs), run(MINGRU)(xs))


def test_carry_with_noise_goes_on_where_chunks_end():
    """`visited` counts across chunks, and from one at the start of a segment."""
    cell, params, xs = recurrent_dropout(zoneout(LSTM, h=0.5), 0.3), *_long_inputs()
    ids = Segments(np.repeat([[1, 2, 3, 4]], 9, axis=1).repeat(2, axis=0))
    run = functools.partial(bidirectional, cell, params, xs, ids, key=KEY, backend="cpu_kernel")
    assert_close(run(residuals="chunked"), run(residuals="states"))


def _long_inputs():
    params = Bi(*(random_cell(LSTM, seed, batch_size=2)[0] for seed in (1, 2)))
    return params, random_xs(3, 2, 36, 2)
