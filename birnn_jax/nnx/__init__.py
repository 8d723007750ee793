"""Layers for `flax.nnx`: the functions of birnn_jax as modules, nothing computed twice.

Every layer keeps its parameters as one tree of NamedTuples, `layer.rnn`, with an `nnx.Param` for
each array: `layer.rnn.fwd.w_x`, in a `Stack` `layer.rnn[0].rnn.fwd.w_x`. Parameters made elsewhere
enter by `layer.rnn = jax.tree.map(nnx.Param, params)`. No layer keeps or consumes random state,
except `Stack` with dropout or with cells that draw noise.

What `nnx.RNN` and `nnx.Bidirectional` are given can be given here: a cell of Flax or two RNNs in
place of a `Cell`, `seq_lengths`, `time_major`, `reverse`, `keep_order`, `return_carry`, `merge_fn`,
and a carry `(c, h)`. The last ones change what a call returns, which no function of birnn_jax has:
here they are, because code that was written for Flax has them. Their defaults are those of
birnn_jax, `return_carry=True` and `keep_order=True`.

A cell of Flax keeps its parameters, `layer.rnn.dense_i.kernel`, and runs on the backend "xla". It
must have no other state: those of Flax have none unless they are made with `keep_rngs=True`.

When a layer of Flax is replaced by one with a cell of birnn_jax, what changes without an error
stands in the docstring of `birnn_jax.linen`. These have no counterpart: `rngs` in the call of `RNN`
and `Bidirectional` (draw a carry and give it as `initial_carry`), `unroll`, `state_axes` and
`broadcast_rngs` (leave them out; a cell that needs them stays with `nnx.RNN`).
"""

from ._rnn import RNN as RNN
from ._rnn import Bidirectional as Bidirectional
from ._stack import Stack as Stack
