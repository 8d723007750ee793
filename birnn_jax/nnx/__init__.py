"""Layers for `flax.nnx`: the functions of birnn_jax as modules.

Every layer keeps its parameters as one tree of NamedTuples, `layer.rnn`, with an `nnx.Param` for
each array: `layer.rnn.fwd.w_x`, in a `Stack` `layer.rnn[0].rnn.fwd.w_x`. Filters reach them by
path, `nnx.All(nnx.Param, nnx.PathContains("bwd"))`, and metadata are set on them,
`layer.rnn.fwd.w_x.set_metadata(...)`. Parameters made elsewhere enter by
`layer.rnn = jax.tree.map(nnx.Param, params)`. Only a `Stack` with dropout, or with cells that draw
noise, keeps random state.

Coming from Flax: the layers accept the calls of `nnx.RNN` and `nnx.Bidirectional`: a cell of Flax,
or two RNNs, in place of a `Cell`; `seq_lengths`, `time_major`, `reverse`, `keep_order`,
`return_carry` and `merge_fn`; carries `h` and `(c, h)`; any number of batch dimensions.
`time_major`, `keep_order` and `return_carry` change what a call returns. No function of birnn_jax
has such flags; the layers have them because code written for Flax passes them. The defaults are
those of birnn_jax: `return_carry=True` and `keep_order=True`. The docstring of `birnn_jax.linen`
lists the results that change without an error when a layer of Flax is replaced.

A cell of Flax keeps its parameters, `layer.rnn.dense_i.kernel`, and runs on the backend "xla". It
must have no other state; those of Flax have none unless they are made with `keep_rngs=True`.

Leave out `unroll`, `state_axes`, `broadcast_rngs` and, in a call of `RNN` or `Bidirectional`,
`rngs`; a cell that needs them stays in `nnx.RNN`. `nnx.tabulate` shows layers that are made with
`return_carry=False`: it cannot show outputs that are NamedTuples.
"""

from ._rnn import RNN as RNN
from ._rnn import Bidirectional as Bidirectional
from ._stack import Stack as Stack
