"""Layers for `flax.linen`: the functions of birnn_jax as modules.

Parameters are nested dicts under the name "rnn", so that Flax's functions reach every array by its
path: `variables["params"]["rnn"]["fwd"]["w_x"]`, in a `Stack` `["rnn"]["0"]["rnn"]["fwd"]["w_x"]`.
To train only the forward direction with `optax.multi_transform`:

    labels = flax.traverse_util.path_aware_map(
        lambda path, _: "frozen" if "bwd" in path else "trained", variables["params"]
    )

`from_dicts` converts them to the NamedTuples that the functions of birnn_jax take. Parameters made
by those functions or by a converter enter as they are, `{"params": {"rnn": params}}`.

Coming from Flax: the layers accept the calls of `nn.RNN` and `nn.Bidirectional`: a cell of Flax, or
two RNNs, in place of a `Cell`; `seq_lengths`, `time_major`, `reverse`, `keep_order`, `return_carry`
and `merge_fn`; carries `h` and `(c, h)`; any number of batch dimensions. `time_major`, `keep_order`
and `return_carry` change what a call returns. No function of birnn_jax has such flags; the layers
have them because code written for Flax passes them. The defaults are those of birnn_jax:
`return_carry=True` and `keep_order=True`.

These results change without an error when a layer of Flax is replaced:

- Outputs with `reverse` stay in the order of the input; `keep_order=False` is Flax's default.
- Outputs in padding are zero, and results do not depend on padding. Flax computes through padding.
- A row of length 0 keeps its initial carry. Flax returns the carry after its last step.
- `LSTM` starts with a forget bias of 1, Flax's LSTM with 0: `LSTM.with_init(forget_bias=0.0)`.
- Input weights start Glorot-uniform, in Flax LeCun-normal: make
  `lecun = jax.nn.initializers.lecun_normal()` once and use `LSTM.with_init(w_x=lecun)`.

The last two do not change with a cell of Flax. The carry of a birnn_jax cell is a NamedTuple:
`c, h = carry` works for an LSTM; the state of a GRU is `carry.h`, not `carry`.

Leave out `unroll`, `variable_axes`, `variable_broadcast`, `variable_carry` and `split_rngs`; a cell
that needs them stays in `nn.RNN`. In place of `init_key`, give a carry as `initial_carry`. Under
`nn.jit` and `nn.remat`, as in Flax, the flags are settings of the layer and not of its call.
"""

from .._adapters.paths import from_dicts as from_dicts
from .._adapters.paths import to_dicts as to_dicts
from ._cells import as_cell as as_cell
from ._rnn import RNN as RNN
from ._rnn import Bidirectional as Bidirectional
from ._stack import Stack as Stack
