"""Writes an exported model: every file of its folder, or none."""

import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from birnn_jax.interop import safetensors, stablehlo
from birnn_jax.interop.onnx import Graph, quantized, with_sizes
from experiments.runner.export.card import Cost, card_of
from experiments.runner.export.exported import Arrays, Exported, Part
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
    cost = _cost(exported, path) if variants.int8 else None
    write_text(path / "README.md", card_of(folder, exported.card, sorted(models), cost))


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


def _cost(exported: Exported, path: pathlib.Path) -> Cost:
    """What 8 bits cost, by the measures of the experiment."""
    try:
        test = exported.read_test()
    except (OSError, ValueError) as error:
        return Cost(f"The test data of the run cannot be used: {error}")
    whole, small = (
        test({name: _answer(path / f"{name}{form}.onnx") for name in exported.parts})
        for form in ("", ".int8")
    )
    return Cost(None, {name: (whole[name], small[name]) for name in whole})


def _answer(path: pathlib.Path) -> Callable[[Arrays], Arrays]:
    """The outputs of a graph in ONNX Runtime, by their names."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    names = [value.name for value in session.get_outputs()]

    def answer(inputs: Arrays) -> Arrays:
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    return answer
