"""Every bad input gets one clear sentence, which says what came and what to do."""

import functools
import re

import jax
import jax.numpy as jnp
import pytest
from flax.nnx import Param, Rngs

from birnn_jax import (
    ELMAN,
    GRU,
    LSTM,
    Bi,
    Cell,
    Layer,
    Mask,
    Segments,
    accuracy,
    bidirectional,
    classifier,
    cross_entropy,
    dropout,
    final_states,
    init_classifier,
    init_stack,
    linen,
    make_optimizer,
    max_pool,
    mean_pool,
    nnx,
    scan_cell,
    stack,
    stack_lengths,
    valid_steps,
)
from birnn_jax.cells import GRU_RESET_BEFORE, zoneout
from birnn_jax.heads import bridge, init_bridge
from birnn_jax.models import ClassifierParams, attention_pool, init_attention_pool
from birnn_jax.stacks import LayerParams, stack_states, unstack_states
from tests.library._cases import CLOCKED, LENGTHS, B, D, H, T, random_cell, random_inputs, random_xs

PARAMS, XS, _, CARRY = random_inputs(LSTM)
GRU_PARAMS, ELMAN_PARAMS = random_inputs(GRU).params, random_cell(ELMAN, 1)[0]
LAYERS = (Layer(LSTM), Layer(LSTM))
OTHER_SIZE = [random_cell(LSTM, seed, hidden_size=H + 1) for seed in (1, 3)]
MIXED = PARAMS.fwd._replace(w_h=OTHER_SIZE[0][0].w_h)
NO_ATTENTION = ClassifierParams((LayerParams(PARAMS),) * 2, attention=None, w=None, b=None)
scan = functools.partial(scan_cell, LSTM, PARAMS.fwd)
both = functools.partial(bidirectional, LSTM, PARAMS)
COUNTER = Cell(
    init=lambda key, input_size, hidden_size: jnp.zeros([input_size]),
    init_carry=lambda params: jnp.zeros([], jnp.int32),
    step=lambda params, carry, x: (carry + 1, x),
)


def make_stack(layers, *, hidden_size):
    return init_stack(layers, jax.random.key(0), input_size=D, hidden_size=hidden_size)


drop = functools.partial(dropout, XS)
run_stack = functools.partial(stack, LAYERS[:1], (LayerParams(PARAMS),))
pool = functools.partial(
    attention_pool, init_attention_pool(jax.random.key(0), input_size=D, attention_size=3)
)


def _nnx_layer(params):
    layer = nnx.Bidirectional(LSTM, input_size=D, hidden_size=H, rngs=Rngs(0))
    layer.rnn = Param(params)
    return layer


