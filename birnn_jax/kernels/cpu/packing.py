"""The weights of a direction as the native forward pass reads them, packed once for many calls.

A call without them packs the weights itself. What is packed says in its first numbers of which
layer and for which vectors it is: where that does not fit, as with another instruction set, the
kernels take the parameters, which every call has too. So packed weights change time, not results.
"""

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ..._core.dtypes import widen
from ..._core.quantized import is_quantized_matrix
from ..moving import state_of
from ..operation import Operands, Operation
from . import library
from .call import call_pack
from .cells import native_cell
from .heads import with_whole_vectors
from .linear import are_linear


def pack(direction: Direction) -> jax.Array | None:
    """The packed weights of a direction that the native code computes; None of a linear cell."""
    if are_linear((direction,)):
        return None
    direction = with_whole_vectors(direction.replace(params=widen(direction.params)))
    cell, states = native_cell((direction,)), state_of(direction).h.shape[-1]
    w_x = direction.params.w_x
    (inputs, columns), dtype = w_x.shape, jnp.int8 if is_quantized_matrix(w_x) else w_x.dtype
    head = direction.params.w_h.shape[0]
    size = library.packed_size(cell.name, inputs, columns, states, head, dtype)
    packed = jax.ShapeDtypeStruct((size,), dtype)
    return _pack.bind(packed, Operands(shared=direction)).shared


def _shapes(packed: jax.ShapeDtypeStruct, operands: Operands) -> Operands:
    del operands
    return Operands(shared=packed)


def _pack_nothing(packed: jax.ShapeDtypeStruct, operands: Operands) -> Operands:
    """Zeros, which the kernels know as nothing."""
    del operands
    return Operands(shared=jnp.zeros(packed.shape, packed.dtype))


def _call(packed: jax.ShapeDtypeStruct, operands: Operands) -> Operands:
    return Operands(shared=call_pack(operands.shared, packed))


_pack = Operation("birnn_pack", _pack_nothing, _shapes, native=_call)
