"""First mistakes with what stands on top of the recurrences: each gets one plain sentence."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.nnx import Rngs

import birnn_jax
from birnn_jax import (
    LSTM,
    Layer,
    heads,
    init_stack,
    interop,
    linen,
    models,
    nnx,
    stacks,
    streaming,
    training,
)
from tests.library._cases import LENGTHS, B, D, H, T, random_xs
from tests.library._sentences import assert_says, read_sentences


def key():
    return jax.random.key(0)


STACKED = init_stack(LSTM, key(), D, H)
NAMES = {
    **vars(birnn_jax),
    **vars(heads),
    **vars(models),
    **vars(stacks),
    **vars(training),
    **{"linen": linen, "nnx": nnx, "interop": interop, "streaming": streaming},
    **{"nn": nn, "np": np, "optax": optax, "Rngs": Rngs, "key": key},
    **{"B": B, "D": D, "H": H, "XS": random_xs(), "LENGTHS": LENGTHS, "STACKED": STACKED},
    "LABELS": jnp.zeros([B, T], int),
    "ALL": {"query_size": D, "state_size": D},
    "FORWARD": Layer(LSTM, direction="fwd"),
    "CRF": heads.init_crf(num_classes=D),
}

NAMES |= {"SGD": training.make_optimizer(0.1, method=optax.sgd)}
NAMES |= {"STATE": training.init_train_state(random_xs(), NAMES["SGD"])}
NAMES |= {"loss_of": lambda outputs: lambda params, batch, key: outputs}

MISTAKES = """
# Readouts.
final_states(XS)
    ValueError: final_states reads a field h of the carry, got an array of shape (3, 5, 2).
final_states((XS, XS))
    ValueError: final_states reads a field h of the carry, got a tuple of 2 (array).
mean_pool(XS[0])
    ValueError: ys must be [B, T, H], got shape (5, 2). For one sequence use ys[None], for more batch dimensions jax.vmap.
init_attention_pool(0, input_size=3, attention_size=2)
    TypeError: key must be a random key, got 0. Use jax.random.key(0), and one of jax.random.split(key) for each use.
init_attention_pool(key(), input_size=3, attention_size=0)
    ValueError: attention_size must be at least 1, got 0.
attention_pool(None, XS)
    ValueError: params must be AttentionPoolParams, as init_attention_pool makes them, got None.
attention_pool(init_attention_pool(key(), input_size=3, attention_size=2), XS)
    ValueError: ys has 2 features but params were made for 3.

# Heads.
init_crf(num_classes=0)
    ValueError: num_classes must be at least 1, got 0.
init_crf(num_classes=["O", "B"])
    TypeError: num_classes must be an integer, got a list of 2 (str).
crf_loss(STACKED, XS, LABELS)
    ValueError: params must be CRFParams, as init_crf makes them, got a tuple of 1 (LayerParams).
crf_loss(XS, LABELS, LENGTHS)
    ValueError: params must be CRFParams, as init_crf makes them, got an array of shape (3, 5, 2).
crf_decode(None, XS)
    ValueError: params must be CRFParams, as init_crf makes them, got None.
crf_decode_n_best(CRF, XS, n=0)
    ValueError: n must be at least 1, got 0.
crf_decode_n_best(CRF, XS, n=1.5)
    TypeError: n must be an integer, got 1.5.
constrain_crf(None, tag_constraints(["O", "B-X"], scheme="BIO"))
    ValueError: params must be CRFParams, as init_crf makes them, got None.
ctc_loss(XS, LENGTHS, LABELS, LENGTHS, blank=-1)
    ValueError: blank must be at least 0, got -1.
ctc_loss(XS, LENGTHS, LABELS, LENGTHS, blank="_")
    TypeError: blank must be an integer, got the string '_'.
ctc_beam_decode(XS, width="10")
    TypeError: width must be an integer, got the string '10'.
init_additive_attention(0, query_size=D, state_size=D, attention_size=3)
    TypeError: key must be a random key, got 0. Use jax.random.key(0), and one of jax.random.split(key) for each use.
init_additive_attention(key(), query_size=None, state_size=D, attention_size=3)
    TypeError: query_size must be an integer, got None.
init_general_attention(key(), query_size=D, state_size=2.0)
    TypeError: state_size must be an integer, got 2.0.
general_attention(STACKED, XS, XS)
    ValueError: params must be GeneralAttentionParams, as init_general_attention makes them, got a tuple of 1 (LayerParams).
additive_attention(init_general_attention(key(), **ALL), XS, XS)
    ValueError: params must be AdditiveAttentionParams, as init_additive_attention makes them, got GeneralAttentionParams.
init_bridge("lstm", key(), input_size=D, hidden_size=H)
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got the string 'lstm'.
init_bridge(LSTM, key(), input_size=0, hidden_size=H)
    ValueError: input_size must be at least 1, got 0.
