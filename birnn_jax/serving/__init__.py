"""Parameters for many requests: weights that are packed once, weights of 8 bits.

`prepare` and `quantize` take parameters and return others, for any forward pass.

    prepared = serving.prepare(layers, params)  # or of serving.quantize(layers, params)
    answer = jax.jit(lambda xs, lengths: stack(layers, prepared, xs, lengths))
"""

from .._core.prepared import PreparedParams as PreparedParams
from .._core.quantized import QuantizedMatrix as QuantizedMatrix
from ._prepare import prepare as prepare
from ._quantize import quantize as quantize
