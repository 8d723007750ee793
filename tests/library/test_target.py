"""A program has the loops of the platform that it is lowered for, wherever it was traced."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import ELMAN, GRU, LSTM, bidirectional, init_bidirectional
from birnn_jax._recurrence.directions import ResidualsName
from birnn_jax.cells import SLSTM
from birnn_jax.kernels.cpu import layer as cpu_layer
from birnn_jax.kernels.cpu import library
from birnn_jax.kernels.moving import join, parts_of, replace_parts, split_directions
from birnn_jax.kernels.operation import Operands
from birnn_jax.kernels.reference import loop as reference
from birnn_jax.kernels.target import get_target, lowering_for
from birnn_jax.kernels.xla import plan
from tests.library import _races
from tests.library._cases import assert_close
from tests.library._races import Sizes, make_directions

SIZES = Sizes(rows=3, steps=5, features=4, hidden=6)
B, T, D, H = SIZES
RNG = np.random.default_rng(0)
random_like = functools.partial(_races.random_like, RNG)
IDS = np.array([[1, 1, 2, 3, 0], [1, 2, 2, 2, 2], [0, 1, 1, 0, 2]])


def shapes_of_params(cell):
    init = functools.partial(init_bidirectional, cell, input_size=D, hidden_size=H)
    return jax.eval_shape(init, jax.random.key(0))


def train(cell, backend, lengths=None, residuals: ResidualsName = "gates"):
    def loss(params, xs):
        ys = bidirectional(cell, params, xs, lengths, backend=backend, residuals=residuals)[1]
        return jnp.square(ys.astype(jnp.float32)).sum()

    return jax.jit(jax.grad(loss, (0, 1)))


def lower(
    cell,
    backend,
    platform,
    lengths=None,
    dtype="float32",
    residuals: ResidualsName = "gates",
    many=False,
):
    """The program of a gradient, in StableHLO, written in this process for a platform."""
    xs = jax.ShapeDtypeStruct((B, 40, D), dtype)  # steps of more than one block
    params = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), shapes_of_params(cell)
    )
    run = train(cell, backend, lengths, residuals)
    if many:  # an ensemble
        run = jax.jit(jax.vmap(run, (0, None)))
        params = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape), leaf.dtype), params
        )
    traced = run.trace(params, xs)
    return traced.lower(lowering_platforms=(platform,)).as_text()


def loops_and_products(text):
    """How many loops, and every product with its types."""
    products = re.findall(r"stablehlo\.dot_general .* : (\(.*)", text)
    return text.count("stablehlo.while"), sorted(products)


@pytest.mark.parametrize("cell", [ELMAN, GRU, LSTM], ids=["elman", "gru", "lstm"])
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_program_has_the_loops_of_its_platform(cell, platform, monkeypatch):
    many = cell is ELMAN  # the maps of an ensemble are applied where a program is lowered, too
    find = lambda *words: loops_and_products(lower(cell, *words, many=many))  # noqa: E731
    got = [find(backend, platform) for backend in ("auto", "xla")]
    here = find("xla", "cpu")
    monkeypatch.setitem(plan.PLANS, "cpu", plan.PLANS["tpu" if platform == "tpu" else "gpu"])
    want = find("xla", "cpu")
    assert got == [want, want] and want != here
    assert want[0] == {"cuda": 2, "tpu": 3}[platform]  # forward once, backward once


@pytest.mark.parametrize(
    ("platform", "residuals", "other"), [("cuda", "states", "gates"), ("tpu", "gates", "states")]
)
@pytest.mark.parametrize("backend", ["auto", "xla"])
def test_gradient_of_auto_residuals_reads_what_the_plan_of_its_platform_says(
    backend, platform, residuals, other
):
    auto, same, others = (
        loops_and_products(lower(LSTM, backend, platform, residuals=name))
        for name in ("auto", residuals, other)
    )
    assert auto == same != others


def test_default_device_decides_where_it_is_not_the_default_backend(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert get_target() == "gpu"
    with jax.default_device(jax.devices("cpu")[0]):
        assert get_target() == "cpu"
    with jax.default_device("tpu"):
        assert get_target() == "tpu"


def test_layouts_are_named_for_one_device_alone():
    """XLA gathers an array of a named layout from all devices."""
    mesh = jax.sharding.AbstractMesh((2,), ("data",))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    params = shapes_of_params(LSTM)
    run = lambda params, xs: bidirectional(LSTM, params, xs, backend="xla")[1]  # noqa: E731
    named = []
    for sharding in (None, rows):
        xs = jax.ShapeDtypeStruct((4, 40, D), "float32", sharding=sharding)
        text = jax.jit(run).trace(params, xs).lower(lowering_platforms=("cuda",)).as_text()
        named.append("LayoutConstraint" in text)
    assert named == [True, False]


def test_other_platforms_multiply_bfloat16_as_it_is():
    _, products = loops_and_products(lower(LSTM, "auto", "cuda", dtype="bfloat16"))
    assert ["bf16", "bf16"] in [re.findall(r"(bf16|f32)>", product)[:2] for product in products]


def test_export_for_several_platforms_gives_here_what_is_computed_here():
    params = random_like(shapes_of_params(LSTM))
    xs = random_like(jnp.zeros([B, T, D]))
    run = jax.jit(lambda params, xs: bidirectional(LSTM, params, xs, jnp.array([T, 2, 0]))[1])
    exported = jax.export.export(run, platforms=("cpu", "cuda", "tpu"))(params, xs)
    assert_close(exported.call(params, xs), run(params, xs))


@pytest.mark.skipif(not library.is_registered(), reason="there is no native code")
@pytest.mark.parametrize(
    ("cell", "given", "keep_gates"),
    [
        (LSTM, {"ids": IDS}, True),
        (LSTM, {"lengths": [T, 2, 0]}, False),
        (GRU, {"lengths": [4, T, 0]}, True),
        (GRU, {"ids": IDS}, False),
        (ELMAN, {}, True),
        (SLSTM.with_init(heads=2), {"ids": IDS}, True),
    ],
)
def test_residuals_mean_the_same_wherever_a_program_runs(cell, given, keep_gates):
    directions = make_directions(RNG, cell, SIZES, **given)
    operands, parts = split_directions(directions), list(map(parts_of, directions))
    static = keep_gates, False, tuple(jax.tree.map(lambda leaf: True, parts))

    def define(parts):
        outputs = reference.run(replace_parts(directions, parts), True)
        return outputs.carries, outputs.join()

    cts = random_like(jax.eval_shape(define, parts))

    @jax.jit
    def run(operands, cts):
        value, vjp = jax.vjp(define, parts)
        native = cpu_layer._call_forward((keep_gates, True), operands)
        with lowering_for("cuda"):
            stored = cpu_layer._forward_elsewhere((keep_gates, True), operands)
            (_, ys), residuals = native.rows
            rows = (operands.rows, ys, residuals)
            grads = cpu_layer._backward_elsewhere(
                static, Operands(operands.shared, rows, d_rows=cts)
            )
        return value, vjp(cts)[0], native, stored, join(grads.shared, grads.rows)

    value, want, native, stored, grads = run(operands, cts)
    assert_close(stored, native)
    assert_close(stored.rows[0], value)
    assert_close(grads, want)