init_bridge(LSTM, 1, input_size=D, hidden_size=H)
    TypeError: key must be a random key, got 1. Use jax.random.key(1), and one of jax.random.split(key) for each use.
bridge(STACKED, STACKED)
    ValueError: params must hold AffineParams for each array of a carry, as init_bridge makes them, got a tuple of 1 (LayerParams).

crf_loss(CRF, XS, LABELS * 1.0)
    TypeError: labels must be integers, the numbers of classes, got float32.
crf_loss(CRF, XS, LABELS == 0)
    TypeError: labels must be integers, the numbers of classes, got bool.
ctc_loss(XS, LENGTHS, LABELS * 1.0, LENGTHS)
    TypeError: labels must be integers, the numbers of classes, got float32.
ctc_loss(XS, LENGTHS, LABELS, LENGTHS, zero_infinity="yes")
    TypeError: zero_infinity must be True or False, got the string 'yes'.
tag_constraints("O B-X", scheme="BIO")
    TypeError: tags must be a sequence of names such as 'B-PER', got the string 'O B-X'.
tag_constraints(["O", 3], scheme="BIO")
    TypeError: tags must be a sequence of names such as 'B-PER', got a list of 2 (str and int).

# Dropout.
word_dropout(XS, 0.5, key(), unknown_id=0)
    ValueError: tokens must be [B, T], got shape (3, 5, 2).
locked_dropout(XS, 0.5, 7)
    TypeError: key must be a random key, got 7. Use jax.random.key(7), and one of jax.random.split(key) for each use.
drop_connect(STACKED, "0.5", key())
    TypeError: drop_connect rate must be a number, got the string '0.5'.
drop_connect(STACKED, 0.5, 0)
    TypeError: key must be a random key, got 0. Use jax.random.key(0), and one of jax.random.split(key) for each use.
drop_connect({}, 0.5, key())
    ValueError: drop_connect found no recurrent weights: no field of params is w_h.

# Streams.
streaming.initial_carry(LSTM, STACKED, -1)
    ValueError: batch_size must be at least 0, got -1.
streaming.initial_carry(LSTM, STACKED, XS)
    TypeError: batch_size must be an integer, got an array of shape (3, 5, 2).
streaming.initial_carry((LSTM, LSTM), STACKED, B)
    ValueError: layers and params must be as many, got 2 and 1.
streaming.initial_carry(LSTM, {"params": STACKED}, B)
    ValueError: params must hold a LayerParams for each layer, as init_stack makes them, got a dict with the keys 'params'.
streaming.step(LSTM, STACKED, None, XS[:, 0])
    ValueError: A step needs layers with direction="fwd": the backward direction begins at an end that is still to come. Use latency_controlled_step.
streaming.step(FORWARD, init_stack(FORWARD, key(), D, H), None, XS)
    ValueError: x must be one step of every row, [B, D], got shape (3, 5, 2).
streaming.latency_controlled(LSTM, STACKED, XS, chunk_size=2.5, lookahead=1)
    TypeError: chunk_size must be an integer, got 2.5.
streaming.latency_controlled(LSTM, STACKED, XS, chunk_size=2, lookahead=-1)
    ValueError: lookahead must be at least 0, got -1.

# Training.
make_optimizer("0.1")
    TypeError: learning_rate must be a number, got the string '0.1'.
make_optimizer(0.1, clip_norm="1")
    TypeError: clip_norm must be a number, got the string '1'.
init_train_state(STACKED, None)
    TypeError: optimizer must be an optax.GradientTransformation, such as make_optimizer(1e-3), got None.
init_train_state(STACKED, optax.adam)
    TypeError: optimizer must be an optax.GradientTransformation, such as make_optimizer(1e-3), got the function adam.
init_train_state({"w": "glorot"}, make_optimizer(0.1))
    TypeError: params['w'] must be an array, got the string 'glorot'.
make_train_step(lambda params, batch, key: {}, 1e-3)
    TypeError: optimizer must be an optax.GradientTransformation, such as make_optimizer(1e-3), got 0.001.
make_train_step(lambda params, batch, key: {}, make_optimizer(0.1), accumulation_steps="2")
    TypeError: accumulation_steps must be an integer, got the string '2'.

make_optimizer(0.1, method="adam")
    TypeError: method must be a function of the learning rate, such as optax.adam, got the string 'adam'.
make_optimizer(0.1, method=optax.sgd(0.1))
    TypeError: method must be a function of the learning rate, such as optax.adam, got GradientTransformationExtraArgs.
make_train_step("loss", SGD)
    TypeError: loss_fn must be a function of (params, batch, key), got the string 'loss'.
make_train_step(lambda params, batch: 0.0, SGD)
    TypeError: loss_fn must be a function of (params, batch, key), got the function <lambda> of (params, batch).
