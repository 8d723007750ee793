"""Backends: which of them computes, and what is said when one cannot."""

import functools
from typing import get_args

import jax
import jax.export
import jax.ffi
import jax.numpy as jnp
import pytest
from flax import nnx

import birnn_jax.linen
import birnn_jax.nnx
from birnn_jax import (
    GRU,
    LSTM,
    Bi,
    Layer,
    backends,
    bidirectional,
    init_stack,
    scan_cell,
    stack,
)
from birnn_jax._core.direction import Direction
from birnn_jax._recurrence import backends as table
from birnn_jax._recurrence import directions
from birnn_jax._recurrence.backends import (
    BACKENDS,
    CPU_KERNEL,
    NAMES,
    REFERENCE,
    XLA,
    BackendName,
    choose_backend,
)
from birnn_jax.interop.stablehlo import serialize
from birnn_jax.kernels.cpu import library as cpu
from birnn_jax.stacks import LayerParams
from tests.library._cases import (
    CLOCKED,
    LENGTHS,
    D,
    assert_equal,
    random_cell,
    random_inputs,
    random_xs,
)

RESIDUALS = pytest.mark.parametrize("residuals", ["auto", "gates", "states", "chunked"])


@pytest.fixture
def absent(monkeypatch):
    monkeypatch.setattr(cpu, "load", lambda: cpu.Library(None, "Not built: no luck."))


@pytest.fixture
def present(monkeypatch):
    """As if the library were there; nothing may be computed with it."""
    monkeypatch.setattr(cpu, "is_registered", lambda: True)


@pytest.fixture
def chosen(present, monkeypatch):
    """The backends chosen for layers, which XLA computes here all the same."""
    names = []

    def choose(*args):
        names.append(choose_backend(*args).name)
        return XLA

    monkeypatch.setattr(directions, "choose_backend", choose)
    return names


def a_layer(cell=LSTM, dtype="float32", **changes):
    params, carry = random_cell(cell, 1, dtype=dtype)
    xs = random_xs(dtype=dtype)
    return (Direction(cell, False, params, carry, xs).replace(**changes),)


def test_table_has_a_row_for_each_backend():
    rows = [line.split()[:2] for line in str(backends()).splitlines()]
    assert [name for name, _ in rows] == [backend.name for backend in BACKENDS]
    found = dict(rows)
    assert found["xla"] == found["reference"] == "yes"
    assert found["cpu_kernel"] == ("yes" if cpu.is_registered() else "no")


def test_names_are_those_of_the_annotation():
    assert get_args(BackendName) == NAMES


def test_table_says_why_there_are_no_native_kernels(absent):
    assert backends().cpu_kernel == (False, "Not built: no luck.")
    assert "cpu_kernel  no   Not built: no luck." in str(backends())


@pytest.mark.parametrize("is_installed", [True, False])
def test_table_says_how_to_install_what_a_tpu_needs(is_installed, monkeypatch):
    found = {"libtpu": jax.__spec__} if is_installed else {}
    monkeypatch.setattr(table, "find_spec", found.get)
    status = backends().tpu_kernel
    assert ("pip install 'jax[tpu]'" in status.why) == (not is_installed)
    assert "It has not been timed" in status.why and not status.available


@pytest.mark.parametrize("is_installed", [True, False])
def test_table_says_how_to_install_what_a_gpu_needs(is_installed, monkeypatch):
    found = {"jax_cuda13_plugin": jax.__spec__} if is_installed else {}
    monkeypatch.setattr(table, "find_spec", found.get)
    status = backends().gpu_kernel
    assert ("pip install 'jax[cuda13]'" in status.why) == (not is_installed)
    assert "It has not run on a GPU" in status.why and not status.available


@pytest.mark.parametrize("wanted", ["auto", "cpu_kernel"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_kernel_is_chosen_where_it_can_compute(wanted, dtype, present):
    assert choose_backend(wanted, a_layer(dtype=dtype)) is CPU_KERNEL


def test_kernel_is_not_chosen_where_another_is_asked_for(present):
    assert choose_backend("xla", a_layer()) is XLA
    assert choose_backend("reference", a_layer()) is REFERENCE


@pytest.mark.parametrize("wanted", ["auto", "xla"])
def test_reference_is_chosen_for_a_cell_without_a_rule(wanted, present):
    assert choose_backend(wanted, a_layer(CLOCKED)) is REFERENCE


def refuse_other_cell(monkeypatch):
    return a_layer(CLOCKED)


def refuse_float64(monkeypatch):
    monkeypatch.setattr(cpu, "has_float64", lambda: False)
    xs = jax.ShapeDtypeStruct((3, 5, 2), "float64")
    params, carry = jax.eval_shape(lambda: random_cell(LSTM, 1))
    params, carry = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, "float64"), (params, carry)
    )
    return a_layer(params=params, carry=carry, xs=xs)


def refuse_any_size(monkeypatch):
    xs = jax.ShapeDtypeStruct((*jax.export.symbolic_shape("b, t"), D), "float32")
    return a_layer(xs=xs)


