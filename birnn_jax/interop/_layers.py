"""What all converters share: numpy arrays, blocks of gates, and layers of one or two directions."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._core.prepared import refuse_prepared
from .._core.quantized import refuse_quantized
from .._core.types import Bi, Carry, Cell, Params
from .._stacks.layer import Layer, LayerParams, Layers, as_layers, find_extras
from .._stacks.run import check_stack
from ..cells import (
    COUPLED_LSTM,
    ELMAN,
    GRU,
    GRU_RESET_BEFORE,
    LSTM,
    PEEPHOLE_LSTM,
    PROJECTED_LSTM,
    CoupledLSTMParams,
    ElmanCarry,
    ElmanParams,
    GRUCarry,
    GRUParams,
    GRUResetBeforeParams,
    LayerNormLSTMParams,
    LSTMCarry,
    LSTMParams,
    PeepholeLSTMParams,
    ProjectedLSTMParams,
    SLSTMParams,
    elman,
)

Imported = tuple[tuple[Layer, ...], tuple[LayerParams, ...]]
CellParams = tuple[Cell, Params]

_DTYPES = [jnp.dtype(name) for name in ("float64", "float32", "bfloat16", "float16")]
LSTM_GATES = "ifgo"
GRU_GATES = "rzn"

RELU = elman(jax.nn.relu)


class _Kind(NamedTuple):
    name: str
    params: type
    carry: type


_KINDS = {
    ELMAN.step: _Kind("ELMAN", ElmanParams, ElmanCarry),
    elman(jnp.tanh).step: _Kind("ELMAN", ElmanParams, ElmanCarry),
    RELU.step: _Kind("RELU", ElmanParams, ElmanCarry),
    GRU.step: _Kind("GRU", GRUParams, GRUCarry),
    GRU_RESET_BEFORE.step: _Kind("GRU_RESET_BEFORE", GRUResetBeforeParams, GRUCarry),
    LSTM.step: _Kind("LSTM", LSTMParams, LSTMCarry),
    PROJECTED_LSTM.step: _Kind("PROJECTED_LSTM", ProjectedLSTMParams, LSTMCarry),
    COUPLED_LSTM.step: _Kind("COUPLED_LSTM", CoupledLSTMParams, LSTMCarry),
    PEEPHOLE_LSTM.step: _Kind("PEEPHOLE_LSTM", PeepholeLSTMParams, LSTMCarry),
}

# Gates of the cells whose recurrent weights may be in heads.
_NUM_GATES = {
    GRUParams: 3,
    LSTMParams: 4,
    PeepholeLSTMParams: 4,
    LayerNormLSTMParams: 4,
    SLSTMParams: 4,
}


def cell_name(cell: Cell, framework: str, known: Collection[str]) -> str:
    """The name of the cell, one of those `known` to the framework.

    The step decides: options of `init` make no difference here.
    """
    kind = _KINDS.get(cell.step)
    name = kind.name if kind else getattr(cell.step, "__qualname__", repr(cell.step))
    if kind and name in known:
        return name
    if name in ("GRU", "GRU_RESET_BEFORE") and {"GRU", "GRU_RESET_BEFORE"} & {*known}:
        here, there = ("after", "before") if name == "GRU" else ("before", "after")
        raise ValueError(
            f"{name} applies the reset gate {here} the product with w_h, the GRU of {framework} "
            f"{there} it. No weights make them equal."
        )
    raise ValueError(
        f"{framework} has no cell that computes the same as {name}. It has {', '.join(known)}."
    )


def has_operator(cell: Cell, known: Collection[str]) -> bool:
    """Whether the step of the cell is one of those `known` to a framework."""
    kind = _KINDS.get(cell.step)
    return kind is not None and kind.name in known


def as_numpy(value: Any) -> np.ndarray:
    """A JAX array, a tensor of PyTorch or anything numpy understands, as a native numpy array.

    Dtypes that NumPy has not, bfloat16 and float8, are those of JAX. A box of Flax, with the names
    of the axes of its value, is opened.
    """
    while hasattr(value, "unbox") and hasattr(value, "value"):
        value = value.value
    if hasattr(value, "detach"):
        value = value.detach().cpu().resolve_conj().resolve_neg()
        name = str(value.dtype).removeprefix("torch.")
        if name.startswith(("bfloat", "float8")):
            return np.asarray(value.float()).astype(jnp.dtype(name))
    array = np.asarray(value)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


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


def blocks(array: Any, gates: str, axis: int = -1) -> dict[str, np.ndarray]:
    """The blocks of `array` along `axis` by the letters of `gates`."""
    return dict(zip(gates, np.split(array, len(gates), axis), strict=True))


def reorder(array: Any, source: str, target: str, axis: int = -1) -> np.ndarray:
    """`array` with its blocks of gates along `axis` in another order."""
    named = blocks(array, source, axis)
    return np.concatenate([named[gate] for gate in target], axis)


def to_stack(converted: Iterable[CellParams | Bi[CellParams]]) -> Imported:
    """Layers and parameters of converted cells, one or a `Bi` for each layer."""
    layers, params = [], []
    for entry in converted:
        if isinstance(entry, Bi):
            (cell_fwd, params_fwd), (cell_bwd, params_bwd) = entry
            layers.append(Layer(cell_fwd if cell_fwd == cell_bwd else Bi(cell_fwd, cell_bwd)))
            params.append(LayerParams(Bi(params_fwd, params_bwd)))
        else:
            layers.append(Layer(entry[0], direction="fwd"))
            params.append(LayerParams(entry[1]))
    return tuple(layers), tuple(params)


def from_stack(
    layers: Layers, params: Sequence[LayerParams]
) -> Iterator[tuple[Layer, list[CellParams]]]:
    """Each layer with the cell and the numpy parameters of its directions, forward first."""
    layers = as_layers(layers)
    check_stack(layers, params)
    for layer, entry in zip(layers, params, strict=True):
        if extras := find_extras(layer):
            raise ValueError(
                "Only the recurrence of a layer can be written here, but one of the layers has "
                f"more: {', '.join(f'{name}={value!r}' for name, value in extras.items())}. "
                "birnn_jax.interop.stablehlo and safetensors write any stack."
            )
        yield layer, directions_of(layer, entry)


def directions_of(layer: Layer, params: LayerParams) -> list[CellParams]:
    """The cell and the numpy parameters of each direction of a layer, forward first.

    No other framework has heads: their blocks become a matrix with zeros around them.
    """
    refuse_prepared(params)
    refuse_quantized(params)
    rnn = jax.tree.map(as_numpy, params.rnn)
    if layer.direction != "both":
        assert isinstance(layer.cell, Cell)
        return [(layer.cell, _join_heads(rnn))]
    return list(zip(layer.cells, map(_join_heads, rnn), strict=True))


def _join_heads(params: Params) -> Params:
    if type(params) not in _NUM_GATES:
        return params
    size, columns = params.w_h.shape
    hidden_size = columns // _NUM_GATES[type(params)]
    heads = hidden_size // size
    parts = params.w_h.reshape(size, -1, heads, size)
    joined = np.zeros([heads, *parts.shape], params.w_h.dtype)
    for head in range(heads):
        joined[head, :, :, head] = parts[:, :, head]
    return params._replace(w_h=joined.reshape(hidden_size, -1))


def in_pair(values: Sequence[Any]) -> Any:
    """One value for each direction: a `Bi` of two, or the only one."""
    return Bi(*values) if len(values) == 2 else values[0]


def make_params(cell: Cell, **arrays: np.ndarray) -> CellParams:
    """`cell` with its parameters."""
    for name, array in arrays.items():
        if array.dtype not in _DTYPES:
            raise ValueError(
                f"The weights of {name!r} are {array.dtype}, but cells compute in "
                f"{', '.join(map(str, _DTYPES))}. Cast them; weights in 8 bits often have a scale "
                "beside them, which has to be applied first."
            )
    return cell, _KINDS[cell.step].params(**jax.tree.map(jnp.asarray, arrays))


def make_carry(cell: Cell, h: Any, c: Any | None = None) -> Carry:
    """The carry of `cell` from its hidden state and, in an LSTM, its cell state."""
    name, _, carry = _KINDS[cell.step]
    if (c is None) == (carry is LSTMCarry):
        want, got = ("h and c", "h alone") if c is None else ("h alone", "h and c")
        raise ValueError(f"The states of {name} are {want}, got {got}. Likely cause: another cell.")
    fields = {"h": h} | ({} if c is None else {"c": c})
    return carry(**{key: jnp.asarray(as_numpy(value)) for key, value in fields.items()})


def import_states(
    layers: Layers, states: Sequence[Any], split: Callable[[Any], tuple[Any, Any]]
) -> tuple[Carry, ...]:
    """Carries for `stack`; `split` gives h and c (or None) of one direction's states."""
    layers = as_layers(layers)
    if len(layers) != len(states):
        raise ValueError(f"states must be one for each layer, got {len(states)} for {len(layers)}.")
    carries = []
    for layer, state in zip(layers, states, strict=True):
        cells = layer.cells
        if layer.direction == "both":
            fwd, bwd = state
            carries.append(Bi(make_carry(cells[0], *split(fwd)), make_carry(cells[1], *split(bwd))))
        else:
            carries.append(make_carry(cells[0], *split(state)))
    return tuple(carries)


def export_states(carries: Sequence[Carry], join: Callable[[Any, Any], Any]) -> list[Any]:
    """The states of each layer, a tuple of two for two directions; `join` takes h and c or None."""

    def states_of(carry):
        c = getattr(carry, "c", None)
        return join(as_numpy(carry.h), None if c is None else as_numpy(c))

    return [
        (states_of(x.fwd), states_of(x.bwd)) if isinstance(x, Bi) else states_of(x) for x in carries
    ]
