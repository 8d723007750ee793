"""The native CPU kernels give what the equations say, for every size and instruction set."""

import ctypes
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import (
    ELMAN,
    GRU,
    LSTM,
    Bi,
    Mask,
    backends,
    bidirectional,
    init_bidirectional,
    scan_cell,
)
from birnn_jax._core.direction import Direction
from birnn_jax.cells import LAYER_NORM_GRU_BA
from birnn_jax.kernels.cpu import call
from birnn_jax.kernels.cpu import library as cpu
from tests.library import _oracles
from tests.library._cases import random_cell, random_like, random_xs, weigh

pytestmark = pytest.mark.skipif(not cpu.is_registered(), reason=cpu.load().note)

STEPS = {ELMAN: _oracles.elman_step, GRU: _oracles.gru_step, LSTM: _oracles.lstm_step}
CELLS = pytest.mark.parametrize("cell", STEPS, ids=["elman", "gru", "lstm"])

# B, T, D, H: around the widths of vectors and the rows of tiles, above the blocks of weights,
# and more visits than are differentiated at once.
SIZES = [
    (1, 3, 1, 1),
    (15, 2, 33, 16),
    (16, 3, 31, 15),
    (17, 4, 15, 31),
    (31, 2, 16, 17),
    (33, 5, 17, 33),
    (2, 3, 140, 150),
    (3, 90, 2, 5),
    (1, 150, 65, 66),
    (1, 7, 5, 64),
]


def make_inputs(cell, sizes, scale=0.4):
    batch_size, num_steps, input_size, hidden_size = sizes
    options = {"input_size": input_size, "hidden_size": hidden_size, "batch_size": batch_size}
    pairs = [random_cell(cell, seed, **options) for seed in (10, 20)]
    params, carry = (Bi(*pair) for pair in zip(*pairs, strict=True))
    params = jax.tree.map(lambda w: scale * w / max(w.shape[0], 1) ** 0.5, params)
    return params, random_xs(0, batch_size, num_steps, input_size), carry


def make_lengths(batch_size, num_steps):
    return np.random.default_rng(0).permutation(np.arange(batch_size) % (num_steps + 1))


@functools.partial(jax.jit, static_argnames=("cell", "residuals"))
def run(cell, params, xs, lengths, carry, residuals="gates"):
    """Outputs, and the gradients of `weigh`."""

    def loss(params, xs, carry):
        outputs = bidirectional(
            cell,
            params,
            xs,
            lengths,
            initial_carry=carry,
            residuals=residuals,
            backend="cpu_kernel",
        )
        return weigh(outputs), outputs

    (_, outputs), grads = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(params, xs, carry)
    return outputs, grads


def want(cell, params, xs, lengths, carry):
    steps = (STEPS[cell],) * 2
    carries, ys = _oracles.bidirectional(steps, params, xs, lengths, carry)
    return Bi(*carries), np.concatenate(ys, axis=-1)


def weigh_in_float64(outputs):
    def one(leaf):
        weights = np.sin(1.0 + np.arange(leaf[0].size)).reshape(leaf.shape[1:])
        return (leaf * weights.astype(np.float32)).sum()

    return sum(one(leaf) for leaf in jax.tree.leaves(outputs))


def derivative(cell, params, xs, lengths, carry, direction):
    """Of `weigh` in a direction, from the equations in float64."""

    def loss(inputs):
        params, xs, carry = inputs
        return weigh_in_float64(want(cell, params, xs, lengths, carry))

    return _oracles.slope(loss, (params, xs, carry), direction)


def assert_near(got, want):
    """Within 1e-5 of the largest entry."""

    def check(got, want):
        got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
        assert got.shape == want.shape
        assert np.abs(got - want).max(initial=0) <= 1e-5 * max(1, np.abs(want).max(initial=0))

    jax.tree.map(check, got, want)


def dot(a, b):
    products = jax.tree.map(lambda a, b: (np.asarray(a, np.float64) * b).sum(), a, b)
    return sum(jax.tree.leaves(products))


@CELLS
@pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: "-".join(map(str, sizes)))
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
def test_kernels_of_every_instruction_set_match_the_equations(cell, sizes, ragged):
    params, xs, carry = make_inputs(cell, sizes)
    batch_size, num_steps, *_ = sizes
    lengths = make_lengths(batch_size, num_steps) if ragged else np.full(batch_size, num_steps)
    args = (params, xs, lengths, carry)
    direction = random_like((params, xs, carry), 7)
    outputs, slope = want(cell, *args), derivative(cell, *args, direction)
    terms = sum(np.abs(leaf).sum() for leaf in jax.tree.leaves(outputs))
    for isa in cpu.find_isas():
        with cpu.forced_isa(isa):
            got, grads = jax.block_until_ready(run(cell, params, xs, lengths, carry))
        assert_near(got, outputs)
        assert abs(dot(grads, direction) - slope) <= 2e-6 * max(terms, 1)


