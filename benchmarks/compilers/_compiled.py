"""What a compiled program is made of, read from its text in HLO.

A kernel is an instruction that a device starts: a fusion, a product, a copy, a call of a library, a
collective. An instruction of a loop counts once for each of the iterations, whose number XLA
writes beside the loop.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# What moves no number: names, tuples and views of memory, and the second half of what is started.
_NO_KERNELS = frozenset(
    """parameter constant tuple get-tuple-element bitcast after-all opt-barrier add-dependency
    partition-id replica-id async-done async-update copy-done all-reduce-done all-gather-done
    collective-permute-done send-done recv-done domain get-dimension-size""".split()
)
_COLLECTIVES = frozenset(
    """all-reduce all-gather reduce-scatter all-to-all ragged-all-to-all collective-permute
    collective-broadcast""".split()
)
_HEADER = re.compile(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%?[\w.\-]+ = (.*)$")
_OPCODE = re.compile(r"([a-z][a-z0-9\-]*)\(")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CONDITION = re.compile(r"\bcondition=%?([\w.\-]+)")
_BOUND = re.compile(r"s32\[\]\S* constant\((\d+)\)")
_BODY = re.compile(r"\bbody=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_COMPUTATION = re.compile(r"\b(?:to_apply|calls)=%?([\w.\-]+)")


class Kernel(NamedTuple):
    """An instruction, and how often it runs."""

    opcode: str
    times: int
    in_loop: bool


def read_kernels(text: str) -> list[Kernel]:
    """Every kernel of a program, `compiled.as_text()`.

    Raises:
      ValueError: if the text has no entry computation.
    """
    computations, entry = _split(text)
    return list(_walk(computations, entry, 1, in_loop=False))


def count_launches(kernels: list[Kernel]) -> int:
    """How many kernels a run starts."""
    return sum(kernel.times for kernel in kernels)


def collectives(kernels: list[Kernel]) -> list[Kernel]:
    """Those that several devices compute together."""
    return [k for k in kernels if k.opcode.removesuffix("-start") in _COLLECTIVES]


def _split(text: str) -> tuple[dict[str, list[str]], str]:
    """The instructions of each computation, from their types on, and the name of the entry."""
    computations: dict[str, list[str]] = {}
    entry, lines = None, []
    for line in text.splitlines():
        if header := _HEADER.match(line):
            lines = computations.setdefault(header[1], [])
            entry = header[1] if line.startswith("ENTRY") else entry
        elif instruction := _INSTRUCTION.match(line):
            lines.append(instruction[1])
    if entry is None:
        raise ValueError("The text has no line that begins with ENTRY: it is no program in HLO.")
    return computations, entry


def _walk(
    computations: dict[str, list[str]], name: str, times: int, *, in_loop: bool
) -> Iterator[Kernel]:
    for line in computations[name]:
        opcode = _opcode(line)
        if opcode == "while":
            (body,) = _BODY.findall(line)
            count = times * _count_trips(computations, line)
            yield from _walk(computations, body, count, in_loop=True)
        elif opcode == "conditional":
            for branch in re.findall(r"[\w.\-]+", _BRANCHES.findall(line)[0]):
                yield from _walk(computations, branch, times, in_loop=in_loop)
        elif opcode in ("call", "async-start"):
            (called,) = _COMPUTATION.findall(line)
            yield from _walk(computations, called, times, in_loop=in_loop)
        elif opcode not in _NO_KERNELS:
            yield Kernel(opcode, times, in_loop)


def _count_trips(computations: dict[str, list[str]], line: str) -> int:
    """Iterations of a loop: written beside it for GPUs and CPUs, in its condition for TPUs."""
    if known := _TRIPS.search(line):
        return int(known[1])
    (condition,) = _CONDITION.findall(line)
    bounds = [found[1] for inner in computations[condition] if (found := _BOUND.match(inner))]
    if len(bounds) != 1 or "direction=LT" not in computations[condition][-1]:
        raise ValueError(f"A loop runs an unknown number of times: {line[-200:]}")
    return int(bounds[0])


def _opcode(line: str) -> str:
    """The word after the type, which for a tuple stands in parentheses itself."""
    end = _end_of_tuple(line) if line.startswith("(") else line.index(" ")
    found = _OPCODE.match(line[end:].lstrip())
    if found is None:
        raise ValueError(f"An instruction has no operation after its type: {line[:80]}")
    return found[1]


def _end_of_tuple(line: str) -> int:
    depths = itertools.accumulate((letter == "(") - (letter == ")") for letter in line)
    return 1 + next(place for place, depth in enumerate(depths) if depth == 0)


class MosaicKernel(NamedTuple):
    """A kernel of Pallas for a GPU, as the assembler and the compiler describe it."""

    registers: int  # of each thread
    spilled_bytes: int  # stored to memory for want of registers
    shared_bytes: int  # of a block


_REGISTERS = re.compile(r"Used (\d+) registers")
_SPILLED = re.compile(r"(\d+) bytes spill stores, \d+ bytes spill loads$", re.MULTILINE)
_SHARED = re.compile(r"dynamic_shared_memory_size %c(\d+)_i32")


def read_mosaic_kernels(folder: Path) -> list[MosaicKernel]:
    """Those that Mosaic wrote to the folder of `MOSAIC_GPU_DUMP_TO`."""
    kernels = []
    for path in sorted(folder.glob("*.ptxas")):
        said, passes = path.read_text(), path.with_suffix(".mlir-passes.log").read_text()
        found = (_REGISTERS.findall(said), _SPILLED.findall(said), _SHARED.findall(passes))
        kernels.append(MosaicKernel(*(int(numbers[0]) for numbers in found)))
    return kernels


class Loop(NamedTuple):
    """One iteration of an innermost loop on a GPU."""

    kernels: int
    launches: int  # a CUDA graph is one launch for all its kernels


class _Thunk(NamedTuple):
    """A line of XLA's list of commands for a GPU, with the lines that are indented below it."""

    kind: str
    inner: list["_Thunk"]


_GRAPH, _BODY_LINE = "kCommandBuffer", "body:"
_LINE = re.compile(r"( *)(?:\d+: )?(k\w+|body:|condition:)")


def read_loops(text: str) -> list[Loop]:
    """The innermost loops, of the file `thunk_sequence_after_thunk_passes` that XLA can write."""
    root = _Thunk("", [])
    open_thunks = [(-1, root)]  # with their indentations
    for line in text.splitlines():
        if found := _LINE.match(line):
            indentation, thunk = len(found[1]), _Thunk(found[2], [])
            while open_thunks[-1][0] >= indentation:
                open_thunks.pop()
            open_thunks[-1][1].inner.append(thunk)
            open_thunks.append((indentation, thunk))
    bodies = [thunk for thunk in _all(root) if thunk.kind == _BODY_LINE]
    innermost = [t for t in bodies if [inner.kind for inner in _all(t)].count(_BODY_LINE) == 1]
    return [Loop(len(_leaves(t, ())), len(_leaves(t, (_GRAPH,)))) for t in innermost]


def _all(thunk: _Thunk) -> Iterator[_Thunk]:
    yield thunk
    for inner in thunk.inner:
        yield from _all(inner)


def _leaves(thunk: _Thunk, closed: tuple[str, ...]) -> list[_Thunk]:
    """The thunks that hold no other; of the kinds `closed` it is not looked into."""
    if not thunk.inner or thunk.kind in closed:
        return [thunk]
    return [leaf for inner in thunk.inner for leaf in _leaves(inner, closed)]
