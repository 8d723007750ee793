"""The cells of Flax Linen as cells of this library."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.errors import InvalidRngError

from .._adapters.flax_cells import check_features, check_initial_carry, check_state
from .._core.describe import describe
from .._core.dtypes import as_output
from .._core.types import Bi, Carry, Cell, Params

_LAYER = "flax.linen.RNN, or flax.linen.Bidirectional over two of them"


def as_cell(module: nn.RNNCellBase) -> Cell:
    """Makes a `birnn_jax.Cell` of a cell of Flax Linen, with its parameters and its carry.

    The layers do it by themselves: `RNN(nn.GRUCell(4))`. The step is Flax's own, by `init`,
    `initialize_carry` and `apply`; around it all is as with any `Cell`. It runs on the backend
    "xla": for the native kernels take the cell of this library (`GRU`, `LSTM`, `ELMAN`), and
    `birnn_jax.interop.linen.from_linen` for weights that exist.

    Args:
      module: a cell that keeps its state in its parameters, as `nn.LSTMCell`, `OptimizedLSTMCell`,
        `GRUCell`, `MGUCell` and `SimpleCell` do. Its `features` are the hidden size.

    Returns:
      A `Cell`; equal modules give equal cells.

    Raises:
      ValueError: when parameters are made, if the cell has other state, draws random numbers or its
        initial carry, or reads more than one axis of features, as `nn.ConvLSTMCell` does.
      TypeError: if `module` is not a cell of Linen.

    Example:
      >>> from flax import linen as nn
      >>> from birnn_jax.linen import as_cell
      >>> cell = as_cell(nn.MGUCell(4))
      >>> params = init_bidirectional(cell, jax.random.key(0), input_size=3, hidden_size=4)
      >>> _, ys = bidirectional(cell, params, jax.random.normal(jax.random.key(1), [2, 5, 3]))
      >>> ys.shape
      (2, 5, 8)
    """
    if not isinstance(module, nn.RNNCellBase):
        raise TypeError(
            f"cell must be a birnn_jax.Cell or a cell of flax.linen, such as nn.GRUCell(64), got "
            f"{describe(module)}. Of a layer give its cell; cells of flax.nnx go into "
            "birnn_jax.nnx."
        )
    module = module.clone(parent=None, name=None)
    return Cell(_Init(module), _InitialCarry(module), _Step(module))


def as_cell_and_size(cell: Any, hidden_size: int | None) -> tuple[Cell, int]:
    """One direction of a layer: a cell of either library, and its hidden units."""
    if isinstance(cell, Cell):
        if hidden_size is None:
            raise ValueError(
                "hidden_size is missing: a birnn_jax.Cell has no sizes of its own. Give it, as in "
                "RNN(birnn_jax.LSTM, hidden_size=64)."
            )
        return cell, hidden_size
    return as_cell(cell), getattr(cell, "features", 1) if hidden_size is None else hidden_size


def as_cells_and_sizes(cell: Any, hidden_size: Any) -> tuple[Bi[Cell], Bi[int]]:
    """Both directions of a layer, also when given as Flax has them, as two RNNs by position."""
    if isinstance(hidden_size, nn.Module):
        if hidden_size is cell:
            raise ValueError(
                "Both directions are one object, which in Flax means that they share their "
                "parameters. Give two of them: here every direction has its own."
            )
        cell, hidden_size = Bi(cell, hidden_size), None
    cells = cell if isinstance(cell, Bi) else Bi(cell, cell)
    sizes = hidden_size if isinstance(hidden_size, Bi) else Bi(hidden_size, hidden_size)
    inner = [part.cell if isinstance(part, nn.RNN) else part for part in cells]
    (cell_fwd, size_fwd), (cell_bwd, size_bwd) = map(as_cell_and_size, inner, sizes)
    return Bi(cell_fwd, cell_bwd), Bi(size_fwd, size_bwd)


@dataclasses.dataclass(frozen=True)
class _Init:
    module: nn.RNNCellBase

    def __call__(self, key: jax.Array, input_size: int, hidden_size: int) -> Params:
        name, features = _name(self.module), getattr(self.module, "features", hidden_size)
        if hidden_size != features:
            raise ValueError(f"hidden_size is {hidden_size}, but {name} has features={features}.")
        check_features(name, self.module.num_feature_axes, _LAYER)
        check_initial_carry(
            name,
            lambda key, input_shape: self.module.initialize_carry(key, input_shape),
            input_size,
        )
        carry, x = self.module.initialize_carry(key, (input_size,)), jnp.zeros(input_size)
        variables = self.module.init(key, carry, x)
        check_state(name, variables.keys() - {"params"}, _LAYER)
        params = variables.get("params", {})
        try:
            jax.eval_shape(_Step(self.module), params, carry, x)
        except InvalidRngError as error:
            raise ValueError(
                f"{name} draws random numbers at each step, which a cell here does from a key of "
                "its own: see birnn_jax.cells.recurrent_dropout and zoneout. Or use "
                f"{_LAYER}."
            ) from error
        return params


@dataclasses.dataclass(frozen=True)
class _InitialCarry:
    module: nn.RNNCellBase

    def __call__(self, params: Params) -> Carry:
        return self.module.initialize_carry(jax.random.key(0), (1,))


@dataclasses.dataclass(frozen=True)
class _Step:
    module: nn.RNNCellBase

    def __call__(self, params: Params, carry: Carry, x: jax.Array) -> tuple[Carry, jax.Array]:
        outputs: Any = self.module.apply({"params": params}, carry, x)
        carry, y = outputs
        return carry, as_output(y, params)


def _name(module: Any) -> str:
    return type(module).__name__
