"""The public names are those agreed on, and every one of them explains itself.

Each test walks all names and prints what is wrong with which, and what to do about it.
"""

import ast
import importlib
import inspect
import itertools
import re
import subprocess
import sys
import textwrap
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import birnn_jax
from birnn_jax import cells

PACKAGE = Path(birnn_jax.__file__).parent

# What each module offers. A package exports its names; a module defines them.
NAMES = {
    "": """
        Bi Cell ELMAN GRU LSTM Layer Mask Segments Total TrainState accuracy backends bidirectional
        classifier cross_entropy drop_connect dropout final_states init_bidirectional
        init_classifier init_stack init_tagger init_train_state locked_dropout make_eval_step
        make_optimizer make_train_step max_pool mean_pool scan_cell stack stack_lengths tagger
        valid_steps word_dropout
    """,
    "stacks": """
        AffineParams Layer LayerParams NormParams drop_connect dropout init_stack locked_dropout
        stack stack_lengths stack_states unstack_states word_dropout
    """,
    "models": """
        AttentionPoolParams CRFTaggerParams CharacterEncoderParams ClassifierParams DecoderState
        Memory Seq2Seq Seq2SeqParams TaggerParams Total accuracy attention_pool character_encoder
        classifier crf_tagger crf_tagger_decode crf_tagger_loss cross_entropy ctc_recogniser
        ctc_recogniser_decode ctc_recogniser_loss final_states init_attention_pool
        init_character_encoder init_classifier init_crf_tagger init_ctc_recogniser init_seq2seq
        init_tagger max_pool mean_pool seq2seq seq2seq_decode seq2seq_encode seq2seq_step tagger
    """,
    "metrics": """
        Edits EntityScore Total TranslationScores accuracy count_edits entity_f1 label_error_rate
        label_errors score_entities score_translations
    """,
    "training": """
        Batches Fitted JsonLines TensorBoard Terminal TrainState WandB Writer average_of evaluate
        fit init_train_state make_eval_step make_optimizer make_train_step means_of
        quick_compilation repeat_step require_finite should_stop with_average
    """,
    "cells": """
        COUPLED_LSTM CoupledLSTMParams DiagonalStep ELMAN ElmanCarry ElmanGates ElmanParams GRU
        GRUCarry GRUGates GRUParams GRUResetBeforeParams GRU_RESET_BEFORE GatedStep INDRNN
        IndRNNParams LAYER_NORM_GRU_BA LAYER_NORM_LSTM_BA LAYER_NORM_LSTM_TFA LSTM LSTMCarry
        LSTMGates LSTMParams LayerNormGRUParams LayerNormLSTMParams LinearCarry LinearStep MINGRU
        MINLSTM MinGRUParams MinLSTMParams PARA_GRU PARA_LSTM PEEPHOLE_LSTM PROJECTED_LSTM
        ParaGRUParams ParaLSTMParams PeepholeLSTMGates PeepholeLSTMParams ProjectedLSTMParams SLSTM
        SLSTMCarry SLSTMGates SLSTMParams candidate_dropout elman indrnn parallel recurrent_dropout
        zoneout
    """,
    "heads": """
        AdditiveAttentionParams CRFParams CTCAlignment GeneralAttentionParams Hypotheses
        TagConstraints additive_attention beam_search bridge constrain_crf crf_decode
        crf_decode_n_best crf_log_likelihood crf_loss crf_marginals ctc_align ctc_beam_decode
        ctc_greedy_decode ctc_log_likelihood ctc_loss dot_attention general_attention greedy_search
        init_additive_attention init_bridge init_crf init_general_attention tag_constraints
    """,
    "inspection": """
        NewtonReport Trace count_params gradient_norms jacobian_norms newton_iterations tabulate
        trace
    """,
    "serving": "PreparedParams QuantizedMatrix prepare quantize",
    "streaming": "carry_over initial_carry latency_controlled latency_controlled_step step",
    "text": """
        Block ColumnFile Field Reading Row Span Vocabulary build_vocabulary complete_tags
        convert_tags embedding_table find_scheme graphemes read_columns read_conll read_vectors
        spans_of_tags split_tag tag_faults
    """,
    "data": """
        Batch Packed PackedBatches PaddedBatches Source Window WindowBatches choose_buckets pack
        packed_batches pad padded_batches prefetch row_keys split_row_keys windows
    """,
    "checkpoint": "Checkpoints Restored",
    "linen": "Bidirectional RNN Stack as_cell from_dicts to_dicts",
    "nnx": "Bidirectional RNN Stack",
    "interop": "",
    "interop.cudnn": "from_cudnn to_cudnn",
    "interop.equinox": "from_equinox states_from_equinox states_to_equinox to_equinox",
    "interop.haiku": "from_haiku states_from_haiku states_to_haiku to_haiku",
    "interop.keras": "from_keras states_from_keras states_to_keras to_keras",
    "interop.linen": "from_linen states_from_linen states_to_linen to_linen",
    "interop.nnx": "from_nnx states_from_nnx states_to_nnx to_nnx",
    "interop.onnx": """
        Graph add_additive_attention add_attention_pool add_bridge add_character_encoder
        add_classifier add_crf_decode add_ctc_greedy_decode add_dot_attention add_embedding
        add_final_carry add_final_states add_general_attention add_initial_carry add_mask
        add_max_pool add_mean_pool add_projection add_scan_cell add_seq2seq_encoder
        add_seq2seq_step add_stack add_stack_lengths
        classifier_to_onnx from_onnx from_onnx_model quantized
        stack_to_onnx tagger_to_onnx to_onnx with_sizes
    """,
    "interop.safetensors": "Loaded load save",
    "interop.stablehlo": "Input deserialize serialize",
    "interop.torch": "from_torch states_from_torch states_to_torch to_torch to_torch_module",
}
INTERNAL = {"kernels", "selfcheck"}  # without an underscore, and yet nothing to import from
FOR_NNX = {"export_layer", "from_linen_cell", "import_layer"}  # of `interop.linen`
OLD_NAMES = {  # of the top, which work for one release: the module that has each of them now
    "cells": "ElmanCarry ElmanParams GRUCarry GRUParams LSTMCarry LSTMParams",
    "stacks": "AffineParams LayerParams NormParams stack_states unstack_states",
    "models": """
        AttentionPoolParams ClassifierParams TaggerParams attention_pool init_attention_pool
    """,
    "training": "repeat_step require_finite",
}
RECORD = re.compile(
    r"(Params|Carry|Gates|Step|Constraints|Restored|Matrix|Memory|State|Hypotheses)$"
)  # needs no example


