"""Writes an exported model: every file of its folder, or none."""

import pathlib
import shutil
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from birnn_jax.interop import safetensors, stablehlo
from birnn_jax.interop.onnx import Graph, quantized, with_sizes
from experiments.runner.export.card import Agreement, card_of
from experiments.runner.export.exported import TRUE_LABELS, Exported, Part
from experiments.runner.export.weights import WEIGHTS
from experiments.runner.run.folder import (
    RUN_OF_EXPORT,
    RunFolder,
    write_bytes,
    write_json,
    write_text,
)

FORMAT = "birnn_jax model 1"
PLATFORMS = ("cpu", "cuda", "tpu")  # of the StableHLO files, wherever they are written
_OF_RUN = ("config.json", "environment.json", "result.json")


class Variants(NamedTuple):
    """Which forms of each graph are written."""

    opset: int
    int8: bool = False
    sizes: Mapping[str, int] = {}


def write_model(
    path: pathlib.Path, folder: RunFolder, exported: Exported, variants: Variants
) -> None:
    """Makes the folder of an exported model.

    Args:
      path: of the folder, which does not exist yet.
      folder: of the run.
      exported: the model.
      variants: which forms of it.

    Raises:
      ValueError: for an opset or sizes that are impossible.
      ImportError: if a package is missing.
    """
    unfinished = path.with_name(path.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        _write(unfinished, folder, exported, variants)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    unfinished.rename(path)


def _write(path: pathlib.Path, folder: RunFolder, exported: Exported, variants: Variants) -> None:
    models = {}
    for name, part in exported.parts.items():
        models |= _models(name, part, variants)
    for name, model in models.items():
        write_bytes(path / name, model.SerializeToString())
    for name, part in exported.parts.items():
        compiled = stablehlo.serialize(
            part.function, part.inputs, constraints=part.constraints, platforms=PLATFORMS
        )
        write_bytes(path / f"{name}.stablehlo", compiled)
    task = exported.card.task
    of_model = {"experiment": folder.config["experiment"], "settings": folder.settings}
    safetensors.save(path / WEIGHTS, exported.params, of_model)
    write_json(
        path / "config.json",
        {
            "format": FORMAT,
            "task": task,
            **of_model,
            "preprocessing": dict(exported.preprocessing),
            "graphs": {name: _signature(model) for name, model in models.items()},
        },
    )
    write_json(path / "vocabulary.json", exported.vocabulary)
    run = path / RUN_OF_EXPORT
    run.mkdir()
    for name in (*_OF_RUN, *exported.files):
        if (folder.path / name).exists():
            shutil.copy(folder.path / name, run / name)
    agreement = None
    if variants.int8:
        first = next(iter(exported.parts))
        agreement = _agreement(exported, path / f"{first}.onnx", path / f"{first}.int8.onnx")
    write_text(path / "README.md", card_of(folder, exported.card, sorted(models), agreement))


def _models(name: str, part: Part, variants: Variants) -> dict[str, Any]:
    """The graph of a part and its other forms, by the names of their files."""
    graph = Graph(variants.opset)
    part.fill(graph)
    model = graph.model()
    models = {f"{name}.onnx": model}
    if variants.int8:
        models[f"{name}.int8.onnx"] = quantized(model)
    if variants.sizes:
        models[f"{name}.static.onnx"] = with_sizes(model, **variants.sizes)
    return models


def _signature(model: Any) -> dict[str, Any]:
    opset = next(entry.version for entry in model.opset_import if not entry.domain)
    return {
        "opset": opset,
        "inputs": [_value(value) for value in model.graph.input],
        "outputs": [_value(value) for value in model.graph.output],
    }


_DTYPES = {1: "float32", 6: "int32", 7: "int64", 9: "bool"}  # of TensorProto


def _value(value: Any) -> dict[str, Any]:
    kind = value.type.tensor_type
    shape = [dim.dim_param or dim.dim_value for dim in kind.shape.dim]
    return {"name": value.name, "dtype": _DTYPES[kind.elem_type], "shape": shape}


def _agreement(exported: Exported, whole: pathlib.Path, small: pathlib.Path) -> Agreement:
    """How far the outputs of the 8-bit graph equal those of the other, on the test data."""
    import onnxruntime

    if exported.examples is None:
        return Agreement("This experiment exports no test data to measure it on.")
    try:
        examples = list(exported.examples())
    except (OSError, ValueError) as error:
        return Agreement(f"The test data of the run cannot be used: {error}")
    sessions = [onnxruntime.InferenceSession(str(path)) for path in (whole, small)]
    names = [value.name for value in sessions[0].get_outputs()]
    wanted = "labels" if "labels" in names else names[0]
    same = number = compared = 0
    right = np.zeros(2)  # labels of either model
    for example in examples:
        feeds = {name: value for name, value in example.items() if name != TRUE_LABELS}
        first, second = (np.asarray(session.run([wanted], feeds)[0]) for session in sessions)
        if wanted == "labels":
            given = (first >= 0) | (second >= 0)
            same += int(((first == second) & given).sum())
            number += int(given.sum())
        else:
            number += first.size
            same += float(np.abs(first - second).sum())
        if TRUE_LABELS in example:
            valid = first >= 0  # -1 in padding
            right += [((found == example[TRUE_LABELS]) & valid).sum() for found in (first, second)]
            compared += int(valid.sum())
    accuracy = tuple(right / compared) if compared else None
    return Agreement(None, wanted, same / max(number, 1), number, accuracy)
