"""Backends: which of them computes, what is said when one is not there, how it is built."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.export
import jax.ffi
import jax.numpy as jnp
import pytest
from flax import nnx

import birnn_jax.linen
import birnn_jax.nnx
from birnn_jax import (
    GRU,
    LSTM,
    Bi,
    Layer,
    Segments,
    _pass,
    backends,
    bidirectional,
    init_stack,
    scan_cell,
    selfcheck,
    stack,
)
from birnn_jax.interop.stablehlo import serialize
from birnn_jax.kernels import choose_backend, cpu, find_form
from tests._cases import (
    CLOCKED,
    LENGTHS,
    D,
    assert_equal,
    random_cell,
    random_inputs,
    random_xs,
)

ROOT = Path(__file__).parents[1]
RESIDUALS = pytest.mark.parametrize("residuals", ["gates", "states", "chunked"])


@pytest.fixture
def absent(monkeypatch):
    monkeypatch.setattr(cpu, "load", lambda: cpu.Library(None, "Not built: no luck."))


@pytest.fixture
def present(monkeypatch):
    """As if the library were there; nothing may be computed with it."""
    monkeypatch.setattr(cpu, "is_registered", lambda: True)


@pytest.fixture
def chosen(present, monkeypatch):
    """The backends chosen for layers, which XLA computes here all the same."""
    names = []

    def choose(*args):
        names.append(choose_backend(*args))
        return "xla"

    monkeypatch.setattr(_pass, "choose_backend", choose)
    return names


def form_and_inputs(cell=LSTM, dtype="float32"):
    params, carry = random_cell(cell, 1, dtype=dtype)
    xs = random_xs(dtype=dtype)
    return find_form(cell, (params, carry, xs)), [xs]


def test_table_has_a_row_for_each_backend():
    lines = str(backends()).splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["xla", "yes"],
        ["cpu_kernel", "yes" if cpu.is_registered() else "no"],
    ]


def test_table_says_why_there_are_no_native_kernels(absent):
    assert backends().cpu_kernel == (False, "Not built: no luck.")
    assert "cpu_kernel  no   Not built: no luck." in str(backends())


@pytest.mark.parametrize("wanted", ["auto", "cpu_kernel"])
def test_kernel_is_chosen_where_it_can_compute(wanted, present):
    assert choose_backend(wanted, *form_and_inputs()) == "cpu_kernel"


def test_kernel_is_not_chosen_where_xla_is_asked_for(present):
    assert choose_backend("xla", *form_and_inputs()) == "xla"


def refuse_other_cell(monkeypatch):
    return form_and_inputs(CLOCKED)


def refuse_bfloat16(monkeypatch):
    return form_and_inputs(dtype="bfloat16")


def refuse_any_size(monkeypatch):
    form, _ = form_and_inputs()
    return form, [jax.ShapeDtypeStruct((*jax.export.symbolic_shape("b, t"), D), "float32")]


def refuse_on_gpu(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    return form_and_inputs()


@pytest.mark.parametrize(
    ("arrange", "message"),
    [
        (refuse_other_cell, "ELMAN, GRU and LSTM"),
        (refuse_bfloat16, "float32, got bfloat16"),
        (refuse_any_size, r"numbers, got \(b, t, 2\)"),
        (refuse_on_gpu, "default backend is 'gpu'"),
    ],
    ids=["other_cell", "bfloat16", "any_size", "gpu"],
)
def test_kernel_that_cannot_compute_is_refused_by_name_and_passed_over_by_auto(
    arrange, message, present, monkeypatch
):
    layer = arrange(monkeypatch)
    assert choose_backend("auto", *layer) == "xla"
    with pytest.raises(ValueError, match=f"backend='cpu_kernel' .*{message}"):
        choose_backend("cpu_kernel", *layer)


def test_kernel_that_is_not_there_is_refused_by_name_and_passed_over_by_auto(absent):
    params, _ = random_cell(LSTM, 1)
    run = functools.partial(scan_cell, LSTM, params, random_xs(), LENGTHS)
    assert_equal(run(backend="auto"), run(backend="xla"))
    with pytest.raises(ValueError, match=r"is not there\. Not built: no luck\."):
        run(backend="cpu_kernel")


@pytest.mark.parametrize(
    ("cell", "lengths"),
    [(Bi(GRU, LSTM), LENGTHS), (LSTM, Segments(jnp.ones([3, 5], int))), (CLOCKED, None)],
    ids=["two_cells", "segments", "other_cell"],
)
def test_layer_without_a_kernel_says_which_have_one(cell, lengths, present):
    cells = cell if isinstance(cell, Bi) else Bi(cell, cell)
    params = Bi(*(random_cell(one, 1)[0] for one in cells))
    with pytest.raises(ValueError, match="ELMAN, GRU and LSTM"):
        bidirectional(cell, params, random_xs(), lengths, backend="cpu_kernel")


@RESIDUALS
@pytest.mark.parametrize("backend", ["xla", "cpu_kernel"])
def test_backend_of_functions_reaches_the_kernels(backend, residuals, chosen):
    options = {"residuals": residuals, "backend": backend}
    layers = (Layer(LSTM, direction="bwd", **options), Layer(LSTM, **options))

    def run(params, xs):
        scan_cell(LSTM, params.fwd, xs, LENGTHS, **options)
        bidirectional(LSTM, params, xs, LENGTHS, **options)
        stack(layers, (params.fwd, params), xs, LENGTHS)

    xs = jnp.zeros([3, 5, 7])
    params = Bi(*(random_cell(LSTM, 1, input_size=7)[0],) * 2)
    jax.eval_shape(run, params, xs)
    assert set(chosen) == {backend} and len(chosen) >= 4


@pytest.mark.parametrize("flavour", ["linen", "nnx"])
@pytest.mark.parametrize("name", ["RNN", "Bidirectional"])
@pytest.mark.parametrize("backend", ["xla", "cpu_kernel"])
def test_backend_of_a_flax_layer_reaches_the_kernels(flavour, name, backend, chosen):
    settings = {"cell": LSTM, "hidden_size": 4, "backend": backend}
    if flavour == "linen":
        layer = getattr(birnn_jax.linen, name)(**settings)
        jax.eval_shape(layer.init, jax.random.key(0), random_xs())
    else:
        layer = getattr(birnn_jax.nnx, name)(input_size=D, rngs=nnx.Rngs(0), **settings)
        jax.eval_shape(layer, random_xs())
    assert set(chosen) == {backend}


def test_unknown_backend_is_refused():
    params, xs, lengths, _ = random_inputs(LSTM)
    expected = "backend must be one of 'auto', 'xla', 'cpu_kernel', got 'native'"
    with pytest.raises(ValueError, match=expected):
        scan_cell(LSTM, params.fwd, xs, lengths, backend="native")
    with pytest.raises(ValueError, match=expected):
        bidirectional(LSTM, params, xs, lengths, backend="native")
    with pytest.raises(ValueError, match=expected):
        Layer(LSTM, backend="native")


@pytest.mark.parametrize("backend", ["auto", "xla"])
def test_file_for_any_size_holds_no_native_code(backend):
    layers = (Layer(LSTM, backend=backend),)
    params = init_stack(layers, jax.random.key(0), input_size=D, hidden_size=4)
    written = serialize(lambda xs, lengths: stack(layers, params, xs, lengths)[1], input_size=D)
    assert "birnn_lstm" not in jax.export.deserialize(bytearray(written)).mlir_module()


def test_file_cannot_hold_a_kernel_that_was_asked_for(present):
    params, _ = random_cell(LSTM, 1)
    predict = functools.partial(scan_cell, LSTM, params, backend="cpu_kernel")
    with pytest.raises(ValueError, match="needs sizes that are numbers"):
        serialize(predict, input_size=D)


def load_from(folder, monkeypatch):
    monkeypatch.setattr(cpu, "FOLDER", folder)
    return cpu.load.__wrapped__()


def write(folder, sources="same", digest=None):
    (folder / "src").mkdir()
    (folder / "src" / "kernels.cc").write_text(sources)
    (folder / "_kernels.so").write_text("no library")
    (folder / "_build.txt").write_text(f"Built by hand.\n{digest or cpu._digest_of_sources()}\n")


def test_folder_where_nothing_was_built_is_told_so(tmp_path, monkeypatch):
    assert load_from(tmp_path, monkeypatch)[0] is None
    assert "not installed from here" in load_from(tmp_path, monkeypatch).note


def test_library_of_other_sources_is_not_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "FOLDER", tmp_path)
    write(tmp_path, digest="another")
    assert "sources changed" in load_from(tmp_path, monkeypatch).note


def test_file_that_is_no_library_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "FOLDER", tmp_path)
    write(tmp_path)
    library = load_from(tmp_path, monkeypatch)
    assert library.handle is None and "Built for another system or JAX" in library.note


FUTURE = """
#include "xla/ffi/api/ffi.h"
static xla::ffi::Error nothing() { return xla::ffi::Error::Success(); }
XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_future, nothing, xla::ffi::Ffi::Bind());
"""


@pytest.mark.skipif(not shutil.which("c++"), reason="needs a C++ compiler")
def test_library_for_a_newer_interface_of_xla_is_refused_and_jax_goes_on(tmp_path, monkeypatch):
    shutil.copytree(jax.ffi.include_dir(), tmp_path / "include")
    header = tmp_path / "include" / "xla" / "ffi" / "api" / "c_api.h"
    header.write_text(header.read_text().replace("XLA_FFI_API_MINOR ", "XLA_FFI_API_MINOR 9"))
    monkeypatch.setattr(cpu, "FOLDER", tmp_path)
    monkeypatch.setattr(cpu, "TARGETS", ("birnn_future",))
    write(tmp_path, FUTURE)
    command = "c++ -std=c++17 -fPIC -shared -Iinclude src/kernels.cc -o _kernels.so"
    subprocess.run(command.split(), cwd=tmp_path, check=True, timeout=100)
    library = load_from(tmp_path, monkeypatch)
    assert library.handle is None and "API version (0.9" in library.note
    assert jnp.arange(3).sum() == 3


COMPILER = """#!/bin/sh
echo "$@" >> {log}
case "$1" in
  -dumpmachine) echo {machine} ;;
  --version) echo "toy 1.0" ;;
  *) {action} ;;
