"""The carries of Flax as carries of this library."""

from collections.abc import Sequence
from typing import Any

import jax

from .._core.types import Bi, Carry, Cell, Params
from .._stacks.layer import Layer, LayerParams


def as_carry(cell: Cell | Bi[Cell], params: Params, carry: Any) -> Carry:
    """A carry of `cell` from one as Flax has it: `h`, `(c, h)`, a pair for two directions."""
    if carry is None:
        return None
    if isinstance(params, Bi):
        cells = cell if isinstance(cell, Bi) else Bi(cell, cell)
        is_pair = isinstance(carry, tuple | list) and len(carry) == 2
        return Bi(*map(as_carry, cells, params, carry)) if is_pair else carry
    assert isinstance(cell, Cell)
    kind = type(jax.eval_shape(cell.init_carry, params))
    fields = getattr(kind, "_fields", ())
    if fields == ("c", "h") and type(carry) in (tuple, list) and len(carry) == 2:
        return kind(*carry)
    if fields == ("h",) and hasattr(carry, "shape"):
        return kind(carry)
    return carry


def as_carries(layers: Sequence[Layer], params: Sequence[LayerParams], carries: Any) -> Any:
    """The same for every layer of a stack; None stays None."""
    if carries is None or not len(layers) == len(params) == len(carries):
        return carries  # of another number, which `stack` refuses
    pairs = zip(layers, params, carries, strict=True)
    return [as_carry(layer.cell, layer_params.rnn, carry) for layer, layer_params, carry in pairs]
