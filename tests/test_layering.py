"""Imports point downwards, and `import birnn_jax` stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import birnn_jax

PACKAGE = Path(birnn_jax.__file__).parent

# Each row may import the rows above it and itself; beside each module what it may import from
# outside the package and the standard library.
LAYERS = [
    {"_types": {"jax"}, "_dtypes": {"jax"}, "_checks": {"jax"}, "_chunks": {"jax"}},
    {"_affine": {"jax"}},
    {
        "cells._init": {"jax"},
        "cells._gated": {"jax"},
        "cells._linear": {"jax"},
        "cells._noise": {"jax"},
        "cells._elman": {"jax"},
        "cells._gru": {"jax"},
        "cells._gru_reset_before": {"jax"},
        "cells._indrnn": {"jax"},
        "cells._layer_norm": {"jax"},
        "cells._lstm": {"jax"},
        "cells._lstm_coupled": {"jax"},
        "cells._lstm_peephole": {"jax"},
        "cells._lstm_projected": {"jax"},
        "cells._minimal": {"jax"},
        "cells": set(),
    },
    {
        "kernels._form": {"jax"},
        "kernels._gates": {"jax"},
        "kernels._joint": {"jax"},
        "kernels._elman": {"jax"},
        "kernels._gru": {"jax"},
        "kernels._lstm": {"jax"},
        "kernels._plan": {"jax"},
        "kernels._tangent": {"jax"},
        "kernels._layer": {"jax"},
        "kernels._order": {"jax"},
        "kernels._saved": {"jax"},
        "kernels._operation": {"jax"},
        "kernels._native": {"jax", "numpy"},
        "kernels._select": {"jax"},
        "kernels.cpu": {"jax"},
        "kernels": set(),
    },
    {
        "_visits": {"jax"},
        "_backends": {"jax"},
        "_parallel": {"jax"},
        "_plain": {"jax"},
        "_pass": {"jax"},
        "_scan": {"jax"},
        "_bidirectional": {"jax"},
        "_dropout": {"jax"},
        "_subsample": {"jax"},
        "_layer": {"jax"},
        "_layer_run": {"jax"},
        "_stack": {"jax"},
        "_states": {"jax"},
        "_readouts": {"jax"},
    },
    {
        "_definition": {"jax", "numpy"},
        "selfcheck": {"jax", "numpy"},
        "streaming._steps": {"jax"},
        "streaming._latency": {"jax"},
        "streaming": set(),
        "_models": {"jax"},
        "_losses": {"jax", "optax"},
        "heads._attention": {"jax"},
        "heads._bridge": {"jax"},
        "heads._places": {"jax"},
        "heads._crf": {"jax"},
        "heads._ctc": {"jax", "optax"},
        "heads._tags": {"jax", "numpy"},
        "heads": set(),
        "inspection._directions": set(),
        "inspection._gates": {"jax"},
        "inspection._trace": {"jax"},
        "inspection._pushes": {"jax"},
        "inspection._gradients": {"jax"},
        "inspection._table": {"jax"},
        "inspection": set(),
    },
    {
        "_pieces": {"jax"},
        "_train": {"jax", "numpy", "optax"},
        "_checkpoint_folder": {"jax", "numpy", "orbax"},
        "checkpoint": {"jax"},
    },
    {"linen": {"jax", "flax"}, "nnx": {"jax", "flax"}, "": set()},
    # Frameworks are imported by name when a function needs one.
    {
        "interop": set(),
        "interop._errors": {"numpy"},
        "interop._keras_sources": {"numpy"},
        "interop._layers": {"jax", "numpy"},
        "interop._onnx_graph": {"numpy"},
        "interop._onnx_layer": {"numpy"},
        "interop._onnx_weights": {"numpy"},
        "interop._torch_weights": {"jax", "numpy"},
        "interop.cudnn": {"jax", "numpy"},
        "interop.equinox": {"jax", "numpy"},
        "interop.haiku": {"numpy"},
        "interop.keras": {"numpy"},
        "interop.linen": {"numpy"},
        "interop.nnx": {"numpy"},
        "interop.onnx": {"numpy"},
        "interop.safetensors": {"jax", "numpy"},
        "interop.stablehlo": {"jax"},
        "interop.torch": {"numpy"},
    },
]
LAYER_OF = {module: depth for depth, layer in enumerate(LAYERS) for module in layer}
ALLOWED = {module: outside for layer in LAYERS for module, outside in layer.items()}
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    .removesuffix("__init__")
    .strip("."): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def _imports(path):
    """`(level, module)` of every import, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((node.level, name) for name in names)


def _inside(module):
    """The modules of the package that a module imports, by their names in the table."""
    is_package = FILES[module].name == "__init__.py" and module
    package = module.split(".")[: None if is_package else -1]
    for level, name in _imports(FILES[module]):
        if level > 0:
            yield ".".join([*package[: len(package) + 1 - level], name])


def test_every_module_has_a_layer():
    assert FILES.keys() == LAYER_OF.keys()


@pytest.mark.parametrize("module", FILES)
def test_module_imports_its_own_layer_and_those_above(module):
    assert [name for name in _inside(module) if LAYER_OF[name] > LAYER_OF[module]] == []


@pytest.mark.parametrize("module", FILES)
def test_module_imports_only_its_libraries(module):
    outside = {name.split(".")[0] for level, name in _imports(FILES[module]) if level == 0}
    assert outside - sys.stdlib_module_names <= ALLOWED[module]


def test_training_knows_losses_but_no_models():
    assert set(_inside("_train")) | set(_inside("_pieces")) == {"_losses", "_pieces"}


def test_import_brings_in_neither_flax_nor_orbax():
    code = "import sys, birnn_jax; print(*{name.split('.')[0] for name in sys.modules})"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = result.stdout.split()
    assert "jax" in loaded
    assert not {"flax", "orbax", "chex", "pytest"}.intersection(loaded)
