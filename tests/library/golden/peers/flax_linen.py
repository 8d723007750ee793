"""`flax.linen` with `seq_lengths`."""

import flax.linen as nn
import jax.numpy as jnp

from . import HIDDEN_SIZE, INPUT_SIZE, Peer
from .jax_based import compiled, differentiate, nest

_D, _H = INPUT_SIZE, HIDDEN_SIZE


def linen_carry(initial, direction):
    h = jnp.asarray(initial[f"{direction}.h"])
    c = initial.get(f"{direction}.c")
    return h if c is None else (jnp.asarray(c), h)


def linen_outputs(carries, ys, lengths):
    # Flax leaves in padding what it computes from padding: nothing to compare with.
    mask = jnp.arange(ys.shape[1])[None] < jnp.asarray(lengths)[:, None]
    outputs = {"ys": jnp.where(mask[..., None], ys, 0)}
    for direction, carry in zip(["fwd", "bwd"], carries, strict=True):
        c, h = carry if isinstance(carry, tuple) else (None, carry)
        outputs[f"final.{direction}.h"] = h
        if c is not None:
            outputs[f"final.{direction}.c"] = c
    return outputs


def two_directions(shapes):
    return {
        f"{rnn}.cell.{key}": shape
        for rnn in ["forward_rnn", "backward_rnn"]
        for key, shape in shapes.items()
    }


def states_of(*names):
    return {f"{direction}.{name}": _H for direction in ["fwd", "bwd"] for name in names}


def _peer(cell, shapes, *names):
    def run(weights, xs, lengths, initial):
        module = nn.Bidirectional(nn.RNN(cell(_H)), nn.RNN(cell(_H)), return_carry=True)
        carries, ys = module.apply(
            {"params": nest(weights)},
            jnp.asarray(xs),
            seq_lengths=jnp.asarray(lengths),
            initial_carry=tuple(linen_carry(initial, one) for one in ["fwd", "bwd"]),
        )
        return linen_outputs(carries, ys, lengths)

    return Peer(two_directions(shapes), states_of(*names), compiled(run), differentiate)


def _kernels(gates):
    sides = {"i": _D, "h": _H}
    return {f"{side}{g}.kernel": (size, _H) for side, size in sides.items() for g in gates}


_LSTM = _kernels("ifgo") | {f"h{gate}.bias": (_H,) for gate in "ifgo"}
_GRU = _kernels("rzn") | {f"{name}.bias": (_H,) for name in ["ir", "iz", "in", "hn"]}
_SIMPLE = {"i.kernel": (_D, _H), "i.bias": (_H,), "h.kernel": (_H, _H)}

PEERS = {
    "linen_simple": _peer(nn.SimpleCell, _SIMPLE, "h"),
    "linen_gru": _peer(nn.GRUCell, _GRU, "h"),
    "linen_lstm": _peer(nn.LSTMCell, _LSTM, "h", "c"),
    "linen_optimized_lstm": _peer(nn.OptimizedLSTMCell, _LSTM, "h", "c"),
}
