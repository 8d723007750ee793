"""Recurrent weights in blocks leave as the full matrix, for every framework that reads weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import GRU, LSTM, Bi, Layer
from birnn_jax.cells import PEEPHOLE_LSTM
from birnn_jax.interop.cudnn import to_cudnn
from birnn_jax.interop.equinox import to_equinox
from birnn_jax.interop.haiku import to_haiku
from birnn_jax.interop.keras import to_keras
from birnn_jax.interop.linen import to_linen
from birnn_jax.interop.nnx import to_nnx
from birnn_jax.interop.onnx import to_onnx
from birnn_jax.interop.torch import to_torch
from tests.library._variant_oracles import dense

from ._stacks import random_params

H, HEADS = 6, 3
EXPORTS = {
    "torch": (to_torch, LSTM),
    "torch gru": (to_torch, GRU),
    "cudnn": (to_cudnn, LSTM),
    "keras": (lambda *given: [layer.get_weights() for layer in to_keras(*given)], LSTM),
    "linen": (to_linen, LSTM),
    "nnx": (to_nnx, LSTM),
    "haiku": (lambda *given: to_haiku(*given, ["lstm"]), LSTM),
    "equinox": (to_equinox, LSTM),
    "onnx": (lambda layers, params: to_onnx(layers[0], params[0]), PEEPHOLE_LSTM),
}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras
@pytest.mark.parametrize("name", EXPORTS)
def test_every_framework_gets_the_full_matrix(name, rng):
    export, cell = EXPORTS[name]
    direction = "fwd" if name == "haiku" else "both"
    headed = (Layer(cell.with_init(heads=HEADS), direction=direction),)
    params = random_params(headed, rng, hidden_size=H, dtype=jnp.float32)
    full = jax.tree.map(
        lambda own: own._replace(w_h=jnp.asarray(dense(own.w_h, H))), params[0].rnn, is_leaf=is_cell
    )
    got = export(headed, params)
    want = export((Layer(cell, direction=direction),), (params[0]._replace(rnn=full),))
    assert jax.tree.structure(got) == jax.tree.structure(want)
    assert any(np.size(leaf) for leaf in jax.tree.leaves(want))
    jax.tree.map(np.testing.assert_array_equal, got, want)


def is_cell(node):
    return hasattr(node, "w_h") and not isinstance(node, Bi)
