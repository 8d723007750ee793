"""The weights of cuDNN's LSTM against the reference implementation in `jax.experimental.rnn`."""

import jax
import jax.experimental.rnn
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import LSTM, Layer, init_stack, stack
from birnn_jax.interop.cudnn import from_cudnn, to_cudnn
from birnn_jax.interop.torch import states_from_torch, states_to_torch

B, T, D, H = 3, 6, 4, 5
LENGTHS = jnp.array([T, 2, 4], jnp.int32)  # the reference gets 0 wrong


@pytest.mark.parametrize("direction", ["both", "fwd"])
def test_weights_compute_the_same_in_the_reference(direction, x64):
    layers = (Layer(LSTM, direction=direction),) * 2
    rng = np.random.default_rng(0)

    def randomised(tree):
        return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), tree)

    params = randomised(init_stack(layers, jax.random.key(0), input_size=D, hidden_size=H))
    xs = jnp.asarray(rng.normal(size=(B, T, D)))
    initial = randomised(jax.eval_shape(lambda xs: stack(layers, params, xs)[0], xs))
    final, ys = stack(layers, params, xs, LENGTHS, initial_carry=initial)

    sizes = {"input_size": D, "hidden_size": H, "num_layers": 2}
    sizes["bidirectional"] = direction == "both"
    weights = to_cudnn(layers, params)
    assert weights.shape == (jax.experimental.rnn.get_num_params_in_lstm(**sizes),)
    with jax.numpy_rank_promotion("allow"):
        ys_ref, *states = jax.experimental.rnn.lstm_ref(
            xs,
            *map(jnp.asarray, states_to_torch(initial)),
            *jax.experimental.rnn.unpack_lstm_weights(weights, **sizes),
            seq_lengths=LENGTHS,
            dropout=0.0,
            **sizes,
        )
    valid = jnp.arange(T)[None, :, None] < LENGTHS[:, None, None]
    np.testing.assert_allclose(jnp.where(valid, ys_ref, 0), ys, rtol=1e-9, atol=1e-10)
    want = states_from_torch(layers, tuple(states))
    for one, other in zip(jax.tree.leaves(final), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10)

    again_layers, again = from_cudnn(weights, **sizes)
    assert again_layers == layers
    for one, other in zip(jax.tree.leaves(again), jax.tree.leaves(params), strict=True):
        np.testing.assert_array_equal(one, other)
