"""Converted weights give what the frameworks gave: outputs, final states and gradients, float64.

The files are made by tests/library/golden/make.py; no framework is needed here.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import Bi
from birnn_jax.interop.haiku import from_haiku, to_haiku
from birnn_jax.interop.linen import from_linen, to_linen
from birnn_jax.interop.nnx import from_nnx, to_nnx
from birnn_jax.interop.onnx import from_onnx, to_onnx
from birnn_jax.interop.torch import to_torch
from tests.library._golden import NAMES, carries, import_weights, load, part, results

TOLERANCE = {"rtol": 1e-9, "atol": 1e-10}  # float64; sums in another order

pytestmark = pytest.mark.usefixtures("x64")

with_gradients = [name for name in NAMES if not name.startswith("onnx")]


def assert_trees_close(got, want):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert one.dtype == jnp.float64
        np.testing.assert_allclose(one, other, **TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_final_states_are_those_of_the_framework(name):
    arrays = load(name)
    layers, params = import_weights(name, part(arrays, "weights."))
    (ys, final), _ = results(name)
    assert_trees_close(ys, jnp.asarray(arrays["ys"]))
    assert_trees_close(final, carries(layers, params, arrays, "final"))


@pytest.mark.parametrize("name", with_gradients)
def test_gradients_are_those_of_the_framework(name):
    arrays = load(name)
    weights = part(arrays, "weights.")
    layers, params = import_weights(name, weights)
    _, (grads_params, grads_xs, grads_initial) = results(name)
    assert_trees_close(grads_xs, jnp.asarray(arrays["grads.xs"]))
    assert_trees_close(grads_initial, carries(layers, params, arrays, "grads.initial"))

    # The importer is affine in the weights: for a change of any one of them, the gradient of the
    # framework and ours must promise the same change of the loss.
    rng = np.random.default_rng(0)
    for key, weight in weights.items():
        change = rng.normal(size=weight.shape)
        _, changed = import_weights(name, weights | {key: weight + change})
        moved = jax.tree.map(lambda g, a, b: np.vdot(g, a - b), grads_params, changed, params)
        want = np.vdot(arrays[f"grads.weights.{key}"], change)
        np.testing.assert_allclose(sum(jax.tree.leaves(moved)), want, err_msg=key, **TOLERANCE)


def _through_onnx(layers, params):
    op_type, weights, attributes = to_onnx(layers[0], params[0])
    return from_onnx(op_type, weights, **attributes)


# Each takes the importer of the file, its layers and its parameters.
ROUND_TRIPS = {
    "torch": lambda again, layers, params: again(to_torch(layers, params)),
    "linen": lambda again, layers, params: from_linen(to_linen(layers, params)),
    "nnx": lambda again, layers, params: from_nnx(to_nnx(layers, params)),
    "haiku": lambda again, layers, params: from_haiku(
        to_haiku(layers, params, [Bi("a", "b")]), [Bi("a", "b")]
    ),
    "onnx": lambda again, layers, params: _through_onnx(layers, params),
}


@pytest.mark.parametrize("name", [name for name in NAMES if name.split("_")[0] in ROUND_TRIPS])
def test_export_and_import_give_the_same_parameters(name):
    importer = functools.partial(import_weights, name)
    layers, params = importer(part(load(name), "weights."))
    again_layers, again = ROUND_TRIPS[name.split("_")[0]](importer, layers, params)
    assert again_layers == layers
    assert_trees_close(again, params)
