"""Parameters in a form that serves many requests: packed once, or with weights of 8 bits.

Both are functions from parameters to parameters, and every forward run takes what they return.

    prepared = serving.prepare(layers, params)
    answer = jax.jit(lambda xs, lengths: stack(layers, prepared, xs, lengths))
"""

from .._core.prepared import PreparedParams as PreparedParams
from ._prepare import prepare as prepare