def _full(module, name=""):
    return ".".join(filter(None, ["birnn_jax", module, name]))


def _public_modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith("_") or part in INTERNAL for part in parts):
            yield ".".join(parts), path


def _public_names(module, path):
    """Of a package all names but modules; of a module what it defines, or imports under `as`."""
    if path.name == "__init__.py":
        package = importlib.import_module(_full(module))
        members = [name for name in dir(package) if not name.startswith("_")]
        names = {name for name in members if not inspect.ismodule(getattr(package, name))}
    else:
        body = ast.parse(path.read_text()).body
        names = {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
        imports = [node for node in body if isinstance(node, ast.ImportFrom) and node.level]
        names |= {alias.asname for node in imports for alias in node.names if alias.asname}
    return {name for name in names - FOR_NNX if not name.startswith("_")}


def _require_none(wrong):
    assert not wrong, "\n".join(["", *sorted(wrong)])


def test_public_names_are_the_agreed_ones():
    wrong = []
    for module, path in _public_modules():
        public, agreed = _public_names(module, path), set(NAMES.get(module, "").split())
        for name in public - agreed:
            wrong.append(
                f"{_full(module, name)}: not agreed on. Add it to NAMES, or a _ before it."
            )
        for name in agreed - public:
            wrong.append(f"{_full(module, name)}: agreed on, not there. Export it, or mend NAMES.")
    wrong += [
        f"{_full(module)}: not there. Take its row out of NAMES."
        for module in NAMES.keys() - dict(_public_modules()).keys()
    ]
    _require_none(wrong)


def _missing(module, name, value):
    """Says what the documentation or the signature of a name lacks."""
    doc = inspect.getdoc(value) or ""
    is_record = RECORD.search(name) or module.startswith("interop")
    if not doc or doc.startswith(f"{name}("):  # what NamedTuple writes by itself
        yield "no docstring. Add one that begins with what it is or does."
    if inspect.isclass(value) and issubclass(value, tuple) and not value._fields:
        yield "no fields. Add them, so that it is read by name."
    if not is_record and ">>> " not in doc.partition("Example:")[2]:
        yield 'no example. Add "Example:" with lines of >>> to its docstring.'
    if inspect.isfunction(value):
        parameters = inspect.signature(value).parameters.values()
        lines = doc.partition("Args:\n")[2].splitlines()
        explained = {line.partition(":")[0].strip(" *") for line in lines}
        for parameter in parameters:
            if parameter.name not in explained:
                yield f'{parameter.name} is not explained. Add a line below "Args:".'
        by_position = [p for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
        if len(by_position) > 4 and not module.startswith("interop"):
            yield f"{len(by_position)} arguments by position. Add a * after the fourth."


def test_public_names_explain_themselves():
    wrong = []
    for module, names in NAMES.items():
        for name in names.split():
            value = getattr(importlib.import_module(_full(module)), name)
            if isinstance(value, birnn_jax.Cell):
                continue  # a constant, below
            wrong += [f"{_full(module, name)}: {what}" for what in _missing(module, name, value)]
    _require_none(wrong)


def test_signatures_name_their_types():
    """As `Lengths`, not as all that JAX takes for an array: that is what help() shows."""
    wrong = [
        f"{_full(module, name)}: {parameter}. Name the union by a TypeAliasType."
        for module, names in NAMES.items()
        for name in names.split()
        if inspect.isfunction(value := getattr(importlib.import_module(_full(module)), name))
        for parameter in inspect.signature(value).parameters.values()
        if "numpy.bool" in str(parameter)
    ]
    _require_none(wrong)


def test_cells_have_their_equations_and_their_source_below_them():
    """For editors: a string after the constant."""
    sources = (PACKAGE / "cells").glob("_[a-z]*.py")
    below = {
        ast.unparse(node.targets[0]): ast.unparse(after)
        for path in sources
        for node, after in itertools.pairwise(ast.parse(path.read_text()).body)
        if isinstance(node, ast.Assign)
    }
    names = [name for name, value in vars(cells).items() if isinstance(value, birnn_jax.Cell)]
    wrong = [
        f'birnn_jax.cells.{name}: no "{text}" below it. Add a string after the constant.'
        for name in names
        for text in ["h[t] = ", "References:"]
        if text not in below.get(name, "")
    ]
    assert {"LSTM", "MINGRU", "ELMAN"} <= set(names)  # that they are found at all
    _require_none(wrong)


def test_old_names_work_and_say_where_they_are_now():
    for module, names in OLD_NAMES.items():
        home = importlib.import_module(_full(module))
        for name in names.split():
            text = f"birnn_jax.{name} is now birnn_jax.{module}.{name}; the old name goes with"
            with pytest.warns(DeprecationWarning, match=re.escape(text)) as warned:
                assert getattr(birnn_jax, name) is getattr(home, name)
            assert warned[0].filename == __file__


def test_sub_packages_are_attributes_that_are_imported_when_they_are_used():
    modules = [name for name, _ in _public_modules() if name] + ["selfcheck"]
    code = f"""
        import sys, birnn_jax
        early = [name for name in {modules} if f"birnn_jax.{{name}}" in sys.modules]
        print(*early)
        for name in {modules}:
            module = birnn_jax
            for part in name.split("."):
                assert part in dir(module), name
                module = getattr(module, part)
            assert module is sys.modules[f"birnn_jax.{{name}}"]
    """
    code = textwrap.dedent(code)
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert result.stdout.split() == ["cells", "heads", "models", "stacks"]


def test_extras_that_messages_name_are_those_of_the_distribution():
    named = {
        extra
        for path in PACKAGE.rglob("*.py")
        for extra in re.findall(r"birnn-jax\[(\w+)\]", path.read_text())
    }
    assert "onnx" in named  # that they are found at all
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert named <= project["optional-dependencies"].keys()


def test_version_is_that_of_the_distribution():
    assert birnn_jax.__version__ == metadata.version("birnn-jax")
