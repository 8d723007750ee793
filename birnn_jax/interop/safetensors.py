"""A model as one .safetensors file: a tree of arrays, and beside it whatever it takes to use it.

Every array is named by its path in the tree, as in "rnn.0.rnn.fwd.w_x": any reader of safetensors
can use the file without this library. Its metadata hold, in JSON, what the caller stored ("config")
and the structure of the tree ("tree"). Nothing is pickled, no code is stored or run.
"""

import dataclasses
import functools
import importlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from .. import cells as _cells
from .. import heads as _heads
from .. import models as _models
from .. import stacks as _stacks
from .. import training as _training
from .._core.prepared import refuse_prepared
from .._core.quantized import QuantizedMatrix
from .._core.types import Bi, Cell, InitWithOptions
from .._stacks.layer import Layer
from ._errors import framework
from ._files import check_kind
from ._layers import as_numpy
from ._safetensors_file import read_safetensors

_FORMAT = "birnn_jax 1"
_FIELDS = ("_fields", "_field_defaults")  # of a NamedTuple; files of before lack new fields
_LAYER = "birnn_jax.Layer"
_CELLS = {name: value for name, value in vars(_cells).items() if isinstance(value, Cell)}
_TOP = importlib.import_module(__name__.partition(".")[0])
_ROOMS = (_TOP, _cells, _heads, _models, _stacks, _training)
# Every public NamedTuple of the library by its name, parameters, carries and masks among them.
_TYPES = {
    name: value
    for room in _ROOMS
    for name, value in vars(room).items()
    if isinstance(value, type) and issubclass(value, tuple)
} | {QuantizedMatrix.__name__: QuantizedMatrix}


class Loaded(NamedTuple):
    """What a file holds."""

    params: Any
    config: dict[str, Any]


def save(
    path: str | os.PathLike[str],
    params: Any,
    config: Mapping[str, Any],
    *,
    cells: Mapping[str, Cell] | None = None,
) -> None:
    """Writes a tree of parameters with its configuration; the file is there whole or not at all.

    Args:
      path: of the file.
      params: dicts, lists, tuples, NamedTuples and None, with arrays as leaves.
      config: what JSON has, and `Layer`s: enough to make the model again.
      cells: names for cells that are no constants of `birnn_jax.cells`.

    Raises:
      TypeError: for what JSON has not, a key with a dot, or a cell without a name.
      ValueError: for parameters that `serving.prepare` made.

    Example:
      >>> import tempfile
      >>> from birnn_jax.interop.safetensors import load, save
      >>> layers = (Layer(LSTM),)
      >>> params = init_tagger(
      ...     layers, jax.random.key(0), input_size=3, hidden_size=4, num_classes=5
      ... )
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save(f"{folder}/tagger.safetensors", params, {"layers": layers, "tags": ["NOUN"]})
      ...     loaded = load(f"{folder}/tagger.safetensors")
      >>> tagger(loaded.config["layers"], loaded.params, jnp.zeros([1, 2, 3])).shape
      (1, 2, 5)
    """
    refuse_prepared(params)
    arrays: dict[str, np.ndarray] = {}
    tree = _describe(params, "", arrays)
    encode = functools.partial(_encode, named=_CELLS | dict(cells or {}))
    metadata = {
        "format": _FORMAT,
        "config": json.dumps(config, default=encode),
        "tree": json.dumps(tree),
    }
    temporary = f"{os.fspath(path)}.tmp"
    library = framework("safetensors.numpy", "'birnn-jax[interop]'", "A .safetensors file")
    with open(temporary, "wb") as file:  # `save_file` makes a file that nobody else may read
        file.write(library.save(arrays, metadata))
    os.replace(temporary, path)


