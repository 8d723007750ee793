"""Converted weights give what the frameworks gave: outputs, final states and gradients, float64.

The files are made by tests/golden/make.py; no framework is needed here.
"""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import birnn_jax
from birnn_jax import Bi
from birnn_jax.interop.equinox import from_equinox
from birnn_jax.interop.haiku import from_haiku, to_haiku
from birnn_jax.interop.keras import from_keras
from birnn_jax.interop.linen import from_linen, to_linen
from birnn_jax.interop.nnx import from_nnx, to_nnx
from birnn_jax.interop.torch import from_torch, to_torch

GOLDEN = pathlib.Path(__file__).parent / "golden"
TOLERANCE = {"rtol": 1e-9, "atol": 1e-10}  # float64; sums in another order
NAMES = [
    "torch_rnn_tanh",
    "torch_gru",
    "torch_lstm",
    "torch_lstm_no_bias",
    "torch_lstm_two_layers",
    "keras_simple_rnn",
    "keras_gru",
    "keras_lstm",
    "linen_simple",
    "linen_gru",
    "linen_lstm",
    "linen_optimized_lstm",
    "nnx_simple",
    "nnx_gru",
    "nnx_lstm",
    "nnx_optimized_lstm",
    "haiku_lstm",
    "equinox_gru",
    "equinox_lstm",
]


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def load(name):
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def part(arrays, prefix):
    return {key.removeprefix(prefix): one for key, one in arrays.items() if key.startswith(prefix)}


def nest(flat):
    tree = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        functools.reduce(lambda node, name: node.setdefault(name, {}), path, tree)[last] = value
    return tree


class KerasLayer:
    """As much of a built layer of Keras as a converter sees."""

    built = True
    name = "layer"

    def __init__(self, class_name, weights):
        inner = {"class_name": class_name, "config": {"activation": "tanh"}}
        self._config = {"layer": inner, "backward_layer": inner, "merge_mode": "concat"}
        self._weights = list(weights.values())

    def get_config(self):
        return self._config

    def get_weights(self):
        return self._weights


def keras_layer(class_name, weights):
    layer = KerasLayer(class_name, weights)
    layer.__class__ = type("Bidirectional", (KerasLayer,), {})
    return layer


def equinox_cells(class_name, weights):
    def cell(fields):
        hidden_size, input_size = fields["weight_hh"].shape[1], fields["weight_ih"].shape[1]
        sizes = {"hidden_size": hidden_size, "input_size": input_size}
        return type(class_name, (), fields | sizes)()

    return Bi(*(cell(part(weights, f"{direction}.")) for direction in ["fwd", "bwd"]))


IMPORTERS = {
    "torch": from_torch,
    "linen": lambda weights: from_linen([nest(weights)]),
    "nnx": lambda weights: from_nnx([nest(weights)]),
    "haiku": lambda weights: from_haiku(nest(weights), [Bi("fwd", "bwd")]),
    "keras_simple_rnn": lambda weights: from_keras(keras_layer("SimpleRNN", weights)),
    "keras_gru": lambda weights: from_keras(keras_layer("GRU", weights)),
    "keras_lstm": lambda weights: from_keras(keras_layer("LSTM", weights)),
    "equinox_gru": lambda weights: from_equinox([equinox_cells("GRUCell", weights)]),
    "equinox_lstm": lambda weights: from_equinox([equinox_cells("LSTMCell", weights)]),
}


def importer(name):
    return IMPORTERS.get(name) or IMPORTERS[name.split("_")[0]]


def carries(layers, arrays, prefix):
    """The states of a file, in the form of the carries of `stack`."""
    _, params = layers
    made = []
    for index, one in enumerate(params):
        layer = f"{index}." if index else ""
        fields = part(arrays, f"{prefix}.{layer}")
        cell = layers[0][index].cell
        carry = type(cell.initial_carry(one.fwd))
        made.append(
            Bi(*(carry(**{n: jnp.asarray(fields[f"{d}.{n}"]) for n in carry._fields})
                 for d in ["fwd", "bwd"]))
        )  # fmt: skip
    return tuple(made)


def run(layers, params, xs, lengths, initial):
    final, ys = birnn_jax.stack(layers, params, xs, lengths, initial_carry=initial)
    return ys, final


def assert_trees_close(got, want):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert one.dtype == jnp.float64
        np.testing.assert_allclose(one, other, **TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_final_states_are_those_of_the_framework(name):
    arrays = load(name)
    layers, params = imported = importer(name)(part(arrays, "weights."))
    initial = carries(imported, arrays, "initial")
    got = run(layers, params, jnp.asarray(arrays["xs"]), arrays["lengths"], initial)
    assert_trees_close(got, (jnp.asarray(arrays["ys"]), carries(imported, arrays, "final")))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_the_framework(name):
    arrays = load(name)
    weights = part(arrays, "weights.")
    layers, params = imported = importer(name)(weights)
    initial = carries(imported, arrays, "initial")

    def of_arrays(params, xs, initial):
        return run(layers, params, xs, arrays["lengths"], initial)

    _, pull_back = jax.vjp(of_arrays, params, jnp.asarray(arrays["xs"]), initial)
    cotangents = jnp.asarray(arrays["cotangents.ys"]), carries(imported, arrays, "cotangents.final")
    grads_params, grads_xs, grads_initial = pull_back(cotangents)
    assert_trees_close(grads_xs, jnp.asarray(arrays["grads.xs"]))
    assert_trees_close(grads_initial, carries(imported, arrays, "grads.initial"))

    # The importer is affine in the weights, so for a change of any one weight the framework's
    # gradient and ours must promise the same change of the loss.
    rng = np.random.default_rng(0)
    for key, weight in weights.items():
        change = rng.normal(size=weight.shape)
        _, changed = importer(name)(weights | {key: weight + change})
        moved = jax.tree.map(lambda g, a, b: jnp.vdot(g, a - b), grads_params, changed, params)
        want = np.vdot(arrays[f"grads.weights.{key}"], change)
        np.testing.assert_allclose(sum(jax.tree.leaves(moved)), want, err_msg=key, **TOLERANCE)


EXPORTERS = {
    "torch": lambda layers, params: from_torch(to_torch(layers, params)),
    "linen": lambda layers, params: from_linen(to_linen(layers, params)),
    "nnx": lambda layers, params: from_nnx(to_nnx(layers, params)),
    "haiku": lambda layers, params: from_haiku(
        to_haiku(layers, params, [Bi("a", "b")]), [Bi("a", "b")]
    ),
}


@pytest.mark.parametrize("name", [name for name in NAMES if name.split("_")[0] in EXPORTERS])
def test_export_and_import_give_the_same_parameters(name):
    layers, params = importer(name)(part(load(name), "weights."))
    again_layers, again = EXPORTERS[name.split("_")[0]](layers, params)
    assert again_layers == layers
    assert_trees_close(again, params)
