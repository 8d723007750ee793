"""What all converters share: numpy arrays, blocks of gates, and layers of one or two directions."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._stack import Layer
from .._types import Bi, Carry, Cell, Params
from ..cells import ELMAN, GRU, LSTM, ElmanCarry, GRUCarry, LSTMCarry

Imported = tuple[tuple[Layer, ...], tuple[Params, ...]]
CellParams = tuple[Cell, Params]

LSTM_GATES = "ifgo"
GRU_GATES = "rzn"

_NAMES = {ELMAN.step: "ELMAN", GRU.step: "GRU", LSTM.step: "LSTM"}


def cell_name(cell: Cell, framework: str) -> str:
    """ "ELMAN", "GRU" or "LSTM", told by the step: options of `init` make no difference here."""
    name = _NAMES.get(cell.step)
    if name is None:
        step = getattr(cell.step, "__qualname__", cell.step)
        raise ValueError(
            f"{framework} has no counterpart that computes the same as a cell with the step {step}."
            f" Can be converted: {', '.join(_NAMES.values())}."
        )
    return name


def as_numpy(value: Any) -> np.ndarray:
    """A JAX array, a tensor of PyTorch or anything numpy understands, bfloat16 included."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            return np.asarray(value.float()).astype(jnp.bfloat16)
    return np.asarray(value)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Nested mappings as one, keys joined by dots."""
    flat = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = as_numpy(value)
    return flat


def unflatten(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return tree


def blocks(array: np.ndarray, gates: str, axis: int = -1) -> dict[str, np.ndarray]:
    """The blocks of `array` along `axis` by the letters of `gates`."""
    return dict(zip(gates, np.split(array, len(gates), axis), strict=True))


def reorder(array: np.ndarray, source: str, target: str, axis: int = -1) -> np.ndarray:
    """`array` with its blocks of gates along `axis` in another order."""
    named = blocks(array, source, axis)
    return np.concatenate([named[gate] for gate in target], axis)


def to_stack(converted: Iterable[CellParams | Bi[CellParams]]) -> Imported:
    """Layers and parameters of converted cells, one or a `Bi` for each layer."""
    layers, params = [], []
    for one in converted:
        if isinstance(one, Bi):
            (cell_fwd, params_fwd), (cell_bwd, params_bwd) = one
            layers.append(Layer(cell_fwd if cell_fwd == cell_bwd else Bi(cell_fwd, cell_bwd)))
            params.append(Bi(params_fwd, params_bwd))
        else:
            layers.append(Layer(one[0], direction="fwd"))
            params.append(one[1])
    return tuple(layers), jax.tree.map(jnp.asarray, tuple(params))


def from_stack(
    layers: Sequence[Layer], params: Sequence[Params]
) -> Iterator[tuple[Layer, list[CellParams]]]:
    """Each layer with the cell and the numpy parameters of its directions, forward first."""
    if len(layers) != len(params):
        raise ValueError(f"layers and params must be as many, got {len(layers)} and {len(params)}.")
    for layer, one in zip(layers, jax.tree.map(as_numpy, tuple(params)), strict=True):
        cells = layer.cell if isinstance(layer.cell, Bi) else [layer.cell] * 2
        both = layer.direction == "both"
        yield layer, list(zip(cells, one, strict=True)) if both else [(cells[0], one)]


def in_pair(values: Sequence[Any]) -> Any:
    """One value for each direction: a `Bi` of two, or the only one."""
    return Bi(*values) if len(values) == 2 else values[0]


def make_carry(cell: Cell, h: Any, c: Any | None = None) -> Carry:
    """The carry of `cell` from its hidden state and, in an LSTM, its cell state."""
    name = cell_name(cell, "this framework")
    if (c is not None) != (name == "LSTM"):
        raise ValueError(
            f"The states of {name} are {'h and c' if name == 'LSTM' else 'h alone'}, got "
            f"{'h alone' if c is None else 'h and c'}. Likely cause: the states of another cell."
        )
    h = jnp.asarray(as_numpy(h))
    if c is not None:
        return LSTMCarry(c=jnp.asarray(as_numpy(c)), h=h)
    return ElmanCarry(h) if name == "ELMAN" else GRUCarry(h)


def import_states(
    layers: Sequence[Layer], states: Sequence[Any], split: Callable[[Any], tuple[Any, Any]]
) -> tuple[Carry, ...]:
    """Carries for `stack`; `split` gives h and c (or None) of one direction's states."""
    if len(layers) != len(states):
        raise ValueError(f"states must be one for each layer, got {len(states)} for {len(layers)}.")
    carries = []
    for layer, state in zip(layers, states, strict=True):
        cells = layer.cell if isinstance(layer.cell, Bi) else [layer.cell] * 2
        if layer.direction == "both":
            fwd, bwd = state
            carries.append(Bi(make_carry(cells[0], *split(fwd)), make_carry(cells[1], *split(bwd))))
        else:
            carries.append(make_carry(cells[0], *split(state)))
    return tuple(carries)


def export_states(carries: Sequence[Carry], join: Callable[[Any, Any], Any]) -> list[Any]:
    """The states of each layer, a tuple of two for two directions; `join` takes h and c or None."""

    def one(carry):
        c = getattr(carry, "c", None)
        return join(as_numpy(carry.h), None if c is None else as_numpy(c))

    return [(one(x.fwd), one(x.bwd)) if isinstance(x, Bi) else one(x) for x in carries]
