"""Keys of rows by native code.

XLA takes a tenth of a second to compile each `fold_in` of `jax.random`, and a layer has three.
"""

import jax
import jax.ffi
import jax.numpy as jnp

from ..._core.keys import IMPL, fold_in_each
from ..operation import Operands, Operation
from . import library


def fold_in(keys: jax.Array, numbers: jax.Array) -> jax.Array:
    """`fold_in_each` of keys of threefry2x32, to the bit."""
    if not library.is_registered():
        return fold_in_each(keys, numbers)
    operands = Operands(rows=(jax.random.key_data(keys), numbers.astype(jnp.uint32)))
    return jax.random.wrap_key_data(_operation.bind(None, operands).rows, impl=IMPL)


def _define(static: None, operands: Operands) -> Operands:
    del static
    key_data, numbers = operands.rows
    keys = jax.random.wrap_key_data(key_data, impl=IMPL)
    return Operands(rows=jax.random.key_data(fold_in_each(keys, numbers)))


def _shapes(static: None, operands: Operands) -> Operands:
    del static
    key_data, _ = operands.rows
    return Operands(rows=jax.ShapeDtypeStruct(key_data.shape, jnp.uint32))


def _call(static: None, operands: Operands) -> Operands:
    call = jax.ffi.ffi_call(library.target_name("birnn_fold_in"), _shapes(static, operands).rows)
    return Operands(rows=call(*operands.rows))


_operation = Operation("birnn_fold_in", _define, _shapes, native=_call)
