"""Which layers the kernels take, and which of them takes a layer."""

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from .._core.dtypes import sum_dtype
from .._core.types import Cell
from ..cells import ELMAN, GRU, LSTM
from .cpu import library as cpu
from .xla.cell_rule import Form
from .xla.elman import ELMAN_FORM
from .xla.gru import GRU_FORM
from .xla.lstm import LSTM_FORM

Backend = Literal["auto", "xla", "cpu_kernel"]
BACKENDS = ("auto", "xla", "cpu_kernel")

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


def choose_backend(
    backend: Backend, form: Form | None, inputs: Sequence[jax.Array]
) -> Literal["xla", "cpu_kernel"]:
    """What computes a layer of this form, for the `[B, T, D]` of each direction."""
    if backend == "xla":
        return "xla"
    obstacle = _find_obstacle(form, inputs)
    if obstacle is None:
        return "cpu_kernel"
    if backend == "cpu_kernel":
        raise ValueError(f"backend='cpu_kernel' {obstacle} backend='auto' takes it where it can.")
    return "xla"


def _find_obstacle(form: Form | None, inputs: Sequence[jax.Array]) -> str | None:
    """Why the native CPU kernels cannot compute a layer, to be read after their name."""
    if form is None:
        return (
            "computes ELMAN, GRU and LSTM, the same cell in both directions, in one dtype and "
            "without Segments; this layer is another."
        )
    if sum_dtype(inputs[0].dtype) != jnp.float32:
        return f"adds up in float32, got {inputs[0].dtype}."
    # As in a program that `jax.export` writes for any batch, which cannot hold native code.
    if not all(isinstance(size, int) for xs in inputs for size in xs.shape):
        return f"needs sizes that are numbers, got {inputs[0].shape}."
    if jax.default_backend() != "cpu":
        return f"computes on CPUs, but the default backend is {jax.default_backend()!r}."
    if not cpu.is_registered():
        return f"is not there. {cpu.load().note}"
    return None
