"""Recurrent layers in files of Keras 2 and 3, read by h5py, without Keras or any code of theirs."""

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._errors import framework
from ._files import check_kind, damage_told
from ._keras_hdf5 import (
    named_cells,
    named_layers,
    places_of,
    saved_layers,
    texts,
    weights_at,
    weights_named,
)
from ._keras_layers import RECURRENT, KerasLayer, class_name

_ACCEPTED = "the .keras and .h5 files of Keras"


def read_file(path: str | os.PathLike[str], names: str | Sequence[str] | None) -> list[KerasLayer]:
    """The recurrent layers with these names, or with paths that end so."""
    kind = check_kind(path, ["keras", "hdf5"], "from_keras", _ACCEPTED)
    h5py = framework("h5py", "'birnn-jax[interop]'", "A file of Keras")
    with damage_told(path, OSError):
        found = _read_archive(h5py, path) if kind == "keras" else _read_hdf5(h5py, path)
    known = [layer.name for layer in found]
    wanted = [names] if isinstance(names, str) else known if names is None else list(names)
    chosen = [_ending_so(found, name) for name in wanted]
    if any(len(layers) != 1 for layers in chosen) or (names is None and len(known) != 1):
        raise ValueError(
            f"{os.fspath(path)} has the recurrent layers {known}, got names={names!r}. Give the "
            "names of the layers to convert, from the bottom to the top; of layers with one name "
            "in several models, the paths shown."
        )
    return [layer for (layer,) in chosen]


def _ending_so(layers: Sequence[KerasLayer], name: str) -> list[KerasLayer]:
    exact = [layer for layer in layers if layer.name == name]
    tails = [layer for layer in layers if layer.is_named and layer.name.endswith(f"/{name}")]
    return exact or tails


def _read_archive(h5py: Any, path: str | os.PathLike[str]) -> list[KerasLayer]:
    """A .keras file: the configuration says where the weights of each layer are."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        stored = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(stored) as file:
        configured = list(_configured_layers(config, file, "", ()))
        if not configured:  # a model of one's own class, which describes itself by no layers
            return list(saved_layers(file))
        return [
            KerasLayer(name, config, weights_at(file, place, config))
            for place, name, config in configured
        ]


def _read_hdf5(h5py: Any, path: str | os.PathLike[str]) -> list[KerasLayer]:
    """A .h5 file: a whole model or its weights in the older layout, or weights in the newer."""
    with h5py.File(path) as file:
        group = file["model_weights"] if "model_weights" in file else file
        names = texts(group, "layer_names")
        if not names:
            return list(saved_layers(file))
        cells = {name: named_cells(group[name]) for name in names}
        described = file.attrs.get("model_config")
        if described is None:
            return list(named_layers(cells))
        return [
            KerasLayer(name, config, weights_named(cells, name, config))
            for _, name, config in _configured_layers(json.loads(described), {}, "", ())
        ]


def _configured_layers(
    config: Any, file: Any, place: str, names: tuple[str, ...]
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Recurrent layers in their order: place in the file, path of names, configuration."""
    if not isinstance(config, Mapping) or "class_name" not in config or "config" not in config:
        return
    settings = config["config"]
    if isinstance(settings, list):  # a Sequential of the first versions
        settings = {"layers": settings}
    if not isinstance(settings, Mapping):
        return
    if class_name(config) in RECURRENT:
        yield place, "/".join(names), config
        return
    for key, value in settings.items():
        if key == "layers" and isinstance(value, list):
            for child_place, child in zip(places_of(value, file, place), value, strict=True):
                yield from _configured_layers(child, file, child_place, (*names, _name(child)))
        elif isinstance(value, Mapping):
            yield from _configured_layers(value, file, f"{place}/{key}", (*names, _name(value)))


def _name(config: Mapping[str, Any]) -> str:
    settings = config.get("config")
    named = settings if isinstance(settings, Mapping) and "name" in settings else config
    return str(named.get("name", config.get("class_name")))
