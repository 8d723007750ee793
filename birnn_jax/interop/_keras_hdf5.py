"""Where the HDF5 files of Keras 2 and 3 keep the weights of recurrent layers.

There are two layouts. The older has a group for each layer of the model, with the names of its
weights in an attribute. The newer has groups as objects contain each other, numbered by class; a
layer has its name in an attribute, where the file is new enough to have it. Keras 2.12 and 2.13,
which began it, counted layers twice that have weights.
"""

import collections
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ._keras_layers import KEYS, KerasLayer, Weights, cells_of, directions_of

_DIRECTIONS = ["forward_layer", "backward_layer"]
_FIRST = "_layer_checkpoint_dependencies"
_CELL = re.compile(r".*_cells?(_\d+)?")
_BY_GATES = {1: "SimpleRNNCell", 3: "GRUCell", 4: "LSTMCell"}

NamedCells = Mapping[str, Weights]  # by the paths of their names


def saved_layers(group: Any, place: str = "", names: tuple[str, ...] = ()) -> Iterator[KerasLayer]:
    """Recurrent layers of the newer layout, told by their weights alone.

    One without a name goes by its place: the number of a group is not that of the name of a layer.
    """
    for key, child in group.items():
        if not hasattr(child, "items"):
            continue
        inner = f"{place}/{key}".lstrip("/")
        name = child["vars"].attrs.get("name") if "vars" in child else None
        path = (*names, str(name)) if name else names
        parts = [child[part] for part in _DIRECTIONS if part in child] or [child]
        found = [_numbered_cells(part) for part in parts]
        if all(found):
            layer = _guess("/".join(path) if name else inner, found)
            yield layer._replace(is_named=bool(name))
        else:
            yield from saved_layers(child, inner, path)


def weights_at(file: Any, place: str, config: Mapping[str, Any]) -> list[list[Weights]]:
    """The weights of a configured layer of the newer layout; none if they are not at the place."""
    if place not in file:
        return []
    group = file[place]
    parts = [group[part] for part in _DIRECTIONS if part in group] or [group]
    found = []
    for part, settings in zip(parts, directions_of(config), strict=True):
        groups = {"": part["cell"]}
        if "cells" in part["cell"]:
            inner = part["cell"]["cells"]
            groups = {key: inner[key] for key in _numbered(cells_of(settings))}
        found.append([_arrays(cell["vars"]) for cell in groups.values()])
    return found


def named_cells(group: Any) -> NamedCells:
    """The weights of cells in the older layout."""
    cells: dict[str, dict[str, np.ndarray]] = {}
    for name in texts(group, "weight_names"):
        path, _, key = name.partition(":")[0].rpartition("/")
        cells.setdefault(path, {})[key] = _array(group[name])
    return {path: weights for path, weights in cells.items() if _is_cell(weights)}


def weights_named(
    cells: Mapping[str, NamedCells], path: str, config: Mapping[str, Any]
) -> list[list[Weights]]:
    """The weights of a configured layer of the older layout; none if they are not found."""
    top, own = path.split("/")[0], path.split("/")[-1]
    group = cells.get(top, {})
    found = {name: group[name] for name in group if own in name.split("/")}
    if not found and top == own:  # the layer is all of its group
        found = group
    by_direction = _split_directions(found)
    if len(by_direction) != len(directions_of(config)):
        return []
    ordered = []
    for part, settings in zip(by_direction, directions_of(config), strict=True):
        names = [cell["config"].get("name") for cell in cells_of(settings)]
        by_name = {name.rpartition("/")[2]: weights for name, weights in part.items()}
        known = [by_name[name] for name in names if name in by_name]
        ordered.append(known if len(known) == len(part) else list(part.values()))
        if len(ordered[-1]) != len(names):
            return []
    return ordered


def named_layers(cells: Mapping[str, NamedCells]) -> Iterator[KerasLayer]:
    """Recurrent layers of the older layout, told by their weights alone."""
    for top, group in cells.items():
        layers: dict[str, dict[str, Weights]] = {}
        for path, weights in group.items():
            parts = [part for part in path.split("/") if not _CELL.fullmatch(part)]
            names = [part for part in parts if not part.startswith(("forward_", "backward_"))]
            name = "/".join(names if names[:1] == [top] else [top, *names])
            layers.setdefault(name, {})[path] = weights
        for name, found in layers.items():
            yield _guess(name, [list(part.values()) for part in _split_directions(found)])


