"""Features of speech in an ONNX graph, as `features` computes them.

The DFT of a frame is a product with constant cosines and sines, that of all frames a convolution.
"""

from typing import NamedTuple

import numpy as np

from birnn_jax.interop.onnx import Graph, add_mask
from experiments.speech.features import (
    DELTA_REACH,
    EMPHASIS,
    QUIETEST,
    SMALLEST_VARIANCE,
    Features,
    fft_size,
    mel_filters,
    spectrum_basis,
)

FULL_SCALE = 2.0**15
"""Samples from -1 to 1 times this are on the scale of 16 bits."""


class FeaturesOfGraph(NamedTuple):
    """Names of values."""

    log_mel: str  # [B, F, 26]
    xs: str  # [B, F, D]
    lengths: str  # [B] int32, valid frames


def add_features(graph: Graph, features: Features, samples: str, lengths: str) -> FeaturesOfGraph:
    """Adds the features of samples `[B, N]` from -1 to 1."""
    log_mel = _add_log_mel(graph, features, samples, lengths)
    frames = _add_num_frames(graph, features, lengths)
    static = log_mel
    if features.kind == "mfcc":
        static = graph.op("MatMul", log_mel, graph.constant(spectrum_basis()))
    parts = [static]
    for _ in range(features.deltas):
        parts.append(_add_delta(graph, parts[-1], frames))
    xs = graph.op("Concat", *parts, axis=2)
    return FeaturesOfGraph(log_mel, _add_normalised(graph, features, xs, frames), frames)


def _add_log_mel(graph: Graph, features: Features, samples: str, lengths: str) -> str:
    signals = graph.op("Mul", samples, graph.constant(np.float32(FULL_SCALE)))
    zero, one = graph.constant(np.array([0])), graph.constant(np.array([1]))
    shifted = graph.op("Pad", signals, graph.constant(np.array([0, 1, 0, 0])))
    before = graph.op("Slice", shifted, zero, graph.constant(np.array([-1])), one)
    before = graph.op("Mul", before, graph.constant(np.float32(EMPHASIS)))
    columns = graph.op("Unsqueeze", signals, graph.constant(np.array([2])))
    valid = graph.op("Squeeze", add_mask(graph, columns, lengths), graph.constant(np.array([2])))
    nothing = graph.constant(np.float32(0))
    emphasised = graph.op("Where", valid, graph.op("Sub", signals, before), nothing)
    # Sounds shorter than a frame are filled up with silence.
    size = graph.op("Shape", signals, start=1, end=2)
    missing = graph.op("Sub", graph.constant(np.array([features.frame])), size)
    pads = graph.op("Concat", graph.constant(np.zeros(3, np.int64)),
                    graph.op("Max", missing, zero), axis=0)  # fmt: skip
    waves = graph.op("Unsqueeze", graph.op("Pad", emphasised, pads), one)  # [B, 1, N]
    basis = graph.constant(_dft(features))
    parts = graph.op("Conv", waves, basis, strides=[features.shift])  # [B, 2 bins, F]
    squares = graph.op("Mul", parts, parts)
    filters = mel_filters(features.rate, fft_size(features.frame)).T / fft_size(features.frame)
    both = graph.constant(np.concatenate([filters, filters]).astype(np.float32))
    power = graph.op("MatMul", graph.op("Transpose", squares, perm=[0, 2, 1]), both)
    return graph.op("Log", graph.op("Max", power, graph.constant(np.float32(QUIETEST))))


def _dft(features: Features) -> np.ndarray:
    """`[2 bins, 1, frame]`: the window times cosines, and times sines."""
    size = fft_size(features.frame)
    angles = 2 * np.pi * np.outer(np.arange(size // 2 + 1), np.arange(features.frame)) / size
    waves = np.concatenate([np.cos(angles), np.sin(angles)])
    return (np.hamming(features.frame) * waves)[:, None].astype(np.float32)


def _add_num_frames(graph: Graph, features: Features, lengths: str) -> str:
    frame, shift, one, zero = (
        graph.constant(np.int32(number)) for number in (features.frame, features.shift, 1, 0)
    )
    rest = graph.op("Max", graph.op("Sub", lengths, frame), zero)
    whole = graph.op("Add", graph.op("Div", rest, shift), one)
    return graph.op("Where", graph.op("Greater", lengths, zero), whole, zero)


def _add_delta(graph: Graph, xs: str, frames: str) -> str:
    """The slope of each feature over five frames, the ends repeated."""
    axis, zero = graph.constant(np.array([1])), graph.constant(np.int64(0))
    one = graph.constant(np.int64(1))
    count = graph.op("Squeeze", graph.op("Shape", xs, start=1, end=2))
    places = graph.op("Range", zero, count, one)  # [F]
    last = graph.op("Sub", graph.op("Max", graph.cast(frames, np.int64), one), one)
    last = graph.op("Unsqueeze", last, axis)  # [B, 1]
    total = ""
    for k in range(1, DELTA_REACH + 1):
        sides = []
        for step in (k, -k):
            at = graph.op("Add", places, graph.constant(np.int64(step)))
            at = graph.op("Max", graph.op("Min", at, last), zero)  # [B, F]
            at = graph.op("Unsqueeze", at, graph.constant(np.array([2])))
            sides.append(graph.op("GatherND", xs, at, batch_dims=1))
        slope = graph.op("Mul", graph.op("Sub", *sides), graph.constant(np.float32(k)))
        total = graph.op("Add", total, slope) if total else slope
    scale = 2 * sum(k * k for k in range(1, DELTA_REACH + 1))
    return graph.op("Div", total, graph.constant(np.float32(scale)))


def _add_normalised(graph: Graph, features: Features, xs: str, frames: str) -> str:
    """Zero in padding, and of mean 0 and variance 1 elsewhere if that is asked for."""
    mask, zero = add_mask(graph, xs, frames), graph.constant(np.float32(0))
    if features.normalise:
        count = graph.op("Max", graph.cast(frames, np.float32), graph.constant(np.float32(1)))
        count = graph.op("Unsqueeze", count, graph.constant(np.array([1, 2])))
        total = graph.reduce("ReduceSum", graph.op("Where", mask, xs, zero), 1, keepdims=True)
        xs = graph.op("Sub", xs, graph.op("Div", total, count))
        squares = graph.op("Where", mask, graph.op("Mul", xs, xs), zero)
        square = graph.op("Div", graph.reduce("ReduceSum", squares, 1, keepdims=True), count)
        small = graph.constant(np.float32(SMALLEST_VARIANCE))
        xs = graph.op("Div", xs, graph.op("Sqrt", graph.op("Add", square, small)))
    return graph.op("Where", mask, xs, zero)
