"""Reading of compiled programs, limits, and a small compilation for a TPU where it is installed."""

import ctypes
import json
import shutil
import subprocess

import jax
import jax.numpy as jnp
import pytest

from benchmarks.compilers import __main__ as compilers
from benchmarks.compilers import _environments, _limits, _programs, _stand_ins, _targets, _worker
from benchmarks.compilers._compiled import (
    Loop,
    collectives,
    count_launches,
    read_kernels,
    read_loops,
)

HLO = """HloModule jit_f, is_scheduled=true

%fused (p: f32[4]) -> f32[4] {
  %p = f32[4]{0:T(128)} parameter(0)
  ROOT %sine = f32[4]{0} sine(%p)
}

%inner_body (arg: (s32[], /*index=1*/f32[4])) -> (s32[], f32[4]) {
  %arg = (s32[], /*index=1*/f32[4]{0:T(128)}) parameter(0)
  %x = f32[4]{0} get-tuple-element(%arg), index=1
  %fusion.1 = f32[4]{0} fusion(%x), kind=kLoop, calls=%fused
  %all-reduce.3 = f32[4]{0} all-reduce(%fusion.1), to_apply=%add
  ROOT %t = (s32[], f32[4]{0}) tuple(%x, %all-reduce.3)
}

%bound (arg: (s32[], f32[4])) -> pred[] {
  %n = s32[]{:T(128)} constant(5)
  %arg.2 = (s32[], f32[4]{0}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%arg.2), index=0
  ROOT %lt = pred[]{:T(512)} compare(%i, %n), direction=LT
}

%outer_body (arg: (s32[], f32[4])) -> (s32[], f32[4]) {
  %arg.1 = (s32[], f32[4]{0}) parameter(0)
  %while.1 = (s32[], f32[4]{0:T(8,128)S(1)}) while(%arg.1), condition=%bound, body=%inner_body
  %copy-start = (f32[4]{0}, f32[4]{0}, u32[]) copy-start(%while.1)
  ROOT %copy-done = (s32[], f32[4]{0}) copy-done(%copy-start)
}

%called (a: f32[4]) -> f32[4] {
  %a = f32[4]{0} parameter(0)
  ROOT %dot.1 = f32[4]{0} dot(%a, %a), lhs_contracting_dims={0}
}

ENTRY %main (x: f32[4]) -> f32[4] {
  %x.1 = f32[4]{0} parameter(0)
  %bitcast = f32[2,2]{1,0} bitcast(%x.1)
  %while.2 = (s32[], f32[4]{0}) while(%x.1), body=%outer_body, b={"known_trip_count":{"n":"3"}}
  %either = f32[4]{0} conditional(%x.1, %x.1), branch_computations={%called, %fused}
  ROOT %call = f32[4]{0} call(%x.1), to_apply=%called
}
"""


def test_kernels_of_loops_count_once_an_iteration():
    found = read_kernels(HLO)
    counted = {(k.opcode, k.times, k.in_loop) for k in found}
    assert counted == {
        ("fusion", 15, True),
        ("all-reduce", 15, True),
        ("copy-start", 3, True),
        ("dot", 1, False),  # of the branch, and of the call
        ("sine", 1, False),
    }
    assert count_launches(found) == 15 + 15 + 3 + 2 + 1
    assert [(k.opcode, k.times) for k in collectives(found)] == [("all-reduce", 15)]
    with pytest.raises(ValueError, match="no line that begins with ENTRY"):
        read_kernels("HloModule f")
    with pytest.raises(ValueError, match="unknown number of times"):
        read_kernels(HLO.replace("direction=LT", "direction=NE"))


def test_kernels_of_a_program_of_this_jax():
    steps = 7

    def run(x):
        return jax.lax.scan(lambda c, _: (jnp.sin(c @ x), None), x, None, length=steps)[0]

    text = jax.jit(run).lower(jax.ShapeDtypeStruct((3, 3), "float32")).compile().as_text()
    (product,) = (k for k in read_kernels(text) if k.opcode in ("dot", "custom-call"))
    assert product.times == steps and product.in_loop


THUNKS = """000: kCommandBuffer [source       | next=012 (1)]
    001: kCustomKernel [source       | sink        ] a grid: [64, 1, 1]
    002: kCopy         [source       | sink        ] b
012: kWhile         [prev=000 (1) | next=031 (1)]
condition:
    013: kCustomKernel [source | sink] c
  body:
    014: kCustomKernel       [source       | next=015 (1)] d
    016: kDynamicSliceFusion [source       | next=018 (1)] params=1, results=1
        017: kCopy [source | sink] kCopy
    020: kWhile         [prev=000 (1) | next=031 (1)]
    condition:
        021: kCustomKernel [source | sink] c
      body:
        000: kCommandBuffer [source | sink]
            022: kCustomKernel [source       | next=038 (1)] e
            023: kCustomKernel [source       | next=038 (1)] f
        024: kDynamicSliceFusion [source       | next=018 (1)] params=1, results=1
            025: kCopy [source | sink] kCopy
031: kWhile         [prev=000 (1) | next=031 (1)]
condition:
    032: kCustomKernel [source | sink] c
  body:
    033: kCustomKernel [source       | next=015 (1)] d
    034: kGemm [source       | next=015 (1)] d
"""


