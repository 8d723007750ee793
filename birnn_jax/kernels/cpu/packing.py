"""The weights of a direction as the native forward pass reads them, packed once for many calls.

A call without them packs the weights itself. What is packed says in its first numbers of which
layer and for which vectors it is: where that does not fit, as with another instruction set, the
kernels take the parameters, which every call has too. So packed weights change time, not results.
"""

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ..._core.dtypes import widen
from ..moving import state_of
from ..operation import Operands, Operation
from . import library
from .call import call_pack
from .cells import native_cell
from .linear import are_linear


def pack(direction: Direction) -> jax.Array | None:
    """The packed weights of a direction that the native code computes; None of a linear cell."""
    if are_linear((direction,)):
        return None
    direction = direction.replace(params=widen(direction.params))
    cell, states = native_cell((direction,)), state_of(direction).h.shape[-1]
    (inputs, columns), dtype = direction.params.w_x.shape, direction.params.w_x.dtype
    size = library.packed_size(cell.name, inputs, columns, states, dtype)
    return _pack.bind(size, Operands(shared=direction)).shared


def _shapes(size: int, operands: Operands) -> Operands:
    dtype = operands.shared.params.w_x.dtype
    return Operands(shared=jax.ShapeDtypeStruct((size,), dtype))


def _pack_nothing(size: int, operands: Operands) -> Operands:
    """Zeros, which the kernels know as nothing."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), _shapes(size, operands))


def _call(size: int, operands: Operands) -> Operands:
    return Operands(shared=call_pack(operands.shared, size))


_pack = Operation("birnn_pack", _pack_nothing, _shapes, native=_call)