BAD_VALUES = {
    # Inputs of the wrong shape.
    "one_sequence": (
        lambda: scan(XS[0]),
        "xs must be [B, T, D], got shape (5, 2). For one sequence use xs[None]",
    ),
    "more_batch_dimensions": (
        lambda: both(XS[None]),
        "xs must be [B, T, D], got shape (1, 3, 5, 2). For one sequence use xs[None], for more "
        "batch dimensions jax.vmap",
    ),
    "tokens": (lambda: run_stack(jnp.zeros([B, T], int)), "token ids are embedded first"),
    "features": (
        lambda: scan(random_xs(0, B, T, D + 1)),
        "xs has 3 features but params were made for 2.",
    ),
    "features_of_both": (
        lambda: both(random_xs(0, B, T, D + 1)),
        "xs has 3 features but params were made for 2.",
    ),
    "pool_of_one_sequence": (lambda: mean_pool(XS[0]), "got shape (5, 2)"),
    "max_pool_of_one_sequence": (lambda: max_pool(XS[0]), "got shape (5, 2)"),
    "attention_pool_of_one_sequence": (lambda: pool(XS[0]), "got shape (5, 2)"),
    "dropout_of_one_sequence": (lambda: dropout(XS[0], 0.5, jax.random.key(0)), "got shape (5, 2)"),
    # Lengths.
    "mask_of_another_size": (
        lambda: both(XS, Mask(jnp.zeros([B, T + 1], bool))),
        "Mask.valid must be [B, T] as in xs, (3, 5), got shape (3, 6).",
    ),
    "segments_without_time": (
        lambda: both(XS, Segments(jnp.zeros([B], jnp.int32))),
        "Segments.ids must be [B, T] as in xs, (3, 5), got shape (3,).",
    ),
    "too_many_lengths": (
        lambda: both(XS, jnp.array([T, 2, 0, 1])),
        "lengths must be [B] with B = 3 as in xs, got shape (4,).",
    ),
    "one_length_for_all": (lambda: scan(XS, T), "with B = 3 as in xs, got shape ()."),
    # Carries and parameters.
    "carry_of_another_cell": (
        lambda: scan(XS, initial_carry=random_cell(GRU, 1)[1]),
        "initial_carry must be LSTMCarry(c=..., h=...), got GRUCarry.",
    ),
    "carry_of_another_size": (
        lambda: scan(XS, initial_carry=OTHER_SIZE[0][1]),
        "initial_carry.c must have shape (3, 7), got (3, 8).",
    ),
    "carry_without_batch": (
        lambda: scan(XS, initial_carry=LSTM.init_carry(PARAMS.fwd)),
        "initial_carry.c must have shape (3, 7), got (7,).",
    ),
    "one_carry_for_both": (
        lambda: both(XS, initial_carry=CARRY.fwd),
        "initial_carry must be a Bi, one for each direction, got LSTMCarry.",
    ),
    "an_array_for_both_carries": (
        lambda: both(XS, initial_carry=XS),
        "initial_carry must be a Bi, one for each direction, got an array of shape (3, 5, 2).",
    ),
    "nothing_for_both_carries": (
        lambda: both(XS, initial_carry=()),
        "initial_carry must be a Bi, one for each direction, got an empty tuple.",
    ),
    "one_params_for_both": (
        lambda: bidirectional(LSTM, PARAMS.fwd, XS),
        "params must be a Bi, one for each direction, got LSTMParams.",
    ),
    "both_params_for_one": (
        lambda: scan_cell(LSTM, PARAMS, XS),
        "params must be LSTMParams of one direction, got a Bi of two: give params.fwd or",
    ),
    "both_params_for_one_of_your_own_cells": (
        lambda: scan_cell(CLOCKED, PARAMS, XS),
        "of one direction, got a Bi of two: give params.fwd or params.bwd, or run both",
    ),
    "params_of_a_gru_for_an_lstm": (
        lambda: scan_cell(LSTM, GRU_PARAMS.fwd, XS),
        "params must be LSTMParams, which the cell's init makes, got GRUParams.",
    ),
    "params_of_a_gru_for_a_bidirectional_lstm": (
        lambda: bidirectional(LSTM, Bi(PARAMS.fwd, GRU_PARAMS.bwd), XS),
        "params must be LSTMParams, which the cell's init makes, got GRUParams.",
    ),
    "params_of_a_gru_for_a_layer": (
        lambda: stack((Layer(GRU), Layer(LSTM)), (LayerParams(GRU_PARAMS),) * 2, XS),
        "params must be LSTMParams, which the cell's init makes, got GRUParams.",
    ),
    "both_params_for_a_layer_of_one": (
        lambda: stack((Layer(LSTM, direction="fwd"),), (LayerParams(PARAMS),), XS),
        "params must be LSTMParams of one direction, got a Bi of two",
    ),
    "params_of_one_for_a_layer_of_both": (
        lambda: stack((Layer(LSTM),), (LayerParams(PARAMS.fwd),), XS),
        "params must be a Bi, one for each direction, got LSTMParams.",
    ),
    "params_that_would_do_something": (
        lambda: scan_cell(GRU_RESET_BEFORE, GRU_PARAMS.fwd, XS),
        "params must be GRUResetBeforeParams, which the cell's init makes, got GRUParams.",
    ),
    "params_of_another_cell_with_options": (
        lambda: scan_cell(LSTM.with_init(forget_bias=2.0), GRU_PARAMS.fwd, XS),
        "params must be LSTMParams, which the cell's init makes, got GRUParams.",
    ),
    "params_of_another_noisy_cell": (
        lambda: scan_cell(zoneout(LSTM, h=0.1), GRU_PARAMS.fwd, XS),
        "params must be LSTMParams, which the cell's init makes, got GRUParams.",
    ),
    "params_without_their_class": (
        lambda: scan_cell(LSTM, PARAMS.fwd._asdict(), XS),
        "params must be LSTMParams, which the cell's init makes, got a dict with the keys",
    ),
    "params_that_cannot_be_split": (
        lambda: scan_cell(LSTM, PARAMS.fwd._replace(b=jnp.arange(4.0 * H - 1)), XS),
        "Arrays of LSTMParams must fit one another, got w_x (2, 28), w_h (7, 28), b (27,).",
    ),
    "params_of_two_sizes": (
        lambda: bidirectional(LSTM, Bi(MIXED, PARAMS.bwd), XS),
        "Arrays of LSTMParams must fit one another, got w_x (2, 28), w_h (8, 32), b (28,).",
    ),
    "params_that_would_be_broadcast": (
        lambda: scan_cell(ELMAN, ELMAN_PARAMS._replace(w_h=ELMAN_PARAMS.w_h[:1, :1]), XS),
        "Arrays of ElmanParams must fit one another, got w_x (2, 7), w_h (1, 1), b (7,).",
    ),
    "params_of_both_in_linen": (
        lambda: linen.RNN(LSTM, H).apply({"params": {"rnn": PARAMS}}, XS),
        "params must be LSTMParams of one direction, got a Bi of two",
    ),
    "params_of_a_gru_in_nnx": (
        lambda: _nnx_layer(GRU_PARAMS)(XS),
        "params must be LSTMParams, which the cell's init makes, got GRUParams.",
    ),
    "final_states_without_h": (
        lambda: final_states(random_cell(CLOCKED, 1)[1]),
        "final_states reads a field h of the carry, got a dict with the keys",
    ),
    # Merges and layers.
    "unknown_merge": (
        lambda: both(XS, merge="average"),
        "merge must be one of 'concat', 'sum', 'mul', 'mean', 'none', got 'average'.",
    ),
    "sum_of_different_sizes": (
        lambda: bidirectional(LSTM, Bi(PARAMS.fwd, OTHER_SIZE[0][0]), XS, merge="sum"),
        "merge='sum' needs outputs of one size, got 7 and 8. Use 'concat' or 'none'.",
    ),
    "layer_merge_none": (lambda: Layer(LSTM, merge="none"), "got 'none'."),
    "unknown_direction": (
        lambda: Layer(LSTM, direction="backward"),
        "direction must be one of 'both', 'fwd', 'bwd', got 'backward'.",
    ),
    "merge_of_one_direction": (
        lambda: Layer(LSTM, direction="fwd", merge="sum"),
        "A layer with direction='fwd' has one cell and nothing to merge.",
    ),
    "two_cells_in_one_direction": (
        lambda: Layer(Bi(LSTM, GRU), direction="bwd"),
        "A layer with direction='bwd' has one cell and nothing to merge.",
    ),
    "unknown_connection": (
        lambda: Layer(LSTM, connection="skip"),
        "connection must be one of 'none', 'residual', 'highway', got 'skip'.",
    ),
    "unknown_norm": (
        lambda: Layer(LSTM, norm="batch"),
        "norm must be one of 'none', 'pre', 'post'",
    ),
    "unknown_initial_carry": (
        lambda: Layer(LSTM, initial_carry="zeros"),
        "initial_carry must be one of 'cell', 'learned', got 'zeros'.",
    ),
    "unknown_subsample_mode": (
        lambda: Layer(LSTM, subsample=2, subsample_mode="last"),
        "subsample_mode must be one of 'concat', 'first', got 'last'.",
    ),
    "no_step_becomes_one": (
        lambda: Layer(LSTM, subsample=0),
        "subsample must be at least 1, got 0.",
    ),
    "projection_to_nothing": (
        lambda: Layer(LSTM, projection=0),
        "projection must be at least 1, got 0.",
    ),
    "first_of_one_step": (
        lambda: Layer(LSTM, subsample_mode="first"),
        "subsample_mode='first' has no effect with subsample=1: give the number of steps",
    ),
    "residual_of_another_size": (
        lambda: make_stack((Layer(LSTM, connection="residual"),), hidden_size=H),
        "connection='residual' needs inputs and outputs of one size, got 2 and 14. Give the layer "
        "projection=2.",
    ),
    "highway_of_another_size": (
        lambda: make_stack((Layer(LSTM, subsample=3, connection="highway"),), hidden_size=H),
        "connection='highway' needs inputs and outputs of one size, got 6 and 14. Give the layer "
        "projection=6.",
    ),
    "residual_of_one_feature_in_a_run": (
        lambda: stack(
            (Layer(CLOCKED, direction="fwd", connection="residual"),),
            (LayerParams(random_cell(CLOCKED, 1, input_size=1)[0]),),
            XS[..., :1],
        ),
        "connection='residual' needs inputs and outputs of one size, got 1 and 11.",
    ),
    "learned_carry_of_integers": (
        lambda: make_stack((Layer(COUNTER, learned_carry=True),), hidden_size=H),
        "A learned carry must be of floats, but the cell has int32.",
    ),
    "params_of_a_recurrence_for_a_layer": (
        lambda: stack(LAYERS[:1], (PARAMS,), XS),
        "params must hold a LayerParams for each layer, as init_stack makes them, got Bi.",
    ),
    "params_without_what_the_layer_has": (
        lambda: stack((Layer(LSTM, norm="pre"),), (LayerParams(PARAMS),), XS),
        "The params of a layer do not fit it: norm should be parameters, got None. Use the layers",
    ),
    "params_with_what_the_layer_has_not": (
        lambda: stack(LAYERS[:1], (LayerParams(PARAMS, initial=CARRY),), XS),
        "The params of a layer do not fit it: initial should be None, got parameters. Use",
    ),
    "segments_of_fewer_steps": (
        lambda: stack_lengths(
            (Layer(LSTM, subsample=2),), Segments(jnp.tile(1 + jnp.arange(T) // 2, [B, 1]))
        ),
        "Segments cannot be subsampled: a group would hold steps of two sequences. Give each",
    ),
    "bridge_to_a_carry_that_is_no_vector": (
        lambda: init_bridge(CLOCKED, jax.random.key(0), input_size=4, hidden_size=H),
        "A bridge leads to a carry of vectors of floats, but the cell has one of shape () and",
    ),
    "bridge_from_another_carry": (
        lambda: bridge(init_bridge(GRU, jax.random.key(0), input_size=4, hidden_size=H), CARRY.bwd),
        "The encoder's carry has 14 features, but the bridge was made for 4: h and c of both",
    ),
    "no_layers": (
        lambda: make_stack((), hidden_size=H),
        "A stack needs at least one layer, got none.",
    ),
    "too_few_sizes": (
        lambda: make_stack(LAYERS, hidden_size=[H]),
        "hidden_size has 1 sizes for 2 layers: give one for all, or one for each.",
    ),
    "params_of_fewer_layers": (
        lambda: stack(LAYERS, (LayerParams(PARAMS),), XS),
        "layers and params must be as many, got 2 and 1.",
    ),
    "carries_of_more_layers": (
        lambda: run_stack(XS, initial_carry=(CARRY, CARRY)),
        "initial_carry must hold one carry for each of 1 layers, got a tuple of 2 (Bi).",
    ),
    "states_of_different_cells": (
        lambda: stack_states((CARRY, random_inputs(GRU).carry)),
        "All layers and directions must have one cell and one size, got carries of shapes",
    ),
    "states_of_different_sizes": (
        lambda: stack_states((CARRY, Bi(OTHER_SIZE[0][1], OTHER_SIZE[1][1]))),
        "All layers and directions must have one cell and one size, got carries of shapes",
    ),
    "states_of_fewer_layers": (
        lambda: unstack_states(LAYERS, stack_states((CARRY,))),
        "states must have a leading axis of 4, one for each layer and direction, got [2].",
    ),
    # Dropout.
    "rate_of_one": (
        lambda: drop(1.0, jax.random.key(0)),
        "dropout rate must be at least 0 and below 1, got 1.0.",
    ),
    "negative_rate": (lambda: drop(-0.1, None), "below 1, got -0.1."),
    "too_few_keys": (
        lambda: drop(0.5, jax.random.split(jax.random.key(0), 2)),
        "key must be one key or [B] keys with B = 3, got shape (2,).",
    ),
    "rate_of_a_stack_that_drops_nothing": (
        lambda: run_stack(XS, dropout=2.0),
        "dropout must be at least 0 and below 1, got 2.0.",
    ),
    # Models, losses, training.
    "unknown_readout": (
        lambda: init_classifier(
            LAYERS, jax.random.key(0), input_size=D, hidden_size=H, num_classes=4, readout="last"
        ),
        "readout must be one of 'final', 'mean', 'max', 'attention', got 'last'.",
    ),
    "readout_of_other_params": (
        lambda: classifier(LAYERS, NO_ATTENTION, XS, readout="attention"),
        "readout='attention' does not fit the params: give init_classifier the same readout.",
    ),
    "labels_of_another_shape": (
        lambda: cross_entropy(XS, jnp.zeros([B, T - 1], int), jnp.zeros([B, T], bool)),
        "logits must be [..., K] and labels [...], got shapes (3, 5, 2) and (3, 4).",
    ),
    "mask_of_another_shape": (
        lambda: accuracy(XS, jnp.zeros([B, T], int), jnp.zeros([B], bool)),
        "mask must be [...] as labels, (3, 5), or [B] integer lengths, got bool of shape (3,).",
    ),
    "mask_of_zeros_and_ones": (
        lambda: cross_entropy(XS, jnp.zeros([B, T], int), jnp.ones([B, T], int)),
        "mask holds integers of shape (3, 5): lengths are [B] integers, and a mask of 0 and 1 is",
    ),
    "lengths_of_labels_of_rows": (
        lambda: cross_entropy(XS[:, 0], jnp.zeros([B], int), LENGTHS),
        "which steps of labels [B, T] count, but labels have shape (3,): give a bool mask",
    ),
    "lengths_of_other_rows": (
        lambda: accuracy(XS, jnp.zeros([B, T], int), LENGTHS[:2]),
        "mask must be [B] with B = 3 as in labels, got shape (2,).",
    ),
    "mask_of_other_steps": (
        lambda: accuracy(XS, jnp.zeros([B, T], int), Mask(jnp.zeros([B, 4], bool))),
        "Mask.valid must be [B, T] as in labels, (3, 5), got shape (3, 4).",
    ),
    "steps_of_a_vector": (
        lambda: valid_steps(LENGTHS),
        "xs must be [B, T] or [B, T, ...], got shape (3,).",
    ),
    "both_ways_of_clipping": (
        lambda: make_optimizer(0.1, clip_norm=1.0, clip_value=1.0),
        "Give clip_norm or clip_value, not both.",
    ),
    "clip_norm_of_zero": (
        lambda: make_optimizer(0.1, clip_norm=0.0),
        "clip_norm must be positive, got 0.0; None switches clipping off.",
    ),
    "clip_value_of_nan": (
        lambda: make_optimizer(0.1, clip_value=float("nan")),
        "clip_value must be positive, got nan; None switches clipping off.",
    ),
}

BAD_TYPES = {
    "float_lengths": (
        lambda: scan(XS, LENGTHS.astype(float)),
        "lengths must be integers, the number of valid steps of each row, got float32.",
    ),
    "mask_for_lengths": (
        lambda: both(XS, jnp.zeros([B, T], bool)),
        "got bool. A mask is given as birnn_jax.Mask(mask).",
    ),
    "mask_of_numbers": (
        lambda: both(XS, Mask(jnp.zeros([B, T]))),
        "Mask.valid must be bool, got float32.",
    ),
    "segments_of_floats": (
        lambda: both(XS, Segments(jnp.zeros([B, T]))),
        "Segments.ids must be integers, got float32.",
    ),
    "float_lengths_of_pool": (
        lambda: mean_pool(XS, LENGTHS.astype(float)),
        "lengths must be integers",
    ),
    "float_lengths_of_fewer_steps": (
        lambda: stack_lengths((Layer(LSTM, subsample=2),), LENGTHS.astype(float)),
        "lengths must be integers",
    ),
    "labels_as_probabilities": (
        lambda: cross_entropy(XS, XS[..., 0]),
        "labels must be integers, the numbers of classes, got float32.",
    ),
    "old_key": (
        lambda: drop(0.5, jax.random.PRNGKey(0)),
        "key must come from jax.random.key, got an array of shape (2,). A key of the old style",
    ),
}


def _assert_raises(error, call, text):
    with pytest.raises(error, match=re.escape(text)) as raised:
        call()
    assert type(raised.value) is error
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("call", "text"), BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_bad_value_gets_one_clear_sentence(call, text):
    _assert_raises(ValueError, call, text)


@pytest.mark.parametrize(("call", "text"), BAD_TYPES.values(), ids=BAD_TYPES.keys())
def test_bad_type_gets_one_clear_sentence(call, text):
    _assert_raises(TypeError, call, text)


@pytest.mark.parametrize("call", [scan, both])
def test_bad_lengths_are_refused_under_jit_too(call):
    with pytest.raises(TypeError, match="lengths must be integers"):
        jax.jit(call)(XS, LENGTHS.astype(float))
