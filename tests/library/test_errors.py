"""A recurrence gets one clear sentence for every bad input: what came and what to do."""

import functools

import jax
import jax.numpy as jnp
import pytest
from flax.nnx import Param, Rngs

from birnn_jax import (
    ELMAN,
    GRU,
    LSTM,
    Bi,
    Mask,
    Segments,
    bidirectional,
    dropout,
    final_states,
    linen,
    max_pool,
    mean_pool,
    nnx,
    scan_cell,
    valid_steps,
)
from birnn_jax.cells import GRU_RESET_BEFORE, zoneout
from birnn_jax.models import attention_pool, init_attention_pool
from tests.library._bad_calls import (
    CARRY,
    GRU_PARAMS,
    OTHER_SIZE,
    PARAMS,
    XS,
    assert_raises,
    run_stack,
)
from tests.library._cases import CLOCKED, LENGTHS, B, D, H, T, random_cell, random_xs

ELMAN_PARAMS = random_cell(ELMAN, 1)[0]
MIXED = PARAMS.fwd._replace(w_h=OTHER_SIZE[0][0].w_h)
scan = functools.partial(scan_cell, LSTM, PARAMS.fwd)
both = functools.partial(bidirectional, LSTM, PARAMS)
drop = functools.partial(dropout, XS)
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
    "steps_of_a_vector": (
        lambda: valid_steps(LENGTHS),
        "xs must be [B, T] or [B, T, ...], got shape (3,).",
    ),
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
    # Merges and dropout.
    "unknown_merge": (
        lambda: both(XS, merge="average"),
        "merge must be one of 'concat', 'sum', 'mul', 'mean', 'none', got 'average'.",
    ),
    "sum_of_different_sizes": (
        lambda: bidirectional(LSTM, Bi(PARAMS.fwd, OTHER_SIZE[0][0]), XS, merge="sum"),
        "merge='sum' needs outputs of one size, got 7 and 8. Use 'concat' or 'none'.",
    ),
    "rate_of_one": (
        lambda: drop(1.0, jax.random.key(0)),
        "dropout rate must be at least 0 and below 1, got 1.0.",
    ),
    "negative_rate": (lambda: drop(-0.1, None), "below 1, got -0.1."),
    "too_few_keys": (
        lambda: drop(0.5, jax.random.split(jax.random.key(0), 2)),
        "key must be one key or [B] keys with B = 3, got shape (2,).",
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
    "old_key": (
        lambda: drop(0.5, jax.random.PRNGKey(0)),
        "key must come from jax.random.key, got an array of shape (2,). A key of the old style",
    ),
}


@pytest.mark.parametrize(("call", "text"), BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_bad_value_gets_one_clear_sentence(call, text):
    assert_raises(ValueError, call, text)


@pytest.mark.parametrize(("call", "text"), BAD_TYPES.values(), ids=BAD_TYPES.keys())
def test_bad_type_gets_one_clear_sentence(call, text):
    assert_raises(TypeError, call, text)


@pytest.mark.parametrize("call", [scan, both])
def test_bad_lengths_are_refused_under_jit_too(call):
    with pytest.raises(TypeError, match="lengths must be integers"):
        jax.jit(call)(XS, LENGTHS.astype(float))
