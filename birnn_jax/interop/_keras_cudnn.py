"""The weights of `CuDNNLSTM` and `CuDNNGRU`, layers of Keras 2, as those of `LSTM` and `GRU`.

Gates are in the same order. Every gate has its matrices as cuDNN has them, by rows of the hidden
unit, and a second bias behind all of the first, so that a bias has 8H or 6H entries.
"""

import numpy as np

from ._keras_layers import Weights


def is_of_cudnn(weights: Weights) -> bool:
    """Whether weights of a cell are those of a layer of cuDNN."""
    bias = weights.get("bias")
    columns = weights["recurrent_kernel"].shape[1]
    return bias is not None and bias.shape == (2 * columns,)


def as_plain(weights: Weights) -> Weights:
    """The weights of an `LSTM`, or of a `GRU` with reset_after=True, that computes the same."""
    kernel, recurrent, bias = (weights[key] for key in ("kernel", "recurrent_kernel", "bias"))
    hidden_size, columns = recurrent.shape
    num_gates = columns // hidden_size
    gates = [gate.T.reshape(gate.shape, order="F") for gate in np.split(kernel, num_gates, axis=1)]
    states = [gate.T for gate in np.split(recurrent, num_gates, axis=1)]
    biases = bias.reshape(2, columns)
    return {
        "kernel": np.concatenate(gates, axis=1),
        "recurrent_kernel": np.concatenate(states, axis=1),
        "bias": biases if num_gates == 3 else biases.sum(axis=0),
    }