def places_of(configs: Sequence[Mapping[str, Any]], file: Any, place: str) -> list[str]:
    """Where the layers of the model at a place have their groups, in the newer layout."""
    inside = f"{place}/layers".lstrip("/")
    first = f"{place}/{_FIRST}".lstrip("/")
    if first not in file:
        return [f"{inside}/{group}" for group in _numbered(configs)]
    places: list[str] = []
    counts = collections.Counter()
    for config in configs:
        kind = _snake_case(config["class_name"])
        group = f"{kind}_{counts[kind]}" if counts[kind] else kind
        places.append(f"{first}/{group}")
        counts[kind] += 2 if _has_weights(file.get(places[-1])) else 1
    return places


def _numbered(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The groups of objects that are in one list: those of a class are numbered from its second."""
    kinds = [_snake_case(config["class_name"]) for config in configs]
    numbers = [kinds[:at].count(kind) for at, kind in enumerate(kinds)]
    return [f"{k}_{number}" if number else k for k, number in zip(kinds, numbers, strict=True)]


def _has_weights(group: Any) -> bool:
    return hasattr(group, "shape") or any(map(_has_weights, group.values() if group else ()))


def texts(group: Any, key: str) -> list[str]:
    """An attribute of texts, which Keras cuts into several if it is long."""
    names = [
        key,
        *itertools.takewhile(group.attrs.__contains__, (f"{key}{n}" for n in itertools.count())),
    ]
    values = [value for name in names for value in group.attrs.get(name, [])]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _snake_case(name: str) -> str:
    """The name that Keras derives from the name of a class."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _split_directions(cells: NamedCells) -> list[NamedCells]:
    bwd = {name for name in cells if any(p.startswith("backward_") for p in name.split("/"))}
    if not bwd:
        return [cells]
    return [
        {name: cells[name] for name in cells if (name in bwd) == flag} for flag in (False, True)
    ]


def _numbered_cells(part: Any) -> list[Weights]:
    """The weights of the cells of one direction, in the order of their numbers."""
    if "cell" not in part:
        return []
    groups = part["cell"].get("cells", {"": part["cell"]})
    numbers = {key: int((re.search(r"_(\d+)$", key) or [0, 0])[1]) for key in groups}
    found = [_arrays(groups[key]["vars"]) for key in sorted(groups, key=lambda key: numbers[key])]
    # Cells of several classes are numbered apart, so that nothing tells their order.
    return found if all(map(_is_cell, found)) and len({*numbers.values()}) == len(found) else []


def _is_cell(weights: Weights) -> bool:
    return {*KEYS[:2]} <= weights.keys() <= {*KEYS} and all(
        weights[key].ndim == 2 for key in KEYS[:2]
    )


def _arrays(group: Any) -> Weights:
    ordered = [_array(group[key]) for key in sorted(group, key=int)]
    return dict(zip([*KEYS, *map(str, range(len(ordered)))], ordered, strict=False))


def _array(dataset: Any) -> np.ndarray:
    array = np.asarray(dataset)
    return array.view(jnp.bfloat16) if array.dtype == "V2" else array


def _guess(name: str, weights: list[list[Weights]]) -> KerasLayer:
    """What shapes tell about a layer; the rest is as Keras has it by default."""
    configs = []
    for cells in weights:
        cell = {
            "class_name": "StackedRNNCells",
            "config": {"cells": [_guess_cell(c) for c in cells]},
        }
        configs.append({"class_name": "RNN", "config": {"name": name, "cell": cell}})
    if len(configs) == 1:
        return KerasLayer(name, configs[0], weights)
    both = {"name": name, "layer": configs[0], "backward_layer": configs[1]}
    return KerasLayer(name, {"class_name": "Bidirectional", "config": both}, weights)


def _guess_cell(weights: Weights) -> dict[str, Any]:
    units, columns = weights["recurrent_kernel"].shape
    bias = weights.get("bias")
    settings = {"use_bias": bias is not None, "reset_after": bias is None or bias.ndim == 2}
    return {"class_name": _BY_GATES.get(columns // max(units, 1), "unknown"), "config": settings}
