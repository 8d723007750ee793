"""The public names are those agreed on, and every one of them explains itself."""

import ast
import importlib
import inspect
import itertools
from importlib import metadata
from pathlib import Path

import pytest

import birnn_jax

FUNCTIONS = """
    accuracy attention_pool backends bidirectional classifier cross_entropy drop_connect dropout
    final_states init_attention_pool init_bidirectional init_classifier init_stack init_tagger
    init_train_state
    locked_dropout make_eval_step make_optimizer make_train_step max_pool mean_pool repeat_step
    require_finite scan_cell stack stack_lengths stack_states tagger unstack_states word_dropout
""".split()
CLASSES = "Bi Cell Layer Mask Segments Total TrainState".split()
CELLS = "ELMAN GRU LSTM".split()
CONTAINERS = """
    AffineParams AttentionPoolParams ClassifierParams ElmanCarry ElmanParams GRUCarry GRUParams
    LayerParams LSTMCarry LSTMParams NormParams TaggerParams
""".split()
MORE_FUNCTIONS = {
    "cells": "candidate_dropout elman indrnn parallel recurrent_dropout zoneout",
    "heads": """
        additive_attention bridge constrain_crf crf_decode crf_decode_n_best crf_loss crf_marginals
        ctc_beam_decode ctc_greedy_decode ctc_loss dot_attention general_attention
        init_additive_attention init_bridge init_crf init_general_attention tag_constraints
    """,
    "inspection": "count_params gradient_norms jacobian_norms tabulate trace",
    "streaming": "carry_over initial_carry latency_controlled latency_controlled_step step",
}
MORE_CELLS = """
    COUPLED_LSTM ELMAN GRU GRU_RESET_BEFORE INDRNN LAYER_NORM_GRU_BA LAYER_NORM_LSTM_BA
    LAYER_NORM_LSTM_TFA LSTM MINGRU MINLSTM PEEPHOLE_LSTM PROJECTED_LSTM
""".split()
EVERY_FUNCTION = [("", name) for name in FUNCTIONS] + [
    (module, name) for module, names in MORE_FUNCTIONS.items() for name in names.split()
]
OPTIONAL = {
    "checkpoint": {"Checkpoints", "Restored"},
    "linen": {"RNN", "Bidirectional", "Stack"},
    "nnx": {"RNN", "Bidirectional", "Stack"},
}

PACKAGE = Path(birnn_jax.__file__).parent


def _get(module, name):
    return getattr(importlib.import_module(f"birnn_jax.{module}".rstrip(".")), name)


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


@pytest.mark.parametrize("module", MORE_FUNCTIONS)
def test_packages_imported_by_name_export_the_agreed_functions_and_cells(module):
    public = vars(importlib.import_module(f"birnn_jax.{module}"))
    public = {name: value for name, value in public.items() if not name.startswith("_")}
    functions = {name for name, value in public.items() if inspect.isfunction(value)}
    assert functions == set(MORE_FUNCTIONS[module].split())
    cells = {name for name, value in public.items() if isinstance(value, birnn_jax.Cell)}
    assert cells == {"cells": set(MORE_CELLS)}.get(module, set())
    assert all(value.__doc__ for value in public.values())


@pytest.mark.parametrize("name", MORE_CELLS)
def test_cell_of_the_package_has_its_equations_and_its_source_below_it(name):
    sources = (PACKAGE / "cells").glob("_[a-z]*.py")
    bodies = [ast.parse(path.read_text()).body for path in sources]
    below = [
        after.value.value
        for body in bodies
        for node, after in itertools.pairwise(body)
        if ast.unparse(node).startswith(f"{name} = ")
    ]
    (text,) = below
    assert "h[t] = " in text and "References:" in text


@pytest.mark.parametrize(("module", "name"), [*EVERY_FUNCTION, *[("", name) for name in CLASSES]])
def test_docstring_has_an_example(module, name):
    doc = inspect.getdoc(_get(module, name))
    assert "Example:" in doc and ">>> " in doc.split("Example:")[1]


@pytest.mark.parametrize(("module", "name"), EVERY_FUNCTION)
def test_docstring_explains_every_argument(module, name):
    function = _get(module, name)
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


@pytest.mark.parametrize(("module", "name"), EVERY_FUNCTION)
def test_arguments_after_the_fourth_go_by_name(module, name):
    parameters = inspect.signature(_get(module, name)).parameters.values()
    positional = [p for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert len(positional) <= 4


def test_version_is_that_of_the_distribution():
    assert birnn_jax.__version__ == metadata.version("birnn-jax")
