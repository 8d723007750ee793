"""From the final states of an encoder to the first state of a decoder, against its equation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from birnn_jax import GRU, LSTM, Bi, scan_cell
from birnn_jax.cells import PROJECTED_LSTM, LSTMCarry
from birnn_jax.heads import bridge, init_bridge
from tests.library._cases import (
    CLOCKED,
    B,
    D,
    T,
    assert_close,
    random_cell,
    random_like,
    random_xs,
    weigh,
)

N = 6  # hidden units of the decoder
DECODER = PROJECTED_LSTM.with_init(projection_size=4)


def _random_bridge(cell, input_size, dtype="float32"):
    def init():
        return init_bridge(cell, jax.random.key(0), input_size=input_size, hidden_size=N)

    return random_like(jax.eval_shape(init), 3, dtype)


def _random_carry(cell, hidden_size, dtype="float32"):
    pair = (random_cell(cell, seed, hidden_size=hidden_size, dtype=dtype)[1] for seed in (1, 2))
    return Bi(*pair)


def _map(one, state):
    w, b = (np.asarray(leaf, np.float64) for leaf in one)
    return np.stack([np.tanh(b + sum(x * row for x, row in zip(s, w, strict=True))) for s in state])


def test_every_state_of_the_decoder_reads_all_states_of_the_encoder():
    carry, params = _random_carry(LSTM, 4), _random_bridge(LSTM, 16)
    parts = [carry.fwd.c, carry.fwd.h, carry.bwd.c, carry.bwd.h]
    state = np.concatenate(parts, axis=1).astype(np.float64)
    want = LSTMCarry(c=_map(params.c, state), h=_map(params.h, state))
    assert_close(jax.jit(bridge)(params, carry), want)


def test_backward_state_alone_starts_another_cell():
    """As in the paper: one state, of the direction that read the first word last."""
    carry, params = _random_carry(GRU, 4), _random_bridge(DECODER, 4)
    got = bridge(params, carry.bwd)
    assert_close(got.h, _map(params.h, np.asarray(carry.bwd.h, np.float64)))
    decoder, _ = random_cell(DECODER, 1, hidden_size=N)
    _, ys = scan_cell(DECODER, decoder, random_xs(), initial_carry=got)
    _, cold = scan_cell(DECODER, decoder, random_xs())
    assert ys.shape == cold.shape and (ys[:, 0] != cold[:, 0]).all()


def test_carry_of_scalars_is_read_too():
    carry, params = _random_carry(CLOCKED, 4), _random_bridge(GRU, 2 * (4 + 1))
    assert bridge(params, carry).h.shape == (B, N)


def test_gradient_reaches_the_encoder(x64):
    carry, params = _random_carry(LSTM, 4, "float64"), _random_bridge(GRU, 16, "float64")

    @jax.jit
    def loss(params, carry):
        return weigh(bridge(params, carry))

    check_grads(loss, (params, carry), order=1, modes=["rev"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("cell", [GRU, LSTM], ids=["gru", "lstm"])
def test_new_bridge_has_maps_of_their_own_without_a_bias(cell):
    made = init_bridge(cell, jax.random.key(0), input_size=D * T, hidden_size=N)
    weights = [one.w for one in made]
    assert {w.shape for w in weights} == {(D * T, N)}
    assert len(np.unique(weights)) == len(made) * D * T * N
    assert not any(one.b.any() for one in made)
    assert type(made) is type(random_cell(cell, 1)[1])
    assert all(isinstance(one.b, jnp.ndarray) for one in made)
