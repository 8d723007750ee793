"""Stacks, models, losses and optimizers get one clear sentence for every bad input."""

import jax
import jax.numpy as jnp
import pytest

from birnn_jax import (
    GRU,
    LSTM,
    Bi,
    Cell,
    Layer,
    Mask,
    Segments,
    accuracy,
    classifier,
    cross_entropy,
    init_classifier,
    init_stack,
    make_optimizer,
    stack,
    stack_lengths,
)
from birnn_jax.heads import bridge, init_bridge
from birnn_jax.models import ClassifierParams
from birnn_jax.stacks import LayerParams, stack_states, unstack_states
from tests.library._bad_calls import (
    CARRY,
    GRU_PARAMS,
    LAYERS,
    OTHER_SIZE,
    PARAMS,
    XS,
    assert_raises,
    run_stack,
)
from tests.library._cases import CLOCKED, LENGTHS, B, D, H, T, random_cell, random_inputs

NO_ATTENTION = ClassifierParams((LayerParams(PARAMS),) * 2, attention=None, w=None, b=None)
COUNTER = Cell(
    init=lambda key, input_size, hidden_size: jnp.zeros([input_size]),
    init_carry=lambda params: jnp.zeros([], jnp.int32),
    step=lambda params, carry, x: (carry + 1, x),
)


def make_stack(layers, *, hidden_size):
    return init_stack(layers, jax.random.key(0), input_size=D, hidden_size=hidden_size)


BAD_VALUES = {
    # Layers and stacks.
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
        lambda: cross_entropy(XS, jnp.zeros([B, T], int), jnp.eye(B, T, dtype=int)),
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
    "float_lengths_of_fewer_steps": (
        lambda: stack_lengths((Layer(LSTM, subsample=2),), LENGTHS.astype(float)),
        "lengths must be integers",
    ),
    "labels_as_probabilities": (
        lambda: cross_entropy(XS, XS[..., 0]),
        "labels must be integers, the numbers of classes, got float32.",
    ),
}


@pytest.mark.parametrize(("call", "text"), BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_bad_value_gets_one_clear_sentence(call, text):
    assert_raises(ValueError, call, text)


@pytest.mark.parametrize(("call", "text"), BAD_TYPES.values(), ids=BAD_TYPES.keys())
def test_bad_type_gets_one_clear_sentence(call, text):
    assert_raises(TypeError, call, text)
