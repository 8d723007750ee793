"""Models of ONNX in ONNX Runtime, and a ragged batch for them."""

from typing import Any

import numpy as np
import onnxruntime

from ._stacks import D, T

LENGTHS = np.array([T, 2, 0, 5, 1, T + 9], np.int32)
B = len(LENGTHS)


def session(model):
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def batch(rng):
    """Ragged rows with NaN and large numbers in padding."""
    xs = rng.normal(size=(len(LENGTHS), T, D)).astype(np.float32)
    xs[1, 2:] = np.nan
    xs[2] = 1e6
    return xs


def run(model, **feeds) -> dict[str, Any]:
    made = session(model)
    return dict(zip([one.name for one in made.get_outputs()], made.run(None, feeds), strict=True))
