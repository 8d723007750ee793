"""The public names of the converters are those agreed on, and explain their arguments."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import birnn_jax.interop

PACKAGE = Path(birnn_jax.interop.__file__).parent
NAMES = {
    "torch": "from_torch states_from_torch states_to_torch to_torch to_torch_module",
    "keras": "from_keras states_from_keras states_to_keras to_keras",
    "linen": "from_linen states_from_linen states_to_linen to_linen",
    "nnx": "from_nnx states_from_nnx states_to_nnx to_nnx",
    "haiku": "from_haiku states_from_haiku states_to_haiku to_haiku",
    "equinox": "from_equinox states_from_equinox states_to_equinox to_equinox",
    "cudnn": "from_cudnn to_cudnn",
    "onnx": """
        add_final_states add_mask add_projection add_stack classifier_to_onnx from_onnx
        stack_to_onnx tagger_to_onnx to_onnx
    """,
    "safetensors": "load save",
    "stablehlo": "deserialize serialize",
}
FUNCTIONS = [(module, name) for module, names in NAMES.items() for name in names.split()]


def test_every_module_is_listed():
    assert {path.stem for path in PACKAGE.glob("[a-z]*.py")} == NAMES.keys()


@pytest.mark.parametrize("module", NAMES)
def test_module_defines_only_the_agreed_names(module):
    body = ast.parse((PACKAGE / f"{module}.py").read_text()).body
    defined = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    inner = {"export_layer", "from_linen_cell", "import_layer"}  # of linen, for nnx
    assert {name for name in defined if name[0] != "_"} - inner <= set(NAMES[module].split())


@pytest.mark.parametrize(("module", "name"), FUNCTIONS)
def test_docstring_explains_every_argument(module, name):
    function = getattr(importlib.import_module(f"birnn_jax.interop.{module}"), name)
    section = inspect.getdoc(function).partition("Args:\n")[2]
    explained = {line.partition(":")[0].strip(" *") for line in section.splitlines()}
    assert inspect.signature(function).parameters.keys() <= explained
