"""Which layers the kernels take."""

from typing import Any

import jax
import jax.numpy as jnp

from .._dtypes import sum_dtype
from .._types import Cell
from ..cells import ELMAN, GRU, LSTM
from ._elman import ELMAN_FORM
from ._form import Form
from ._gru import GRU_FORM
from ._lstm import LSTM_FORM

# By the step: a cell that differs from a built-in one in its initialisers only is as fast.
_FORMS = {ELMAN.step: ELMAN_FORM, GRU.step: GRU_FORM, LSTM.step: LSTM_FORM}


def find_form(cell: Cell, arrays: Any, carry: Any) -> Form | None:
    """The form of `cell`, if it has one.

    All `arrays` of its layer must share a floating dtype, and the carry must be of its `sum_dtype`.
    """
    dtypes = {jnp.result_type(leaf) for leaf in jax.tree.leaves(arrays)}
    dtypes_of_carry = {jnp.result_type(leaf) for leaf in jax.tree.leaves(carry)}
    if len(dtypes) != 1 or not all(jnp.issubdtype(dtype, jnp.floating) for dtype in dtypes):
        return None
    if dtypes_of_carry != {sum_dtype(*dtypes)}:
        return None
    return _FORMS.get(cell.step)
