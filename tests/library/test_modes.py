"""Modes of JAX: explicit meshes, `shard_map`, no jit, NaN looked for, export, strict promotion."""

import inspect
import os
import subprocess
import sys

import birnn_jax
from birnn_jax import heads, inspection, streaming

ROWS = {"carry", "logits", "queries", "tokens", "x", "xs", "ys"}  # arguments that have rows

# Of every mode what goes through the mechanisms that it needs; `make modes` tries all the rest.
QUICK = """
    explicit:Segments_LSTM|crf_n_best explicit_units:scan_cell_LSTM
    shard_map:zoneout|crf_marginals|gradient_norms ensemble:crf_marginals disable_jit:scan_cell_LSTM
    nan_made:scan_cell_LSTM nan_in_padding_eager:Mask_LSTM|attention_pool|dot_attention
    export:scan_cell_LSTM
    symbolic:bidirectional_parallel_MINGRU|xla_GRU|label_errors
    strict:stack_lengths|ctc_beam|train_accumulated strict:seq2seq_greedy_none|label_errors
    rbg:locked_dropout jet:scan_cell_LSTM|crf_loss
    explicit_alone:cross_entropy explicit_eager:bidirectional_parallel_MINGRU
""".split()


def run(cells):
    done = subprocess.run(
        [sys.executable, "tests/library", "modes", *cells],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


def test_functions_of_rows_take_explicit_meshes():
    wrong = [
        f"{module.__name__}.{name}: decorate it with over_rows."
        for module in (birnn_jax, heads, inspection, streaming)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if ROWS & inspect.signature(function).parameters.keys()
        and not hasattr(function, "__wrapped__")
        and name not in ("tabulate", "valid_steps")  # of shapes, and of one comparison
    ]
    assert not wrong, "\n".join(wrong)


def test_modes_give_the_results_of_the_plain_call():
    run(QUICK)