make_train_step(loss_of(0.0), SGD, mesh=4)
    TypeError: mesh must be a mesh of devices, got 4: jax.make_mesh((number_of_devices,), ('data',)).
make_train_step(loss_of(0.0), SGD)(STATE, XS, key())
    TypeError: loss_fn must return a dict whose "loss" is a birnn_jax.Total, such as {"loss": cross_entropy(logits, labels, mask)}, got 0.0.
make_train_step(loss_of({"loss": 0.0}), SGD)(STATE, XS, key())
    TypeError: loss_fn must return a dict whose "loss" is a birnn_jax.Total, such as {"loss": cross_entropy(logits, labels, mask)}, got 0.0.
make_train_step(loss_of({"nats": 0.0}), SGD)(STATE, XS, key())
    TypeError: loss_fn must return a dict whose "loss" is a birnn_jax.Total, such as {"loss": cross_entropy(logits, labels, mask)}, got a dict with the keys 'nats'.
make_train_step(loss_of(0.0), SGD)({"w": XS}, XS, key())
    TypeError: state must be a TrainState, as init_train_state makes it of params, got a dict with the keys 'w'.
make_train_step(loss_of(0.0), SGD)(STATE, XS, 0)
    TypeError: key must be a random key, got 0. Use jax.random.key(0), and one of jax.random.split(key) for each use.
make_train_step(loss_of(0.0), SGD)(STATE, XS, None)
    TypeError: key must be a random key, got None. Use jax.random.key(0), and one of jax.random.split(key) for each use.
make_eval_step(loss_of(0.0))(XS, XS)
    TypeError: loss_fn must return a dict of totals, got 0.0.
make_eval_step(loss_of(0.0))(STATE, XS)
    TypeError: params must be parameters, got TrainState: give its field params.

# Flax.
linen.RNN("lstm", 4).init(key(), XS)
    TypeError: cell must be a birnn_jax.Cell or a cell of flax.linen, such as nn.GRUCell(64), got the string 'lstm'. Of a layer give its cell; cells of flax.nnx go into birnn_jax.nnx.
linen.RNN(LSTM, "4").init(key(), XS)
    TypeError: hidden_size must be an integer, got the string '4'.
linen.Bidirectional(LSTM).init(key(), XS)
    ValueError: hidden_size is missing: a birnn_jax.Cell has no sizes of its own. Give it, as in RNN(birnn_jax.LSTM, hidden_size=64).
linen.Bidirectional(Layer(LSTM), 4).init(key(), XS)
    TypeError: cell must be a birnn_jax.Cell or a cell of flax.linen, such as nn.GRUCell(64), got Layer. Of a layer give its cell; cells of flax.nnx go into birnn_jax.nnx.
linen.Stack("lstm", 4).init(key(), XS)
    TypeError: layers must be a tuple of birnn_jax.Layer, such as (Layer(LSTM),) * 2, got the string 'lstm'.
nnx.RNN(nn.GRUCell(4), D, H, rngs=Rngs(0))
    TypeError: cell must be a birnn_jax.Cell or a cell of flax.nnx, such as nnx.GRUCell(3, 64, rngs=rngs), in both directions of one kind, got GRUCell. Of a layer give its cell; cells of flax.linen go into birnn_jax.linen.
nnx.RNN(LSTM, D, H, rngs=key())
    TypeError: rngs must be nnx.Rngs, such as nnx.Rngs(0), got a random key.
nnx.RNN(LSTM, D, H)
    ValueError: rngs draws the parameters: give rngs=nnx.Rngs(0) or another seed.
nnx.RNN(LSTM, D, 0, rngs=Rngs(0))
    ValueError: hidden_size must be at least 1, got 0.
nnx.Stack((LSTM, LSTM), D, [4], rngs=Rngs(0))
    ValueError: hidden_size has 1 sizes for 2 layers: give one for all, or one for each.

# Export.
interop.torch.to_torch("lstm", STACKED)
    TypeError: layers must be a tuple of birnn_jax.Layer, such as (Layer(LSTM),) * 2, got the string 'lstm'.
interop.torch.to_torch(LSTM, STACKED[0])
    ValueError: params must hold a LayerParams for each layer, as init_stack makes them, got LayerParams. Give it in a tuple.
interop.keras.states_from_keras((LSTM, LSTM), [np.zeros([4, B, H])])
    ValueError: states must be one for each layer, got 1 for 2.
interop.onnx.stack_to_onnx(LSTM, STACKED * 2)
    ValueError: layers and params must be as many, got 1 and 2.
interop.onnx.tagger_to_onnx(LSTM, STACKED)
    ValueError: params must be TaggerParams, as init_tagger makes them, got a tuple of 1 (LayerParams).
"""  # noqa: E501
SENTENCES = read_sentences(MISTAKES)


@pytest.mark.parametrize("code", SENTENCES)
def test_mistake_gets_one_plain_sentence(code):
    assert_says(code, SENTENCES[code], NAMES)
