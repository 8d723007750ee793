"""The public names are those agreed on, and every one of them explains itself."""

import ast
import inspect
from importlib import metadata
from pathlib import Path

import pytest

import birnn_jax

FUNCTIONS = """
    accuracy attention_pool bidirectional classifier cross_entropy dropout final_states
    init_attention_pool init_bidirectional init_classifier init_stack init_tagger init_train_state
    make_eval_step make_optimizer make_train_step max_pool mean_pool require_finite scan_cell stack
    stack_states tagger unstack_states
""".split()
CLASSES = "Bi Cell Layer Total TrainState".split()
CELLS = "ELMAN GRU LSTM".split()
CONTAINERS = """
    AttentionPoolParams ClassifierParams ElmanCarry ElmanParams GRUCarry GRUParams LSTMCarry
    LSTMParams TaggerParams
""".split()
OPTIONAL = {
    "checkpoint": {"Checkpoints", "Restored"},
    "linen": {"RNN", "Bidirectional", "Stack"},
    "nnx": {"RNN", "Bidirectional", "Stack"},
}

PACKAGE = Path(birnn_jax.__file__).parent


def _definitions(path):
    """The names that a module defines for others, without importing it."""
    body = ast.parse(path.read_text()).body
    names = {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    return {name for name in names if not name.startswith("_")}


def test_public_names_are_the_agreed_ones():
    modules = {name for name, value in vars(birnn_jax).items() if inspect.ismodule(value)}
    public = {name for name in vars(birnn_jax) if not name.startswith("_")} - modules
    assert public == {*FUNCTIONS, *CLASSES, *CELLS, *CONTAINERS}


@pytest.mark.parametrize("module", OPTIONAL)
def test_modules_imported_by_name_define_the_agreed_names(module):
    assert _definitions(PACKAGE / f"{module}.py") == OPTIONAL[module]


@pytest.mark.parametrize("name", FUNCTIONS + CLASSES)
def test_docstring_has_an_example(name):
    doc = inspect.getdoc(vars(birnn_jax)[name])
    assert "Example:" in doc and ">>> " in doc.split("Example:")[1]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_explains_every_argument(name):
    function = vars(birnn_jax)[name]
    section = inspect.getdoc(function).partition("Args:\n")[2]
    explained = {line.partition(":")[0].strip() for line in section.splitlines()}
    assert inspect.signature(function).parameters.keys() <= explained


@pytest.mark.parametrize("name", CONTAINERS)
def test_container_is_read_by_field_and_documented(name):
    container = vars(birnn_jax)[name]
    assert issubclass(container, tuple) and container._fields
    assert not container.__doc__.startswith(f"{name}(")  # what NamedTuple writes by itself


@pytest.mark.parametrize("name", CELLS)
def test_cell_is_described_below_its_definition(name):
    """For editors: a string after the constant, with its equations."""
    body = ast.parse((PACKAGE / "cells" / f"_{name.lower()}.py").read_text()).body
    (index,) = [i for i, n in enumerate(body) if ast.unparse(n).startswith(f"{name} = ")]
    assert "h[t] = " in body[index + 1].value.value


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_after_the_fourth_go_by_name(name):
    parameters = inspect.signature(vars(birnn_jax)[name]).parameters.values()
    positional = [p for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert len(positional) <= 4


def test_version_is_that_of_the_distribution():
    assert birnn_jax.__version__ == metadata.version("birnn-jax")
