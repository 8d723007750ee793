"""What the tests of refusals share."""

import functools
import re

import pytest

from birnn_jax import GRU, LSTM, Layer, stack
from birnn_jax.stacks import LayerParams
from tests.library._cases import H, random_cell, random_inputs

PARAMS, XS, _, CARRY = random_inputs(LSTM)
LAYERS = (Layer(LSTM), Layer(LSTM))
OTHER_SIZE = [random_cell(LSTM, seed, hidden_size=H + 1) for seed in (1, 3)]
GRU_PARAMS = random_inputs(GRU).params
run_stack = functools.partial(stack, LAYERS[:1], (LayerParams(PARAMS),))


def assert_raises(error, call, text):
    with pytest.raises(error, match=re.escape(text)) as raised:
        call()
    assert type(raised.value) is error
    assert "\n" not in str(raised.value)
