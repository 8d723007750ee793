"""The cell state as the native code has it: all arrays of a carry but h, side by side."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.types import Carry


def cell_state_of(carry: Carry) -> jax.Array | None:
    """`[..., H]`, of the sLSTM c, n and m `[..., 3H]`; None if there is only h."""
    parts = [getattr(carry, name) for name in _names(carry)]
    return jnp.concatenate(parts, axis=-1) if len(parts) > 1 else next(iter(parts), None)


def cell_state_size(carry: Carry) -> int:
    """The last axis of `cell_state_of`, without making it."""
    return sum(getattr(carry, name).shape[-1] for name in _names(carry))


def with_cell_state(carry: Carry, state: jax.Array | None) -> Carry:
    """The inverse: `carry` with the arrays of `state` in place of its own."""
    names: list[Any] = _names(carry)
    if state is None or not names:
        return carry
    ends = np.cumsum([getattr(carry, name).shape[-1] for name in names])[:-1]
    parts = jnp.split(state, ends, axis=-1)
    return carry._replace(**dict(zip(names, parts, strict=True)))


def _names(carry: Carry) -> list[str]:
    return [name for name in carry._fields if name != "h"]
