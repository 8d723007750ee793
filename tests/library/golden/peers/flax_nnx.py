"""`flax.nnx` with `seq_lengths`."""

import jax.numpy as jnp
from flax import nnx

from . import HIDDEN_SIZE, INPUT_SIZE, Peer
from .flax_linen import linen_carry, linen_outputs, states_of, two_directions
from .jax_based import compiled, differentiate, nest

_D, _H = INPUT_SIZE, HIDDEN_SIZE


def make_module(cell):
    # SimpleCell computes in float32 unless it is told otherwise.
    dtypes = {"dtype": jnp.float64, "param_dtype": jnp.float64}
    rnns = [nnx.RNN(cell(_D, _H, rngs=nnx.Rngs(i), **dtypes)) for i in range(2)]
    return nnx.Bidirectional(*rnns, return_carry=True)


def _peer(cell, shapes, *names):
    def run(weights, xs, lengths, initial):
        graph, params, rest = nnx.split(make_module(cell), nnx.Param, ...)
        nnx.replace_by_pure_dict(params, nest(weights))
        carries, ys = nnx.merge(graph, params, rest)(
            jnp.asarray(xs),
            seq_lengths=jnp.asarray(lengths),
            initial_carry=tuple(linen_carry(initial, one) for one in ["fwd", "bwd"]),
        )
        return linen_outputs(carries, ys, lengths)

    return Peer(two_directions(shapes), states_of(*names), compiled(run), differentiate)


def _packed(gates, bias_at):
    kernels = {"dense_i.kernel": (_D, gates * _H), "dense_h.kernel": (_H, gates * _H)}
    return kernels | {f"{bias_at}.bias": (gates * _H,)}


_NAMED = {f"i{name}.kernel": (_D, _H) for name in ["i", "f_", "g", "o"]}
_NAMED |= {f"h{gate}.kernel": (_H, _H) for gate in "ifgo"}
_NAMED |= {f"h{gate}.bias": (_H,) for gate in "ifgo"}

PEERS = {
    "nnx_simple": _peer(nnx.SimpleCell, _packed(1, "dense_i"), "h"),
    "nnx_gru": _peer(nnx.GRUCell, _packed(3, "dense_i"), "h"),
    "nnx_lstm": _peer(nnx.LSTMCell, _NAMED, "h", "c"),
    "nnx_optimized_lstm": _peer(nnx.OptimizedLSTMCell, _packed(4, "dense_h"), "h", "c"),
}
