"""Compiles programs for one target, in the environment of its platform: one JSON line for each."""

import argparse
import functools
import json
import resource
from collections import deque
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from benchmarks.compilers import _compiled, _limits, _programs, _targets
from benchmarks.compilers._programs import Program
from birnn_jax.kernels.target import lowering_for

# One program that nobody changes: its time says how busy and how fast this machine is. It is
# compiled before each of the others, and the lowest of its last times counts.
_YARDSTICK = Program(framework="flax-linen", work="forward", shape=(8, 16, 16, 32))
_LAST_TIMES = 3
_MOST_TRIES = 4  # where a program compiles slowly: the machine may have been busy
_THUNKS = "*thunk_sequence_after_thunk_passes.txt"  # written for GPUs


def main() -> None:
    """Reads the target and the suites from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", type=Path, help="the folder that XLA_FLAGS gives to XLA")
    parser.add_argument("target", choices=_targets.TARGETS)
    parser.add_argument("against", type=Path, help="recorded rows")
    parser.add_argument("done", type=int, help="the first programs, which are left out")
    parser.add_argument("suites", nargs="+", choices=_programs.SUITES)
    options = parser.parse_args()
    recorded = _limits.read(options.against)
    run = functools.partial(compile_program, options.target, dump=options.dump)
    yardsticks = deque((run(_YARDSTICK)["compile_cpu_s"] for _ in range(_LAST_TIMES)), _LAST_TIMES)
    print("{}", flush=True)
    platform = _targets.TARGETS[options.target].platform
    for program in _programs.of_suites(options.suites, platform)[options.done :]:
        row = {"target": options.target, "program": str(program)}
        tries = []
        try:
            for _ in range(_MOST_TRIES):
                yardsticks.append(run(_YARDSTICK)["compile_cpu_s"])
                row |= run(program)
                tries.append(row["compile_cpu_s"])
                row["compile_cpu_s"] = min(tries)
                row["compile_relative"] = min(tries) / min(yardsticks)
                if not _limits.compiles_slowly(row, recorded):
                    break
        except (jax.errors.JaxRuntimeError, ValueError) as error:
            row["error"] = str(error).partition("\n")[0]
        print(json.dumps(row), flush=True)


def compile_program(target: str, program: Program, dump: Path) -> dict[str, Any]:
    """What the compiler of a target makes of a program, and writes to the folder `dump`."""
    function, arguments = _programs.make(program)
    arguments = _place(arguments, _targets.find_devices(target, program.devices))
    for path in filter(Path.is_file, dump.iterdir()):  # of the program before
        path.unlink()
    # As on a machine that has the device: what is decided while a function is traced, too.
    with lowering_for(_targets.TARGETS[target].platform):
        lowered = jax.jit(function).lower(*arguments)
    start = _cpu_seconds()
    compiled = lowered.compile()
    seconds = _cpu_seconds() - start
    text, memory = compiled.as_text(), compiled.memory_analysis()
    if text is None or memory is None:
        raise ValueError(f"The compiler for {target} shows no program: its JAX is too old.")
    kernels = _compiled.read_kernels(text)
    thunks = dump.glob(_THUNKS)
    steps = program.shape[1] * program.layers
    shared = _compiled.collectives(kernels)
    return {
        "launches": _compiled.count_launches(kernels),
        "launches_per_step": _compiled.count_launches(kernels) / steps,
        "loops": [
            loop._asdict() for path in thunks for loop in _compiled.read_loops(path.read_text())
        ],
        "copies_in_loops": sum(k.opcode.startswith("copy") for k in kernels if k.in_loop),
        "collectives": _compiled.count_launches(shared),
        "collectives_in_loops": _compiled.count_launches([k for k in shared if k.in_loop]),
        "mosaic_kernels": [k._asdict() for k in _compiled.read_mosaic_kernels(dump)],
        "temporary_bytes": memory.temp_size_in_bytes,
        "argument_bytes": memory.argument_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes,
        "compile_cpu_s": seconds,
    }


def _cpu_seconds() -> float:
    """Of all threads, and of the programs that were started: an assembler is one."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _place(arguments: tuple[Any, Any, Any], devices: list[Any]) -> tuple[Any, ...]:
    """Shapes with their devices: parameters on all, rows shared out."""
    params, *rows = arguments
    if len(devices) == 1:
        whole = shared = SingleDeviceSharding(devices[0])
    else:
        mesh = Mesh(devices, "data")
        whole = NamedSharding(mesh, PartitionSpec())
        shared = NamedSharding(mesh, PartitionSpec("data"))

    def on(sharding: Any, tree: Any) -> Any:
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
        )

    return on(whole, params), *(on(shared, tree) for tree in rows)


if __name__ == "__main__":
    main()
