"""Which layers have a cell rule."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ..._core.dtypes import sum_dtype
from ...cells import ELMAN, GRU, LSTM, SLSTM
from .cell_rule import CellRule
from .elman import ELMAN_RULE
from .gru import GRU_RULE
from .lstm import LSTM_RULE
from .slstm import SLSTM_RULE

# By the step: a cell that differs from a built-in one in its initialisers only is as fast.
_RULES = {
    ELMAN.step: ELMAN_RULE,
    GRU.step: GRU_RULE,
    LSTM.step: LSTM_RULE,
    SLSTM.step: SLSTM_RULE,
}


def describe_needs(cells: str, directions: tuple[Direction, ...]) -> str:
    """Why a backend for these cells does not compute a layer, to be read after its name."""
    own = _join(direction.cell for direction in directions)
    dtypes = _join(map(_dtypes_of, ((d.params, d.xs) for d in directions)))
    of_carry = _join(_dtypes_of(direction.carry) for direction in directions)
    return (
        f"computes {cells}, the same cell in both directions, in one dtype; this layer is {own} in "
        f"{dtypes} with a carry in {of_carry}."
    )


def _join(parts: Iterable[Any]) -> str:
    return " and ".join(dict.fromkeys(map(str, parts)))


def _dtypes_of(tree: Any) -> str:
    return _join(getattr(leaf, "dtype", type(leaf).__name__) for leaf in jax.tree.leaves(tree))


def find_need_of_a_rule(directions: tuple[Direction, ...]) -> str | None:
    """The same for what has a rule; None if the layer has one."""
    if find_rule(directions) is not None:
        return None
    return describe_needs("ELMAN, GRU, LSTM and SLSTM", directions)


def find_rule(directions: tuple[Direction, ...]) -> CellRule | None:
    """The rule of all directions of a layer, if they have one."""
    rules = {_find_rule(direction) for direction in directions}
    return rules.pop() if len(rules) == 1 else None


def get_rule(directions: tuple[Direction, ...]) -> CellRule:
    """The rule of a layer that has one."""
    return _RULES[directions[0].cell.step]


def _find_rule(direction: Direction) -> CellRule | None:
    """Parameters and inputs must share a floating dtype; the carry must be of its `sum_dtype`."""
    dtypes = {jnp.result_type(leaf) for leaf in jax.tree.leaves((direction.params, direction.xs))}
    dtypes_of_carry = {jnp.result_type(leaf) for leaf in jax.tree.leaves(direction.carry)}
    if len(dtypes) != 1 or not all(jnp.issubdtype(dtype, jnp.floating) for dtype in dtypes):
        return None
    if dtypes_of_carry != {sum_dtype(*dtypes)}:
        return None
    return _RULES.get(direction.cell.step)
