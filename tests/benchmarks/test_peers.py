"""Candidates that differ in an option compute different numbers: an option does something."""

import numpy as np
import pytest

from benchmarks import _weights
from benchmarks._points import Point


@pytest.mark.filterwarnings("ignore")  # of torch.ao
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_weights_of_8_bits_are_rounded_in_pytorch(cell):
    pytest.importorskip("torch")
    from benchmarks.peers import torch_rnn

    point = Point(cell=cell, shape=(2, 5, 8, 16), work="forward", lengths=False)
    inputs = _weights.make_inputs(point)
    whole, small = (
        torch_rnn.make_program(point, inputs, int8=int8).results()["ys"] for int8 in (False, True)
    )
    assert 1e-4 < np.abs(whole - small).max() < 0.1
