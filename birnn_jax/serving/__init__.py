"""Parameters in a form that serves many requests: weights that are packed once.

It is a function from parameters to parameters, and every forward run takes what it returns.

    prepared = serving.prepare(layers, params)
    answer = jax.jit(lambda xs, lengths: stack(layers, prepared, xs, lengths))
"""

from .._core.prepared import PreparedParams as PreparedParams
from .._core.quantized import QuantizedMatrix as QuantizedMatrix
from ._prepare import prepare as prepare
from ._quantize import quantize as quantize
