"""A sequence for a sequence: an encoder in both directions, and a decoder that attends to it.

states       = stack(embedding(source))
s[0]         = bridge(final states of the top layer)
s[i]         = cell(s[i-1], [embedding(y[i-1]), a[i-1]])    a[0] = 0
c[i]         = attention of s[i] over the states           "additive", "general"
             = the final states, the same for all i        "none"
a[i]         = tanh([s[i], c[i]] w)
p(y[i])      = softmax(a[i] E^T + b)                       E, the embedding of the target
"""

import dataclasses
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from ..._core.checks import as_size, check_cell, check_choice, check_key
from ..._core.describe import describe
from ..._core.types import Cell
from ..._stacks.layer import LayerParams, Layers, as_layers
from ..._stacks.stack import init_stack, stack_shapes
from ...heads._attention import init_additive_attention, init_general_attention
from ...heads._bridge import init_bridge
from ..embedding import init_embedding, init_inputs
from ..readouts import final_states

Attention = Literal["additive", "general", "none"]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Seq2Seq:
    """What an encoder and a decoder are. Their sizes are in the parameters.

    Args:
      layers: of the encoder, from the bottom to the top; with features `h` in the carry of the top.
      cell: of the decoder.
      begin: the token that the decoder reads first; it is never written.
      end: the token that ends a target.
      attention: how the decoder looks at the encoder: "additive" (Bahdanau et al.), "general"
        (Luong et al.; the scores divided by the root of the size of the states), or "none": the
        final states alone (Cho et al.).

    Raises:
      ValueError: for an unknown attention, or a token below 0.
      TypeError: if `layers` or `cell` are none.

    Example:
      >>> from birnn_jax.models import Seq2Seq
      >>> model = Seq2Seq((Layer(GRU),) * 2, GRU, begin=1, end=2, attention="general")

    References:
      Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014; Bahdanau, Cho and
      Bengio, Neural Machine Translation by Jointly Learning to Align and Translate, 2015; Luong,
      Pham and Manning, Effective Approaches to Attention-based Neural Machine Translation, 2015.
    """

    layers: Layers
    cell: Cell
    _: dataclasses.KW_ONLY
    begin: int
    end: int
    attention: Attention = "additive"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", as_layers(self.layers))
        check_cell(self.cell)
        for name in ("begin", "end"):
            object.__setattr__(self, name, as_size(name, getattr(self, name), least=0))
        check_choice("attention", self.attention, ("additive", "general", "none"))


class Seq2SeqParams(NamedTuple):
    """Parameters of `seq2seq`."""

    source: jax.Array | None  # [V, D], embedding; None in a model that reads features
    target: jax.Array  # [K, E], embedding, and the weights of the softmax layer
    encoder: tuple[LayerParams, ...]
    bridge: Any
    decoder: Any
    attention: Any  # None without attention
    w: jax.Array  # [H + S, E]
    b: jax.Array  # [K]


def init_seq2seq(
    model: Seq2Seq,
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    num_classes: int,
    num_tokens: int | None = None,
    target_size: int | None = None,
) -> Seq2SeqParams:
    """Makes the parameters of `seq2seq`.

    Args:
      model: what it is.
      key: consumed.
      input_size: features D of each step of the source, or of the vector of each token.
      hidden_size: hidden units H of each direction of the encoder, of the decoder and of additive
        attention.
      num_classes: tokens K of the target.
      num_tokens: tokens V of the source; None is a model that reads features.
      target_size: features E of the vector of each token of the target; None is `input_size`.

    Raises:
      ValueError, TypeError: as `init_stack`.

    Example:
      >>> from birnn_jax.models import Seq2Seq, init_seq2seq
      >>> model = Seq2Seq(LSTM, LSTM, begin=1, end=2)
      >>> params = init_seq2seq(model, jax.random.key(0), 3, 4, num_classes=50, num_tokens=90)
      >>> params.source.shape, params.target.shape
      ((90, 3), (50, 3))
    """
    check_model(model)
    check_key(key)
    hidden_size, input_size = as_size("hidden_size", hidden_size), as_size("input_size", input_size)
    size = input_size if target_size is None else as_size("target_size", target_size)
    num_classes = as_size("num_classes", num_classes)
    keys = jax.random.split(key, 7)
    encoder = init_stack(model.layers, keys[2], input_size=input_size, hidden_size=hidden_size)
    carries, ys = stack_shapes(model.layers, encoder, input_size)
    state_size = ys.shape[-1]
    summary_size = jax.eval_shape(final_states, carries[-1]).shape[-1]
    ends = sum(leaf.size for leaf in jax.tree.leaves(carries[-1]))
    attention, context_size = None, state_size
    if model.attention == "additive":
        sizes = {"query_size": hidden_size, "state_size": state_size}
        attention = init_additive_attention(keys[4], **sizes, attention_size=hidden_size)
    elif model.attention == "general":
        attention = init_general_attention(keys[4], query_size=hidden_size, state_size=state_size)
    else:
        context_size = summary_size
    glorot = jax.nn.initializers.glorot_uniform()
    return Seq2SeqParams(
        source=init_inputs(keys[0], num_tokens, input_size),
        target=init_embedding(keys[1], num_classes, size),
        encoder=encoder,
        bridge=init_bridge(model.cell, keys[3], input_size=ends, hidden_size=hidden_size),
        decoder=model.cell.init(keys[5], 2 * size, hidden_size),
        attention=attention,
        w=glorot(keys[6], (hidden_size + context_size, size)),
        b=jnp.zeros(num_classes),
    )


def check_model(model: Any) -> None:
    if not isinstance(model, Seq2Seq):
        raise TypeError(
            "model must be a Seq2Seq, such as Seq2Seq(LSTM, LSTM, begin=1, end=2), got "
            f"{describe(model)}."
        )