def load(
    path: str | os.PathLike[str],
    *,
    types: Sequence[type] = (),
    cells: Mapping[str, Cell] | None = None,
) -> Loaded:
    """Reads what `save` wrote.

    Args:
      path: of the file.
      types: NamedTuples of your own in the tree; those of this library are known.
      cells: as given to `save`.

    Returns:
      params: of the structure, shapes and dtypes that were saved (float64 needs `jax_enable_x64`).
      config: as it was saved; what was a tuple is a list, apart from layers.

    Raises:
      ValueError: for a file of another origin, an unknown type or cell, or fields that do not fit.
    """
    check_kind(path, ["safetensors"], "birnn_jax.interop.safetensors.load", "files of its own")
    arrays, metadata = read_safetensors(path)
    arrays = {name: jnp.asarray(array) for name, array in arrays.items()}
    if metadata.get("format") != _FORMAT:
        raise ValueError(
            f"{path} was not written by birnn_jax.interop.safetensors: its format is "
            f"{metadata.get('format')!r}, not {_FORMAT!r}. Weights of PyTorch are read by "
            "birnn_jax.interop.torch.from_torch."
        )
    known = _TYPES | {kind.__name__: kind for kind in types}
    decode = functools.partial(_decode, named=_CELLS | dict(cells or {}))
    try:
        return Loaded(
            params=_rebuild(json.loads(metadata["tree"]), arrays, known),
            config=json.loads(metadata["config"], object_hook=decode),
        )
    except (KeyError, TypeError, AttributeError, RecursionError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} does not describe the structure of its arrays: {error!r}."
        ) from error
    except ValueError as error:  # of a layer or a cell that it describes
        raise ValueError(f"{path} does not fit: {error}") from error


def _describe(tree: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """The structure of a tree as JSON: names where arrays are, which it puts in `arrays`."""
    if tree is None:
        return None
    if isinstance(tree, Mapping):
        kind, children = "dict", dict(tree)
    elif fields := getattr(tree, "_fields", ()):
        kind, children = type(tree).__name__, dict(zip(fields, tree, strict=True))
    elif isinstance(tree, list | tuple):
        kind = type(tree).__name__
        children = {str(index): child for index, child in enumerate(tree)}
    else:
        name = path.removesuffix(".")
        arrays[name] = np.ascontiguousarray(as_numpy(tree)).reshape(np.shape(tree))
        return name
    for key in children:
        if not isinstance(key, str) or "." in key:
            raise TypeError(f"Keys of the tree must be words without a dot, got {key!r}.")
    return {
        kind: {key: _describe(child, f"{path}{key}.", arrays) for key, child in children.items()}
    }


def _rebuild(tree: Any, arrays: Mapping[str, Any], known: Mapping[str, type]) -> Any:
    if tree is None:
        return None
    if isinstance(tree, str):
        return arrays[tree]
    ((kind, children),) = tree.items()
    built = {key: _rebuild(child, arrays, known) for key, child in children.items()}
    if kind == "dict":
        return built
    if kind in ("list", "tuple"):
        return (list if kind == "list" else tuple)(built.values())
    fields, defaults = (getattr(known.get(kind), name, None) for name in _FIELDS)
    if fields is None or not set(fields) - set(defaults or ()) <= set(built) <= set(fields):
        raise ValueError(
            f"It has a {kind} with the fields {list(built)}; known here is "
            f"{'none of that name' if fields is None else list(fields)}. Give it in `types`."
        )
    return known[kind](**built)


def _encode(value: Any, named: Mapping[str, Cell]) -> Any:
    if not isinstance(value, Layer):
        raise TypeError(f"A configuration is JSON and Layers, got {value!r}.")
    settings = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    cell = settings["cell"]
    pair = isinstance(cell, Bi)
    encoded = [_encode_cell(entry, named) for entry in (cell if pair else [cell])]
    return {_LAYER: settings | {"cell": encoded if pair else encoded[0]}}


def _encode_cell(cell: Cell, named: Mapping[str, Cell]) -> dict[str, Any]:
    options = {}
    if isinstance(cell.init, InitWithOptions):
        options = dict(cell.init.options)
        cell = cell._replace(init=cell.init.init)
    for name, known in named.items():
        if cell == known:
            return {"name": name, "init": options}
    raise TypeError(f"The cell with the step {cell.step} has no name; give it one in `cells`.")


def _decode(value: dict[str, Any], named: Mapping[str, Cell]) -> Any:
    if set(value) != {_LAYER}:
        return value
    settings = dict(value[_LAYER])
    cell = settings.pop("cell")
    if "initial_carry" in settings:  # in files of before `learned_carry`
        settings["learned_carry"] = settings.pop("initial_carry") == "learned"
    decoded = [_decode_cell(entry, named) for entry in (cell if isinstance(cell, list) else [cell])]
    return Layer(Bi(*decoded) if len(decoded) == 2 else decoded[0], **settings)


def _decode_cell(value: Mapping[str, Any], named: Mapping[str, Cell]) -> Cell:
    if value["name"] not in named:
        raise ValueError(f"It needs the cell {value['name']!r}; give it in `cells`.")
    cell = named[value["name"]]
    return cell.with_init(**value["init"]) if value["init"] else cell
