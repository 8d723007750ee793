"""Equinox, row by row: it has cells only."""

import equinox as eqx
import jax
import jax.numpy as jnp

from . import HIDDEN_SIZE, INPUT_SIZE, Peer
from .flax_linen import states_of
from .jax_based import compiled, differentiate, run_rows

_D, _H = INPUT_SIZE, HIDDEN_SIZE


def make_cell(cell, weights):
    made = cell(_D, _H, key=jax.random.key(0))
    arrays = [jnp.asarray(one) for one in weights.values()]
    return eqx.tree_at(lambda m: [getattr(m, key) for key in weights], made, arrays)


def _peer(cell, shapes, *names):
    def run(weights, xs, lengths, initial):
        def scan(direction, xs, states):
            size = len(direction) + 1
            own = {key[size:]: one for key, one in weights.items() if key.startswith(direction)}
            made = make_cell(cell, own)

            def body(state, x):
                state = made(x, state)
                return state, state[0] if isinstance(state, tuple) else state

            state = tuple(states[key][0] for key in names)
            state = state if len(names) == 2 else state[0]
            state, ys = jax.lax.scan(body, state, xs[0], reverse=direction == "bwd")
            state = state if isinstance(state, tuple) else (state,)
            return ys[None], {key: one[None] for key, one in zip(names, state, strict=True)}

        return run_rows(scan, xs, lengths, initial)

    weights = {f"{d}.{key}": one for d in ["fwd", "bwd"] for key, one in shapes.items()}
    return Peer(weights, states_of(*names), compiled(run), differentiate)


_GRU = {"weight_ih": (3 * _H, _D), "weight_hh": (3 * _H, _H), "bias": (3 * _H,), "bias_n": (_H,)}
_LSTM = {"weight_ih": (4 * _H, _D), "weight_hh": (4 * _H, _H), "bias": (4 * _H,)}

PEERS = {
    "equinox_gru": _peer(eqx.nn.GRUCell, _GRU, "h"),
    "equinox_lstm": _peer(eqx.nn.LSTMCell, _LSTM, "h", "c"),
}
