"""What PyTorch hands over: tensors are read; what would lose something on the way is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from birnn_jax import LSTM, Layer, Mask, bidirectional, init_bidirectional, scan_cell, stack
from birnn_jax._core.checks import as_array
from tests.library._cases import LENGTHS, B, D, H, T, assert_equal, random_inputs

PARAMS, XS, _, CARRY = random_inputs(LSTM)
TENSOR = torch.from_numpy(np.array(XS))


def test_tensors_are_read_as_arrays():
    want = bidirectional(LSTM, PARAMS, XS, LENGTHS, initial_carry=CARRY)
    carry = jax.tree.map(lambda leaf: torch.from_numpy(np.array(leaf)), CARRY)
    lengths = torch.from_numpy(LENGTHS)
    assert_equal(bidirectional(LSTM, PARAMS, TENSOR, lengths, initial_carry=carry), want)
    mask = Mask(torch.arange(T)[None] < lengths[:, None])
    assert_equal(bidirectional(LSTM, PARAMS, TENSOR, mask, initial_carry=carry), want)
    assert_equal(bidirectional(LSTM, PARAMS, TENSOR.double(), lengths, initial_carry=carry), want)


def test_tensors_in_16_bits_that_numpy_has_not_are_copied():
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), PARAMS)
    given = TENSOR.bfloat16()
    want = bidirectional(LSTM, params, jnp.asarray(given.float().numpy(), jnp.bfloat16), LENGTHS)
    assert_equal(bidirectional(LSTM, params, given, LENGTHS), want)
    turned = given.transpose(0, 1).contiguous().transpose(0, 1)
    assert_equal(bidirectional(LSTM, params, turned, LENGTHS), want)
    array = as_array("xs", given)
    given.zero_()
    assert (array != 0).all()


PACKED = torch.nn.utils.rnn.pack_padded_sequence(TENSOR, [T, 2, 1], batch_first=True)
REFUSED = {
    "gradient": (
        lambda: bidirectional(LSTM, PARAMS, TENSOR.clone().requires_grad_()),
        r"xs must be an array of numbers, got a torch Tensor of shape \(3, 5, 2\), which JAX .*",
    ),
    "gradient in bfloat16": (
        lambda: bidirectional(LSTM, PARAMS, TENSOR.bfloat16().requires_grad_()),
        r"xs must be an array of numbers, got a torch Tensor .*, which JAX cannot read: BufferEr",
    ),
    "packed": (
        lambda: bidirectional(LSTM, PARAMS, PACKED),
        "xs must be an array, got PackedSequence.",
    ),
    "module": (lambda: Layer(torch.nn.LSTM(D, H)), "cell must be a Cell, .*, got LSTM."),
    "class": (
        lambda: init_bidirectional(torch.nn.LSTM, jax.random.key(0), D, H),
        "cell must be a Cell, .*, got the class torch.nn.modules.rnn.LSTM.",
    ),
    "weights": (
        lambda: scan_cell(LSTM, PARAMS.fwd._replace(b=torch.zeros(4 * H)), XS),
        r"params must be a tree of JAX arrays, got one with a torch Tensor of shape \(28,\) in it",
    ),
    "state_dict": (
        lambda: stack(Layer(LSTM), torch.nn.LSTM(D, H).state_dict(), XS),
        "params must hold a LayerParams .* got a dict with the keys 'weight_ih_l0', ",
    ),
}


@pytest.mark.parametrize(("call", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_what_would_lose_something_is_refused(call, text):
    with pytest.raises((TypeError, ValueError), match=text) as raised:
        call()
    assert "\n" not in str(raised.value) and len(XS) == B