@CELLS
@pytest.mark.parametrize("residuals", ["states", "chunked"])
def test_residuals_change_no_result(cell, residuals):
    params, xs, carry = make_inputs(cell, (5, 21, 4, 19))
    args = (cell, params, xs, make_lengths(5, 21), carry)
    assert_near(run(*args, residuals=residuals), run(*args))


@pytest.mark.parametrize("isa", cpu.find_isas())
def test_norm_of_one_value_has_no_derivative_by_it(isa):
    """It is zero whatever the value: exactly, however a processor rounds products."""
    params = init_bidirectional(LAYER_NORM_GRU_BA, jax.random.key(0), input_size=5, hidden_size=1)
    params, xs = random_like(params, 1), random_xs(2, 4, 6, 5)

    def loss(params):
        return weigh(bidirectional(LAYER_NORM_GRU_BA, params, xs, backend="cpu_kernel"))

    with cpu.forced_isa(isa):
        grads = jax.grad(loss)(params)
    for own in grads:
        assert not own.w_x[:, 2].any() and not own.w_h[:, 2].any()  # the candidate's
        assert own.w_x[:, :2].all()


@CELLS
@pytest.mark.parametrize("reverse", [False, True], ids=["fwd", "bwd"])
def test_one_direction_passes_over_gaps_and_never_reads_them(cell, reverse):
    (params, _), xs, (carry, _) = make_inputs(cell, (4, 9, 3, 18))
    valid = np.random.default_rng(1).random([4, 9]) < 0.6
    xs = jnp.where(valid[..., None], xs, jnp.nan)

    def loss(params, xs, carry):
        outputs = scan_cell(
            cell,
            params,
            xs,
            Mask(valid),
            initial_carry=carry,
            reverse=reverse,
            backend="cpu_kernel",
        )
        return weigh(outputs), outputs

    (_, got), grads = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(params, xs, carry)
    for b in range(4):
        row = xs[b : b + 1, valid[b]]
        one = jax.tree.map(lambda leaf, b=b: leaf[b : b + 1], carry)
        last, ys = _oracles.scan(STEPS[cell], params, row, [row.shape[1]], one, reverse=reverse)
        assert_near(jax.tree.map(lambda leaf, b=b: leaf[b : b + 1], got[0]), last)
        assert_near(got[1][b : b + 1, valid[b]], ys)
    assert (np.asarray(got[1])[~valid] == 0).all() and (np.asarray(grads[1])[~valid] == 0).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


@CELLS
@pytest.mark.parametrize("sizes", [(0, 3, 2, 5), (2, 0, 3, 5), (2, 3, 0, 5), (2, 3, 4, 0)])
def test_any_size_may_be_zero(cell, sizes):
    params, xs, carry = make_inputs(cell, np.maximum(sizes, 1))
    batch_size, num_steps, input_size, hidden_size = sizes
    xs = xs[:batch_size, :num_steps, :input_size]
    carry = jax.tree.map(lambda leaf: leaf[:batch_size, :hidden_size], carry)
    columns = None if hidden_size else 0
    params = jax.tree.map(lambda leaf: leaf[..., :columns], params)
    params = Bi(
        *(one._replace(w_x=one.w_x[:input_size], w_h=one.w_h[:hidden_size]) for one in params)
    )
    (carries, ys), grads = run(cell, params, xs, np.full(batch_size, num_steps), carry)
    assert ys.shape == (batch_size, num_steps, 2 * hidden_size)
    shapes = [leaf.shape for leaf in jax.tree.leaves(grads)]
    assert shapes == [leaf.shape for leaf in jax.tree.leaves((params, xs, carry))]
    plain = functools.partial(bidirectional, cell, initial_carry=carry, backend="xla")
    assert_near((carries, ys), jax.jit(plain)(params, xs))


def test_gradient_by_inputs_alone_is_that_beside_parameters():
    params, xs, carry = make_inputs(LSTM, (3, 4, 5, 6))
    lengths = make_lengths(3, 4)
    loss = lambda xs: weigh(  # noqa: E731
        bidirectional(LSTM, params, xs, lengths, initial_carry=carry, backend="cpu_kernel")
    )
    assert_near(jax.jit(jax.grad(loss))(xs), run(LSTM, params, xs, lengths, carry)[1][1])


SPECIAL = np.array([np.inf, -np.inf, 0, 105, -105], np.float32)


def apply(name, x):
    pointer = ctypes.POINTER(ctypes.c_double if x.dtype == np.float64 else ctypes.c_float)
    out = np.empty_like(x)
    function = getattr(cpu.load().handle, name)
    function(x.ctypes.data_as(pointer), out.ctypes.data_as(pointer), ctypes.c_long(x.size))
    return out


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


