"""`torch.nn.RNN`, `torch.nn.GRU` and `torch.nn.LSTM`: parameters, states, files.

PyTorch packs gates as here, i f g o and r z n, but stores rows for columns, and has two biases,
of input and of state. They add up to one, except in the candidate gate of a GRU, whose state bias
is behind the reset gate. After export both are trained, so their sum moves twice as fast.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.types import Bi, Carry, Cell
from .._stacks.layer import Layer, LayerParams, Layers, as_layers
from .._stacks.states import stack_states, unstack_states
from ..cells import ELMAN, GRU, LSTM, PROJECTED_LSTM, ProjectedLSTMParams
from ._errors import check_shapes, framework
from ._files import named_in_errors
from ._layers import (
    RELU,
    CellParams,
    Imported,
    as_numpy,
    cell_name,
    from_stack,
    in_pair,
    make_carry,
    make_params,
    to_stack,
)
from ._torch_files import open_source, read_tensors
from ._torch_modules import check_in_use, nonlinearity_of, submodule
from ._torch_weights import as_tensor, layer_names, read_weights

_NAME = "torch.nn"
_MODULES = {"ELMAN": "RNN", "RELU": "RNN", "GRU": "GRU", "LSTM": "LSTM", "PROJECTED_LSTM": "LSTM"}
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_NONLINEARITIES = {"tanh": ELMAN, "relu": RELU}


def from_torch(source: Any, *, prefix: str = "", nonlinearity: str | None = None) -> Imported:
    """Converts a recurrent module of `torch.nn` into layers and parameters.

    Outputs are equal where no dropout acts. `batch_first` is not in the weights: here it is always
    batch first. Weight and spectral norms are computed once, as in evaluation; pruned and dropped
    weights (AWD-LSTM) are those that evaluation uses.

    Args:
      source: an `RNN`, `GRU`, `LSTM` or one of their cells, or a module that holds one; a state
        dict of tensors or arrays, also inside a checkpoint, such as `{"model_state_dict": ...}` or
        the file of a `LightningModule`; or the path of a file of `torch.save`, also of a whole
        module, of a .safetensors file, or of the .index.json of several. No pickled code is run.
      prefix: path of the recurrent module, such as "encoder.rnn", where there are several. The last
        part of the path is enough, and "module.", "_orig_mod." and the like may be left out.
      nonlinearity: of an `RNN`, "tanh" or "relu", which a state dict does not say: "tanh" unless
        told otherwise. A module knows its own.

    Returns:
      layers: all of one cell; two directions where there are weights of "_reverse". A module for
        one step of time, such as `LSTMCell`, is a layer with direction "fwd".
      params: biases that are absent (`bias=False`) are zero.

    Raises:
      ValueError: if keys are missing or surplus, shapes do not fit, there is no such cell here, or
        a file is not what it should be.

    Example:
      >>> state_dict = {
      ...     "weight_ih_l0": jnp.zeros([12, 3]), "weight_hh_l0": jnp.zeros([12, 4]),
      ...     "bias_ih_l0": jnp.arange(12.0), "bias_hh_l0": jnp.arange(12.0),
      ... }
      >>> from birnn_jax.interop.torch import from_torch
      >>> layers, params = from_torch(state_dict)
      >>> layers == (Layer(GRU, direction="fwd"),), params[0].rnn.b_hn.tolist()
      (True, [8.0, 9.0, 10.0, 11.0])
    """
    if nonlinearity not in (None, *_NONLINEARITIES):
        raise ValueError(f"nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}.")
    with named_in_errors(source):
        opened = open_source(source)
        path, weights = read_weights(read_tensors(opened), prefix)
        module = submodule(opened, path)
        check_in_use(module, weights)
        names = layer_names(weights)
        cell = _cell(weights, names[0][0])
        if cell == ELMAN:
            cell = _NONLINEARITIES[nonlinearity_of(module, nonlinearity)]
        first = names[0][0]
        input_size = weights[f"weight_ih{first}"].shape[-1]
        rows, state_size = weights[f"weight_hh{first}"].shape
        converted = []
        for ends in names:
            _check_shapes(weights, ends, input_size, state_size, rows)
            converted.append(in_pair([_import_cell(weights, end, cell) for end in ends]))
            input_size = state_size * len(ends)
        return to_stack(converted)


def to_torch(layers: Layers, params: Sequence[LayerParams]) -> dict[str, np.ndarray]:
    """The state dict of the `torch.nn` module that computes the same, as numpy arrays.

    Args:
      layers: all of one cell and one size, forward or of two directions merged by "concat", which
        is all that `torch.nn` has.
      params: of the layers.

    Returns:
      Names and arrays; `torch.from_numpy` makes tensors of them, `to_torch_module` a module. The
      bias is in "bias_ih", and "bias_hh" is zero but for the candidate gate of a GRU.

    Raises:
      ValueError: for a stack that is no module of `torch.nn`, with the reason.

    Example:
      >>> from birnn_jax.interop.torch import to_torch
      >>> layers = (Layer(LSTM),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> to_torch(layers, params)["weight_ih_l0_reverse"].shape
      (16, 3)
    """
    _check_uniform(layers, params)
    state_dict = {}
    for index, (_, directions) in enumerate(from_stack(layers, params)):
        for suffix, (cell, cell_params) in zip(["", "_reverse"], directions, strict=False):
            bias_hh = np.zeros_like(cell_params.b)
            if cell_name(cell, _NAME, _MODULES) == "GRU":
                bias_hh[-cell_params.b_hn.size :] = cell_params.b_hn
            end = f"_l{index}{suffix}"
            state_dict |= {
                f"weight_ih{end}": np.ascontiguousarray(cell_params.w_x.T),
                f"weight_hh{end}": np.ascontiguousarray(cell_params.w_h.T),
                f"bias_ih{end}": cell_params.b.copy(),
                f"bias_hh{end}": bias_hh,
            }
            if isinstance(cell_params, ProjectedLSTMParams):
                state_dict[f"weight_hr{end}"] = np.ascontiguousarray(cell_params.w_p.T)
    return state_dict


def to_torch_module(layers: Layers, params: Sequence[LayerParams]) -> Any:
    """The `torch.nn` module that computes the same, batch first, in the dtype of the parameters.

    Args:
      layers: as in `to_torch`.
      params: of the layers.

    Raises:
      ValueError: as `to_torch`.
    """
    torch = framework("torch", "torch", "to_torch_module")
    layers = as_layers(layers)
    arrays = to_torch(layers, params)
    state_dict = {key: as_tensor(torch, array) for key, array in arrays.items()}
    name = cell_name(_one_cell(layers), _NAME, _MODULES)
    options = {"nonlinearity": "relu"} if name == "RELU" else {}
    if name == "PROJECTED_LSTM":
        options = {"proj_size": arrays["weight_hr_l0"].shape[0]}
    module = getattr(torch.nn, _MODULES[name])(
        input_size=arrays["weight_ih_l0"].shape[1],
        hidden_size=arrays["bias_ih_l0"].size // _GATES[_MODULES[name]],
        num_layers=len(layers),
        bidirectional=layers[0].direction == "both",
        batch_first=True,
        dtype=state_dict["weight_ih_l0"].dtype,
        **options,
    )
    module.load_state_dict(state_dict)
    return module


def states_from_torch(layers: Layers, states: Any) -> tuple[Carry, ...]:
    """Carries for `stack` from `h_0` or `h_n`, or from the pair `(h, c)` of an LSTM.

    Args:
      layers: from `from_torch`.
      states: `[layers * directions, B, H]`, one array or tensor or two.

    Raises:
      ValueError: if the states are not those of the layers.

    Example:
      >>> from birnn_jax.interop.torch import states_from_torch, states_to_torch
      >>> layers = (Layer(LSTM),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> carries, _ = stack(layers, params, jnp.zeros([2, 5, 3]))
      >>> again = states_from_torch(layers, states_to_torch(carries))
      >>> again[0].bwd.c.shape
      (2, 4)
    """
    h, c = states if isinstance(states, tuple | list) else (states, None)
    layers = as_layers(layers)
    return unstack_states(layers, make_carry(_one_cell(layers), h, c))


def states_to_torch(carries: Sequence[Carry]) -> Any:
    """`h_n`, or `(h_n, c_n)` of an LSTM, as numpy arrays `[layers * directions, B, H]`.

    Args:
      carries: from `stack`, of one cell and one size.

    Raises:
      ValueError: if cells or sizes differ between layers or directions.
    """
    states = stack_states(carries)
    h = as_numpy(states.h)
    return (h, as_numpy(states.c)) if hasattr(states, "c") else h


def _one_cell(layers: Sequence[Layer]) -> Cell:
    """The cell of a stack whose cells have been checked to be the same."""
    cell = layers[0].cell
    return cell.fwd if isinstance(cell, Bi) else cell


def _cell(weights: Mapping[str, np.ndarray], end: str) -> Cell:
    rows, columns = weights[f"weight_hh{end}"].shape
    if f"weight_hr{end}" in weights:
        return PROJECTED_LSTM
    cells = {columns: ELMAN, 3 * columns: GRU, 4 * columns: LSTM}
    if rows not in cells:
        cause = "it is transposed, as in Keras or Flax" if columns > rows else "another cell"
        raise ValueError(
            f"state_dict: 'weight_hh{end}' must be [H, H] in an RNN, [3 H, H] in a GRU, [4 H, H] in"
            f" an LSTM, got {(rows, columns)}. Likely cause: {cause}."
        )
    return cells[rows]


def _check_shapes(
    weights: Mapping[str, np.ndarray],
    ends: list[str],
    input_size: int,
    state_size: int,
    rows: int,
) -> None:
    shapes = {"weight_ih": (rows, input_size), "weight_hh": (rows, state_size)}
    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,), "weight_hr": (state_size, rows // 4)}
    expected = {kind + end: shape for end in ends for kind, shape in shapes.items()}
    present = {key: shape for key, shape in expected.items() if key in weights}
    check_shapes("state_dict", weights, present)


def _import_cell(weights: Mapping[str, np.ndarray], end: str, cell: Cell) -> CellParams:
    w_x, w_h = weights[f"weight_ih{end}"].T, weights[f"weight_hh{end}"].T
    zeros = np.zeros(w_x.shape[1], w_x.dtype)
    b_x, b_h = (weights.get(kind + end, zeros) for kind in ["bias_ih", "bias_hh"])
    if cell == GRU:
        start = 2 * w_h.shape[0]
        b = b_x + np.where(np.arange(b_h.size) < start, b_h, 0).astype(b_h.dtype)
        return make_params(cell, w_x=w_x, w_h=w_h, b=b, b_hn=b_h[start:])
    projection = {"w_p": weights[f"weight_hr{end}"].T} if cell == PROJECTED_LSTM else {}
    return make_params(cell, w_x=w_x, w_h=w_h, b=b_x + b_h, **projection)


def _check_uniform(layers: Layers, params: Sequence[LayerParams]) -> None:
    found = {
        (layer.direction, layer.merge, cell_name(cell, _NAME, _MODULES), cell_params.w_h.shape)
        for layer, directions in from_stack(layers, params)
        for cell, cell_params in directions
    }
    if len(found) != 1:
        raise ValueError(
            "A module of torch.nn has one cell, size, direction and merge in all its layers, got "
            f"{sorted(found)}. Export the layers one by one."
        )
    direction, merge, *_ = found.pop()
    if direction == "bwd" or merge != "concat":
        raise ValueError(
            f"torch.nn has no layer with direction={direction!r} and merge={merge!r}: it runs "
            "forward, or in both directions and concatenates."
        )
