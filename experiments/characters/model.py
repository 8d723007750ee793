"""A language model over characters: a stack that reads tokens, under a softmax layer.

The first layer reads one-hot vectors of characters, as its parameters say: `w_x` is [V, G*H]. The
product of a one-hot vector and `w_x` is a row of it, so of many characters rows are looked up.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import birnn_jax
from birnn_jax import Bi, Cell, scan_cell, stack
from birnn_jax.stacks import LayerParams
from experiments.characters.config import CharModel, Initializer, normal
from experiments.runner.data.keys import keys_of_rows


class CharParams(NamedTuple):
    """Parameters of `score`."""

    rnn: tuple[LayerParams, ...]
    w: jax.Array  # [S, V]
    b: jax.Array  # [V]


def init_params(
    model: CharModel,
    key: jax.Array,
    *,
    num_characters: int,
    hidden_size: int,
    initializer: Initializer,
) -> CharParams:
    """Makes the parameters; consumes `key`. The softmax layer starts as the cell does."""
    key_rnn, key_w, key_b = jax.random.split(key, 3)
    size = hidden_size * (2 if model.direction == "both" else 1)
    bound = size**-0.5
    b = jnp.zeros(num_characters)
    if initializer == "torch":
        w = jax.random.uniform(key_w, (size, num_characters), minval=-bound, maxval=bound)
        b = jax.random.uniform(key_b, b.shape, minval=-bound, maxval=bound)
    elif initializer == "normal":
        w = normal(key_w, (size, num_characters))
    else:
        w = jax.nn.initializers.glorot_uniform()(key_w, (size, num_characters))
    return CharParams(
        rnn=birnn_jax.init_stack(
            model.layers,
            key_rnn,
            input_size=num_characters,
            hidden_size=hidden_size,
        ),
        w=w,
        b=b,
    )


def initial_carry(model: CharModel, hidden_size: int, batch_size: int) -> Any:
    """The carry of every layer before the first character: zeros, leaves `[B, H]`."""

    def make(key: jax.Array) -> Any:
        params = model.cell.init(key, 1, hidden_size)
        carry = model.cell.init_carry(params)
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch_size, *leaf.shape)), carry)

    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), _shapes(make))
    return ((zeros if model.direction != "both" else Bi(zeros, zeros)),) * model.num_layers


def score(
    model: CharModel,
    params: CharParams,
    tokens: jax.Array,
    carry: Sequence[Any],
    *,
    lengths: jax.Array | None = None,
    key: jax.Array | None = None,
    rows: jax.Array | None = None,
) -> tuple[tuple[Any, ...], jax.Array]:
    """Scores every character at every step.

    Args:
      model: static.
      params: from `init_params`.
      tokens: `[B, T]` integers, or floats `[B, T, V]` in place of their one-hot vectors.
      carry: from `initial_carry`, or of the text before. The direction against time has nothing
        before it: it always starts at zero.
      lengths: `[B]`, as in `birnn_jax.stack`.
      key: consumed by dropout, one mask for all steps of a row; None is evaluation.
      rows: `[B]` numbers, by which rows have masks of their own; 0 to B - 1 if not given.

    Returns:
      The carry after the last step, and logits `[B, T, V]`.
    """
    rows = jnp.arange(len(tokens)) if rows is None else rows
    key_first, key_above, key_top = keys_of_rows(key, rows, 3)
    first, *above = (_as_beginning(model, of_layer) for of_layer in carry)
    carry, xs = _read_tokens(model, params.rnn[0].rnn, tokens, lengths, first)
    carries = ()
    if above:
        xs = birnn_jax.locked_dropout(xs, model.dropout, key_first)
        carries, xs = stack(
            model.layers[1:],
            params.rnn[1:],
            xs,
            lengths,
            initial_carry=above,
            locked_dropout=model.dropout,
            key=key_above,
        )
    xs = birnn_jax.locked_dropout(xs, model.dropout, key_top)
    return (carry, *carries), xs @ params.w + params.b[None, None]


def _as_beginning(model: CharModel, carry: Any) -> Any:
    """The carry that a window begins with: zero against time."""
    if model.direction == "both":
        return Bi(carry.fwd, _zeros(carry.bwd))
    return _zeros(carry) if model.direction == "bwd" else carry


def _read_tokens(
    model: CharModel, params: Any, tokens: jax.Array, lengths: jax.Array | None, carry: Any
) -> tuple[Any, jax.Array]:
    """The first layer."""
    if model.direction != "both":
        reverse = model.direction == "bwd"
        return _scan_tokens(model.cell, params, tokens, lengths, carry, reverse=reverse)
    fwd, ys_fwd = _scan_tokens(model.cell, params.fwd, tokens, lengths, carry.fwd)
    bwd, ys_bwd = _scan_tokens(model.cell, params.bwd, tokens, lengths, carry.bwd, reverse=True)
    return Bi(fwd, bwd), jnp.concatenate([ys_fwd, ys_bwd], axis=-1)


class _RowParams(NamedTuple):
    """Parameters of a cell without its input weights: `w_x` has no rows."""

    cell: Any


@dataclasses.dataclass(frozen=True)
class _ReadRow:
    """A step whose input is `x w_x` already: beside the state it acts like a bias."""

    step: Any

    def __call__(self, params: _RowParams, carry: Any, x: jax.Array) -> tuple[Any, jax.Array]:
        with_row = params.cell._replace(b=params.cell.b + x)
        return self.step(with_row, carry, jnp.zeros([0], x.dtype))


def _scan_tokens(
    cell: Cell,
    params: Any,
    tokens: jax.Array,
    lengths: jax.Array | None,
    carry: Any,
    *,
    reverse: bool = False,
) -> tuple[Any, jax.Array]:
    """`scan_cell` over the one-hot vectors of tokens."""
    options = {"initial_carry": carry, "reverse": reverse}
    num_characters, hidden_size = params.w_x.shape[0], params.w_h.shape[0]
    if tokens.ndim == 3 or num_characters < hidden_size:
        # Of few characters the product is cheap, and the cell runs in its kernel: 65 characters
        # and 512 units take 430 ms a minibatch against 550, 1018 and 256 units 45 against 26.
        xs = tokens if tokens.ndim == 3 else jax.nn.one_hot(tokens, num_characters)
        return scan_cell(cell, params, xs, lengths, **options)
    reader = Cell(
        lambda key, input_size, hidden_size: _RowParams(cell.init(key, 0, hidden_size)),
        lambda params: cell.init_carry(params.cell),
        _ReadRow(cell.step),
    )
    without_rows = _RowParams(params._replace(w_x=params.w_x[:0]))
    return scan_cell(reader, without_rows, params.w_x[tokens], lengths, **options)


def _zeros(carry: Any) -> Any:
    return jax.tree.map(jnp.zeros_like, carry)


def _shapes(make: Any) -> Any:
    return jax.eval_shape(lambda: make(jax.random.key(0)))