esac
"""


@pytest.fixture
def build(tmp_path):
    """Runs the build step with a toy for a compiler; returns the folder and what it was told."""

    def run(action="for last; do :; done; touch $last", machine="x86_64-toy", **env):
        compiler, log = tmp_path / "toy", tmp_path / "log"
        compiler.write_text(COMPILER.format(log=log, machine=machine, action=action))
        compiler.chmod(0o755)
        command = [sys.executable, "setup.py", "-q", "build_kernels", "--build-lib", str(tmp_path)]
        env = os.environ | {"CXX": str(compiler)} | env
        subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, timeout=100)
        calls = log.read_text().splitlines() if log.exists() else []
        return tmp_path / "birnn_jax" / "kernels" / "cpu", calls

    return run


def read_note(folder):
    return (folder / "_build.txt").read_text().splitlines()[0]


def test_kernels_are_compiled_for_every_instruction_set(build):
    folder, calls = build()
    assert (folder / "_kernels.so").exists()
    assert read_note(folder) == "Built by toy 1.0 for x86_64-toy (baseline, avx2, avx512)."
    units = [call for call in calls if call.endswith(".o") and "kernels.cc" in call]
    assert [("-mfma" in call, "-mavx512f" in call) for call in sorted(units, key=len)] == [
        (False, False),
        (True, False),
        (True, True),
    ]
    assert all("-Werror" in call for call in units)


def test_kernels_of_another_processor_have_the_baseline_only(build):
    folder, calls = build(machine="aarch64-toy")
    assert "(baseline)" in read_note(folder) and not any("-mavx" in call for call in calls)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"action": "echo 'a.cc:3: error: no such thing' >&2; exit 1"}, "error: no such thing"),
        ({"CXX": "false"}, "false failed: status 1"),
        ({"CXX": "not-there"}, "not-there could not be run"),
    ],
    ids=["error", "false", "missing"],
)
def test_installation_goes_on_without_a_compiler_that_works(options, message, build):
    build()
    folder, _ = build(**options)
    assert not (folder / "_kernels.so").exists()  # nor the one from before
    assert read_note(folder).startswith("Not built: ") and message in read_note(folder)


def test_note_of_the_build_names_the_sources_that_are_here(build):
    folder, _ = build()
    assert (folder / "_build.txt").read_text().splitlines()[1] == cpu._digest_of_sources()


@pytest.fixture
def one_cell(monkeypatch):
    monkeypatch.setattr(selfcheck, "CELLS", {"lstm": LSTM})


ARGS = ["--cases", "1", "--seed", "3"]


def test_selfcheck_prints_the_errors_of_every_backend(one_cell, capsys):
    assert selfcheck.main(ARGS) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if " lstm " in line]
    assert [row[0] for row in rows][:2] == ["scan", "xla"]
    assert len(rows) == 2 + (len(cpu.find_isas()) if cpu.is_registered() else 0)
    assert all(1e-9 < float(number) < 2e-5 for row in rows for number in row[-2:])


def wrong_values(params):
    return jax.tree.map(lambda w: w * 1.0005, params)


def wrong_gradient_of_one_weight(params):
    one = params.w_h.at[-1, -1].multiply(1.5)
    return params._replace(w_h=one + jax.lax.stop_gradient(params.w_h - one))


def not_a_number(params):
    return jax.tree.map(lambda w: w * jnp.nan, params)


@pytest.mark.parametrize("change", [wrong_values, wrong_gradient_of_one_weight, not_a_number])
def test_selfcheck_finds_a_planted_error(change, monkeypatch, capsys):
    wrong = LSTM._replace(step=lambda params, carry, x: LSTM.step(change(params), carry, x))
    monkeypatch.setattr(selfcheck, "CELLS", {"lstm": wrong})
    monkeypatch.setattr(cpu, "is_registered", lambda: False)
    assert selfcheck.main(ARGS) == 1
    assert capsys.readouterr().out.count("WRONG") == 2
