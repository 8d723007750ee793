"""The cells of Flax NNX as cells of this library."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax.typing import DTypeLike

from .._adapters.flax_cells import check_features, check_initial_carry, check_state
from .._core.describe import describe
from .._core.dtypes import as_output, cast_floating
from .._core.types import Bi, Carry, Cell, Params
from ._params import make_variables

_LAYER = "flax.nnx.RNN, or flax.nnx.Bidirectional over two of them"


def as_pair(cell: Any, backward: Any) -> Any:
    """The cells of both directions, also when given as Flax has them, as two RNNs by position."""
    if backward is not None:
        cell = Bi(cell, backward)
    if isinstance(cell, Bi):
        return Bi(*(part.cell if isinstance(part, nnx.RNN) else part for part in cell))
    if isinstance(cell, nnx.Module):
        raise ValueError(
            f"{type(cell).__name__} holds the parameters of one direction: give two of them, "
            "Bidirectional(forward, backward)."
        )
    return cell


def hold(
    init: Callable[..., Params],
    cell: Any,
    *,
    param_dtype: DTypeLike | None,
    rngs: nnx.Rngs | None,
    **sizes: Any,
) -> tuple[Any, Any]:
    """What a layer keeps: its cell, or a `Bi` of cells, and its parameters.

    A cell of NNX is both, and is kept as the parameters.
    """
    cells = cell if isinstance(cell, Bi) else (cell,)
    if all(isinstance(part, Cell) for part in cells):
        if missing := [name for name, size in sizes.items() if size is None]:
            raise ValueError(f"A birnn_jax.Cell has no sizes of its own: give {_join(missing)}.")
        return cell, make_variables(lambda key: init(cell, key, **sizes), rngs, param_dtype)
    for part in cells:
        _check(part)
    if isinstance(cell, Bi) and cell.fwd is cell.bwd:
        raise ValueError(
            "Both directions are one object, which would share its parameters. Give two of them."
        )
    settings = {"param_dtype": param_dtype, **sizes}
    if given := [name for name, value in settings.items() if value is not None]:
        raise ValueError(
            f"A cell of flax.nnx has its sizes and holds its parameters: leave {_join(given)} out, "
            "or give a birnn_jax.Cell."
        )
    return None, nnx.data(cell)


def pure_cell(cell: Any, held: Any, dtype: DTypeLike | None) -> tuple[Any, Params]:
    """A cell or a `Bi` of cells, and its parameters in `dtype`, from what a layer holds."""
    if isinstance(held, nnx.Module):
        graphdef, params = nnx.split(held, nnx.Param)
        cell, held = Cell(_Init(), _InitialCarry(graphdef), _Step(graphdef)), params
    elif isinstance(held, Bi) and isinstance(held.fwd, nnx.Module):
        (cell_fwd, fwd), (cell_bwd, bwd) = (pure_cell(None, part, dtype) for part in held)
        return Bi(cell_fwd, cell_bwd), Bi(fwd, bwd)
    return cell, cast_floating(nnx.as_pure(held), dtype)


def _check(module: Any) -> None:
    """`module` is a cell of NNX that keeps its state in its parameters."""
    name = type(module).__name__
    if not isinstance(module, nnx.RNNCellBase):
        raise TypeError(
            "cell must be a birnn_jax.Cell or a cell of flax.nnx, such as nnx.GRUCell(3, 64, "
            f"rngs=rngs), in both directions of one kind, got {describe(module)}. Of a layer give "
            "its cell; cells of flax.linen go into birnn_jax.linen."
        )
    check_features(name, module.num_feature_axes, _LAYER)
    _, _, rest = nnx.split(module, nnx.Param, ...)
    check_state(name, {type(leaf).__name__ for _, leaf in nnx.to_flat_state(rest)}, _LAYER)
    check_initial_carry(
        name,
        lambda key, input_shape: module.initialize_carry(input_shape, nnx.Rngs(key)),
        getattr(module, "in_features", 1),
    )


@dataclasses.dataclass(frozen=True)
class _InitialCarry:
    graphdef: nnx.GraphDef[Any]

    def __call__(self, params: Params) -> Carry:
        return nnx.merge(self.graphdef, params).initialize_carry((1,), nnx.Rngs(0))


@dataclasses.dataclass(frozen=True)
class _Step:
    graphdef: nnx.GraphDef[Any]

    def __call__(self, params: Params, carry: Carry, x: jax.Array) -> tuple[Carry, jax.Array]:
        carry, y = nnx.merge(self.graphdef, params)(carry, x)
        return carry, as_output(y, params)


@dataclasses.dataclass(frozen=True)
class _Init:
    def __call__(self, key: jax.Array, input_size: int, hidden_size: int) -> Params:
        raise TypeError("A cell of flax.nnx holds its parameters: make another one to draw them.")


def _join(names: list[str]) -> str:
    return ", ".join(names)