@pytest.mark.parametrize(
    ("name", "function"),
    [("birnn_tanh", np.tanh), ("birnn_sigmoid", sigmoid)],
    ids=["tanh", "sigmoid"],
)
@pytest.mark.parametrize("isa", cpu.ISAS)
def test_activations_are_within_4_ulp_over_all_floats(isa, name, function):
    with cpu.forced_isa(isa) as is_there:
        if not is_there:
            pytest.skip(f"this processor has no {isa}")
        # Every 4099th bit pattern, of all exponents, signs, denormals and NaN.
        x = np.arange(0, 2**32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32)
        got = apply(name, x)
        special = apply(name, SPECIAL)
    is_nan = np.isnan(x)
    np.testing.assert_array_equal(np.isnan(got), is_nan)
    got, exact = got[~is_nan], function(x[~is_nan].astype(np.float64))
    # The distance of a float to the next one towards zero.
    rounded = np.abs(np.float32(exact))
    ulp = np.maximum(rounded - np.nextafter(rounded, np.float32(-1)), np.float32(1e-45))
    assert (np.abs(got - exact) / ulp.astype(np.float64)).max() <= 4
    assert np.abs(got).max() <= 1
    np.testing.assert_array_equal(special, np.float32(function(SPECIAL.astype(np.float64))))


def test_environment_chooses_the_instruction_set(monkeypatch):
    with cpu.forced_isa(cpu.get_isa()):  # what is taken now comes back
        monkeypatch.setenv("BIRNN_JAX_ISA", "baseline")
        cpu.load.__wrapped__()
        assert cpu.get_isa() == "baseline"
        assert "yes  baseline. Built by" in str(backends())
        monkeypatch.setenv("BIRNN_JAX_ISA", "")
        cpu.load.__wrapped__()
        assert cpu.get_isa() == "baseline"


@pytest.mark.parametrize(
    ("isa", "sentence"),
    [
        ("avx3", r"BIRNN_JAX_ISA=avx3 is no instruction set .* one of baseline, avx2, avx512"),
        ("avx512", r"BIRNN_JAX_ISA=avx512, but this processor .* which is avx2\.$"),
    ],
)
def test_instruction_set_that_is_not_there_is_refused(monkeypatch, isa, sentence):
    class OfAnOlderProcessor:
        birnn_force_isa = staticmethod(lambda isa: isa != b"avx512")
        birnn_isa = staticmethod(lambda: b"avx2")

    monkeypatch.setenv("BIRNN_JAX_ISA", isa)
    with pytest.raises(ValueError, match=sentence):
        cpu._take_from_environment(OfAnOlderProcessor())


@pytest.mark.skipif(not cpu.has_float64(), reason="no kernels for float64 on this processor")
@pytest.mark.parametrize(
    ("name", "function"),
    [("birnn_tanh_f64", np.tanh), ("birnn_sigmoid_f64", sigmoid)],
    ids=["tanh", "sigmoid"],
)
def test_activations_of_float64_are_within_4_ulp(name, function):
    rng = np.random.default_rng(0)
    x = np.concatenate([scale * rng.normal(size=20_000) for scale in (1e-9, 1e-3, 1, 30, 900)])
    x = np.concatenate([x, SPECIAL.astype(np.float64), [-750.0, -720.5, 710.0, np.nan]])
    got, exact = apply(name, x), function(x.astype(np.longdouble))
    assert np.isnan(got[-1])
    error = np.abs(got - exact)[:-1] / np.spacing(np.abs(exact[:-1]).astype(np.float64))
    assert error.max() <= 4 and np.abs(got[:-1]).max() <= 1


def test_rows_do_not_depend_on_one_another_or_on_how_they_are_cut():
    params, xs, carry = make_inputs(GRU, (13, 6, 5, 20))
    lengths = make_lengths(13, 6)
    _, ys = run(GRU, params, xs, lengths, carry)[0]
    for b in (0, 6, 12):
        one = jax.tree.map(lambda leaf, b=b: leaf[b : b + 1], carry)
        assert_near(run(GRU, params, xs[b : b + 1], lengths[b : b + 1], one)[0][1], ys[b : b + 1])


@pytest.mark.parametrize("wrong", ["dtype", "rank", "count"])
def test_xla_refuses_buffers_of_other_types(wrong):
    params, xs, carry = make_inputs(ELMAN, (2, 3, 4, 5))
    direction = Direction(ELMAN, False, params.fwd, carry.fwd, xs)
    arguments = call._arguments(direction)
    if wrong == "dtype":
        arguments[0] = params.fwd.w_x.astype("int32")
    elif wrong == "rank":
        arguments[2] = params.fwd.b[None]
    else:
        arguments.pop()
    shapes = [(2, 3, 5), (0, 0), (2, 5), (0, 0, 0), (0, 0, 0)]
    types = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
    run = jax.ffi.ffi_call(cpu.target_name("birnn_forward_1"), types)
    rest = {"cell": "elman", "rates": np.zeros(3), "reverse": np.zeros(1, np.int64)}
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"(?i)argument|buffer|rank|dtype"):
        jax.block_until_ready(run(*arguments, **rest))
