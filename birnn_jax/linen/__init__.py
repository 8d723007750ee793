"""Layers for `flax.linen`: the functions of birnn_jax as modules, nothing computed twice.

Parameters are nested dicts under the name "rnn", so that Flax's functions reach each array by its
path: `variables["params"]["rnn"]["fwd"]["w_x"]`, in a `Stack` `["rnn"]["0"]["rnn"]["fwd"]["w_x"]`.

    labels = flax.traverse_util.path_aware_map(
        lambda path, _: "frozen" if "bwd" in path else "trained", variables["params"]
    )

`from_dicts` gives the NamedTuples that the functions of birnn_jax take. Parameters made by them or
by a converter enter as they are, `{"params": {"rnn": params}}`, or by `to_dicts`.

What `nn.RNN` and `nn.Bidirectional` are given can be given here: a cell of Flax or two RNNs in
place of a `Cell`, `seq_lengths`, `time_major`, `reverse`, `keep_order`, `return_carry`, `merge_fn`,
and a carry `(c, h)`. The last ones change what a call returns, which no function of birnn_jax has:
here they are, because code that was written for Flax has them. Their defaults are those of
birnn_jax, `return_carry=True` and `keep_order=True`.

When a layer of Flax is replaced, these change without an error:

- With `reverse` outputs stay in the order of the input; `keep_order=False` is Flax's default.
- Outputs in padding are zero, and no result depends on padding. Flax computes on through it.
- A row of length 0 keeps its initial carry; Flax returns the carry after its last step.
- `LSTM` starts with a forget bias of 1, Flax's with 0: `LSTM.with_init(forget_bias=0.0)`.
- Input weights start Glorot-uniform, Flax's LeCun-normal: make
  `lecun = jax.nn.initializers.lecun_normal()` once and use `LSTM.with_init(w_x=lecun)`.

With a cell of Flax the last two do not change. These have no counterpart: `init_key` (draw a carry
and give it as `initial_carry`), `unroll`, `variable_axes`, `variable_broadcast`, `variable_carry`
and `split_rngs` (leave them out; a cell that needs them stays with `nn.RNN`). The carry of a cell
of birnn_jax is a NamedTuple: `c, h = carry` works, a GRU's `h` is `carry.h`.
"""

from .._adapters.paths import from_dicts as from_dicts
from .._adapters.paths import to_dicts as to_dicts
from ._cells import as_cell as as_cell
from ._rnn import RNN as RNN
from ._rnn import Bidirectional as Bidirectional
from ._stack import Stack as Stack