def refuse_on_gpu(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    return a_layer()


@pytest.mark.parametrize(
    ("arrange", "message"),
    [
        (refuse_other_cell, "ELMAN, INDRNN, GRU, LSTM and"),
        (refuse_float64, "float64 only on processors with AVX2"),
        (refuse_any_size, r"numbers, got \(b, t, 2\)"),
        (refuse_on_gpu, "default device is a 'gpu'"),
    ],
    ids=["other_cell", "float64", "any_size", "gpu"],
)
def test_kernel_that_cannot_compute_is_refused_by_name_and_passed_over_by_auto(
    arrange, message, present, monkeypatch
):
    layer = arrange(monkeypatch)
    assert choose_backend("auto", layer) is not CPU_KERNEL
    with pytest.raises(ValueError, match=f"backend='cpu_kernel' .*{message}"):
        choose_backend("cpu_kernel", layer)


def test_kernel_that_is_not_there_is_refused_by_name_and_passed_over_by_auto(absent):
    params, _ = random_cell(LSTM, 1)
    run = functools.partial(scan_cell, LSTM, params, random_xs(), LENGTHS)
    assert_equal(run(backend="auto"), run(backend="xla"))
    with pytest.raises(ValueError, match=r"is not there\. Not built: no luck\."):
        run(backend="cpu_kernel")


@pytest.mark.parametrize(
    ("cell", "lengths"),
    [(Bi(GRU, LSTM), LENGTHS), (CLOCKED, None)],
    ids=["two_cells", "other_cell"],
)
def test_layer_without_a_kernel_says_which_have_one(cell, lengths, present):
    cells = cell if isinstance(cell, Bi) else Bi(cell, cell)
    params = Bi(*(random_cell(one, 1)[0] for one in cells))
    with pytest.raises(ValueError, match="ELMAN, INDRNN, GRU, LSTM and"):
        bidirectional(cell, params, random_xs(), lengths, backend="cpu_kernel")


@RESIDUALS
@pytest.mark.parametrize("backend", ["xla", "cpu_kernel"])
def test_backend_of_functions_reaches_the_kernels(backend, residuals, chosen):
    options = {"residuals": residuals, "backend": backend}
    layers = (Layer(LSTM, direction="bwd", **options), Layer(LSTM, **options))

    def run(params, xs):
        scan_cell(LSTM, params.fwd, xs, LENGTHS, **options)
        bidirectional(LSTM, params, xs, LENGTHS, **options)
        stack(layers, (LayerParams(params.fwd), LayerParams(params)), xs, LENGTHS)

    xs = jnp.zeros([3, 5, 7])
    params = Bi(*(random_cell(LSTM, 1, input_size=7)[0],) * 2)
    jax.eval_shape(run, params, xs)
    assert set(chosen) == {backend} and len(chosen) >= 4


@pytest.mark.parametrize("flavour", ["linen", "nnx"])
@pytest.mark.parametrize("name", ["RNN", "Bidirectional"])
@pytest.mark.parametrize("backend", ["xla", "cpu_kernel"])
def test_backend_of_a_flax_layer_reaches_the_kernels(flavour, name, backend, chosen):
    settings = {"cell": LSTM, "hidden_size": 4, "backend": backend}
    if flavour == "linen":
        layer = getattr(birnn_jax.linen, name)(**settings)
        jax.eval_shape(layer.init, jax.random.key(0), random_xs())
    else:
        layer = getattr(birnn_jax.nnx, name)(input_size=D, rngs=nnx.Rngs(0), **settings)
        jax.eval_shape(layer, random_xs())
    assert set(chosen) == {backend}


def test_unknown_backend_is_refused():
    params, xs, lengths, _ = random_inputs(LSTM)
    expected = f"backend must be one of {', '.join(map(repr, NAMES))}, got 'native'"
    with pytest.raises(ValueError, match=expected):
        scan_cell(LSTM, params.fwd, xs, lengths, backend="native")
    with pytest.raises(ValueError, match=expected):
        bidirectional(LSTM, params, xs, lengths, backend="native")
    with pytest.raises(ValueError, match=expected):
        Layer(LSTM, backend="native")


@pytest.mark.parametrize("backend", ["auto", "xla"])
def test_file_for_any_size_holds_no_native_code(backend):
    layers = (Layer(LSTM, backend=backend),)
    params = init_stack(layers, jax.random.key(0), input_size=D, hidden_size=4)
    written = serialize(lambda xs, lengths: stack(layers, params, xs, lengths)[1], input_size=D)
    assert "birnn_forward" not in jax.export.deserialize(bytearray(written)).mlir_module()


def test_file_cannot_hold_a_kernel_that_was_asked_for(present):
    params, _ = random_cell(LSTM, 1)
    predict = functools.partial(scan_cell, LSTM, params, backend="cpu_kernel")
    with pytest.raises(ValueError, match="needs sizes that are numbers"):
        serialize(predict, input_size=D)
