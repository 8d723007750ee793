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
from .call import call_pack, of_params
from .cells import find_native_cell
from .heads import with_whole_vectors


def pack(direction: Direction) -> jax.Array | None:
    """The packed weights of a direction that the native code computes; else None."""
    cell = find_native_cell((direction,))
    if cell is None:
        return None
    direction = with_whole_vectors(direction.replace(params=widen(direction.params)))
    states = state_of(direction).h.shape[-1]
    w_x, w_h, *_ = of_params(direction.params)
    inputs, columns = w_x.shape
    size = library.packed_size(cell.name, inputs, columns, states, w_h.shape[0], w_x.dtype)
    packed = jax.ShapeDtypeStruct((size,), w_x.dtype)
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