def test_a_graph_is_one_launch():
    assert read_loops(THUNKS) == [Loop(kernels=3, launches=2), Loop(kernels=2, launches=2)]


ROW = {
    "target": "v5e",
    "program": "birnn LSTM",
    "launches_per_step": 5.0,
    "temporary_bytes": 1000,
    "compile_relative": 2.0,
    "collectives_in_loops": 0,
}


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        ({}, []),
        ({"launches_per_step": 5.5, "temporary_bytes": 1100, "compile_relative": 2.2}, []),
        ({"launches_per_step": 5.6}, ["v5e, birnn LSTM: 5.6 kernels a step, recorded were 5."]),
        ({"temporary_bytes": 1101}, ["1,101 bytes of temporary memory, recorded were 1,000."]),
        ({"compile_relative": 2.3}, ["2.3 times the yardstick's CPU time of compiling"]),
        ({"collectives_in_loops": 3}, ["3 collectives in loops, none is allowed."]),
        ({"error": "too large"}, ["does not compile. too large"]),
        ({"program": "another", "launches_per_step": 99.0}, []),
    ],
)
def test_limits_are_what_was_recorded_and_a_tenth(tmp_path, change, sentences):
    path = tmp_path / "recorded.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    found = [*_limits.find_passed(ROW | change, _limits.read(path))]
    assert len(found) == len(sentences)
    assert all(part in text for part, text in zip(sentences, found, strict=True))


@pytest.mark.parametrize(
    ("loads", "seconds", "want"),  # how slow the machine is at each compilation
    [
        ([1, 1, 1, 1, 1], 5.5, 5.5),
        ([1, 1, 1, 1, 9, 1, 1], 5, 5),
        ([1, 1, 1, 3, 3, 3, 3, 3, 3], 5, 5),  # from now on slower
        ([1, 1, 1] + [1, 1] * 4, 5.6, 5.6),
        ([1, 1, 1] + [9, 1] + [1, 1] * 3, 5.6, 5.6),  # a slow yardstick hides nothing
    ],
)
def test_a_busy_machine_is_told_from_a_program_that_takes_longer(
    loads, seconds, want, tmp_path, monkeypatch, capsys
):
    busy, program = iter(loads), _programs.Program()

    def compile_(target, compiled, dump):
        return {"compile_cpu_s": next(busy) * (seconds if compiled == program else 1)}

    recorded = tmp_path / "recorded.jsonl"
    recorded.write_text(json.dumps(ROW | {"program": str(program), "compile_relative": 5}))
    monkeypatch.setattr(_worker, "compile_program", compile_)
    monkeypatch.setattr(_programs, "of_suites", lambda *words: [program])
    monkeypatch.setattr("sys.argv", ["worker", str(tmp_path), "v5e", str(recorded), "0", "quick"])
    _worker.main()
    *_, row = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["compile_relative"], [*busy]) == (want, [])


def test_a_platform_without_packages_is_left_out(tmp_path, monkeypatch, capsys):
    def run(*words):
        if "install" in words:
            raise subprocess.CalledProcessError(1, words, stderr="Looking ...\nERROR: No space.\n")

    monkeypatch.setitem(_environments.PACKAGES, "tpu", ["no-such-package=={jax}"])
    monkeypatch.setattr(_environments, "_run", run)
    words = ["--targets", "v5e", "--environments", str(tmp_path)]
    assert compilers.main(words) == 0
    said = capsys.readouterr()
    assert "v5e is left out. Its packages cannot be installed: ERROR: No space. " in said.err
    assert "pip install no-such-package==0.10.2" in said.err and "0 programs" in said.out


@pytest.mark.skipif(shutil.which("cc") is None, reason="stand-ins need a C compiler")
def test_stand_ins_take_the_place_of_libraries_that_are_not_there(tmp_path, monkeypatch):
    def compile_(code, path, *words):
        run = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", path, f"-Wl,-soname,{path.name}"]
        subprocess.run([*map(str, run), *words], input=code, text=True, check=True)

    plugin = tmp_path / "lib/python3/site-packages/jax_plugins/xla_rocm7/xla_rocm_plugin.so"
    plugin.parent.mkdir(parents=True)
    (tmp_path / "map").write_text("absent_4.2 { global: with_version; };")
    version = f"-Wl,--version-script={tmp_path}/map"
    libraries = [tmp_path / "libabsent.so.7", tmp_path / "libother.so.1"]
    compile_("int with_version(void) { return 3; }", libraries[0], version)
    compile_("int without(void) { return 4; }", libraries[1])
    code = "int with_version(void), without(void);"
    code += "int run(void) { return with_version() + without(); }"
    compile_(code, plugin, "-x", "none", *map(str, libraries))
    for path in libraries:
        path.unlink()
    with pytest.raises(OSError, match="cannot open shared object file"):
        ctypes.CDLL(str(plugin))
    assert _stand_ins.make(tmp_path) == ""
    _stand_ins.load(tmp_path)
    assert ctypes.CDLL(str(plugin)).run() == 200
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install gcc" in _stand_ins.make(tmp_path)


@pytest.fixture
def run_with(tmp_path):
    """Runs the command with what an interpreter says and does in place of a compiler."""
    home = tmp_path / ".venv-aot-tpu"
    python, recorded = home / "bin/python", tmp_path / "recorded.jsonl"
    python.parent.mkdir(parents=True)
    packages = [package.format(jax="0.10.2") for package in _targets.PACKAGES["tpu"]]
    (home / _environments.READY).write_text("\n".join(packages))
    recorded.write_text(json.dumps(ROW) + "\n")

    def run(row, then="true", first="", options=()):
        python.write_text(f"#!/bin/sh\n{first}\necho '{json.dumps(row)}'\n{then}\n")
        python.chmod(0o755)
        words = ["--targets", "v5e", "--environments", str(tmp_path), "--against", str(recorded)]
        return compilers.main([*words, *options])

    return run


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 0),
        ({"launches_per_step": 5.6}, 1),
        ({"temporary_bytes": 1101}, 1),
        ({"compile_relative": 2.3}, 1),
        ({"collectives_in_loops": 1}, 1),
        ({"error": "too large"}, 1),
    ],
)
def test_the_command_fails_where_a_limit_is_passed(change, status, run_with):
    shown = {"copies_in_loops": 0, "collectives": 0, "compile_cpu_s": 1.0}
    assert run_with(ROW | shown | change) == status
    if "compile_relative" in change:
        assert run_with(ROW | shown | change, options=["--no-times"]) == 0


def test_the_command_fails_where_a_compiler_dies(run_with, capsys):
    shown = {"copies_in_loops": 0, "collectives": 0, "compile_cpu_s": 1.0}
    noise = "echo 'Could not find cuda drivers' >&2"
    assert run_with(ROW | shown, f"{noise}; echo 'out of room' >&2; kill -SEGV $$") == 1
    said = capsys.readouterr().err
    assert "The process that compiles ended with signal SIGSEGV. out of room" in said
    assert "drivers" not in said
    assert run_with(ROW | shown, "exit 3") == 1
    assert "ended with exit status 3." in capsys.readouterr().err


def test_a_program_that_kills_its_compiler_is_named_and_the_others_are_compiled(run_with, capsys):
    shown = {"copies_in_loops": 0, "collectives": 0, "compile_cpu_s": 1.0}
    # "$6" is how many programs are done: the first process ends after one, the next after all.
    first = 'echo "{}"; echo "done $6" >&2'
    assert run_with(ROW | shown, 'if [ "$6" = 0 ]; then kill -SEGV $$; fi', first) == 1
    said = capsys.readouterr()
    second = str(_programs.of_suites(_programs.SUITES, "tpu")[1])
    assert f"v5e, {second}: does not compile. The process that compiles ended with" in said.err
    assert "signal SIGSEGV. done 0" in said.err and "3 programs" in said.out


def test_programs_of_a_suite_are_different():
    for suite in _programs.SUITES.values():
        names = [str(program) for program in suite()]
        assert len(names) == len({*names})
    own = {platform: _programs.of_suites(["tpu_kernel"], platform) for platform in ("tpu", "cuda")}
    assert own["tpu"] == [*_programs.tpu_kernel()] and own["cuda"] == []


@pytest.mark.parametrize("target", ["v5e", "h200", "mi300x"])
def test_a_layer_is_compiled_for_another_device(target, tmp_path):
    """Where `make aot` has made the environments; .ci/run has one of its own for TPUs."""
    platform = _targets.TARGETS[target].platform
    if not (_environments.ROOT / f".venv-aot-{platform}" / _environments.READY).exists():
        pytest.skip("make aot installs the compilers")
    out = tmp_path / "rows.jsonl"
    words = ["--targets", target, "--suites", "quick", "--json", str(out), "--no-times"]
    assert compilers.main(words) == 0
    rows = _limits.read(out)
    ours, flax = (
        rows[target, f"{library} LSTM 8,16,16,32 train"] for library in ("birnn", "flax-linen")
    )
    assert 0 < ours["launches_per_step"] < flax["launches_per_step"]
    shared = rows[target, "birnn LSTM 8,16,16,32 step 16 devices"]
    assert shared["collectives"] == 1 and shared["collectives_in_loops"] == 0
