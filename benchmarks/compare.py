"""Measures candidates side by side: `python -m benchmarks.compare --help`.

Every candidate runs in a process of its own, on the same processors, with the same weights. Its
results are compared with a float64 reference before it is timed. Then the candidates take turns,
one sample each, in rounds whose order rotates, so that a drift of the machine hits all alike.
"""

import argparse
import dataclasses
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from benchmarks import _cells, _machine, _measure, _points, report
from benchmarks._fleet import Failed, Fleet
from benchmarks._points import Case
from benchmarks.peers import CANDIDATES

MIN_ROUNDS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the status is 1 if a candidate failed or got slower."""
    options = _parse(arguments)
    cases = list(_cases(options))
    if options.resume:
        cases = _without(cases, options.json)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with Fleet(options.threads) as fleet, options.json.open("a") as out:
        rows = list(_measure_cases(fleet, cases, options, out))
    print(report.table(rows))
    failed = [row for row in rows if "error" in row]
    for row in failed:
        print(f"FAILED {row['candidate']} at {report.name(row)}: {row['error']}", file=sys.stderr)
    slower = bool(options.against) and report.print_changes(rows, report.read(options.against))
    return int(bool(failed) or slower)


def _measure_cases(
    fleet: Fleet, cases: Iterable[Case], options: argparse.Namespace, out: TextIO
) -> Iterator[dict]:
    machine = _machine.describe(options.threads)
    for case in cases:
        print(f"{case.point}: {' '.join(case.candidates)}", file=sys.stderr, flush=True)
        for row in _measure_case(fleet, case, options):
            row = {**dataclasses.asdict(case.point), **row, "machine": machine}
            out.write(json.dumps(row) + "\n")
            out.flush()
            yield row


def _measure_case(fleet: Fleet, case: Case, options: argparse.Namespace) -> list[dict]:
    """One row a candidate: what it said while preparing, and its samples."""
    points = {name: CANDIDATES[name].measured(case.point) for name in case.candidates}
    checked = {name: CANDIDATES[name].checked(point) for name, point in points.items()}
    with tempfile.TemporaryDirectory() as folder:
        references = {point: f"{folder}/{n}.npz" for n, point in enumerate(set(checked.values()))}
        for point, path in references.items():
            request = {"point": dataclasses.asdict(point), "path": path}
            fleet.ask("reference", "compute_reference", **request)
        rows = {
            name: _try(
                *(fleet, name, "prepare"),
                point=dataclasses.asdict(point),
                checked=dataclasses.asdict(checked[name]),
                reference=references[checked[name]],
            )
            for name, point in points.items()
        }
    ready = [name for name, row in rows.items() if not row.keys() & {"error", "unsupported"}]
    gemm = fleet.ask("gemm", "prepare_gemm")
    samples = _take_turns(fleet, [*ready, "gemm"], options)
    gemm_flops = gemm["flops"] / statistics.median(sample["s"] for sample in samples.pop("gemm"))
    for name, taken in samples.items():
        seconds = [sample["s"] for sample in taken]
        rows[name] |= _summary(seconds) | {
            "samples_s": seconds,
            "cpu_samples_s": [sample["cpu_s"] for sample in taken],
            "flops": points[name].flops,
            "gemm_flops_per_s": gemm_flops,
            "gemm_fraction": points[name].flops / statistics.median(seconds) / gemm_flops,
        }
    return [{"candidate": name, **row} for name, row in rows.items()]


def _try(fleet: Fleet, candidate: str, do: str, **request: Any) -> dict:
    try:
        return fleet.ask(candidate, do, **request)
    except Failed as failure:
        return {"error": str(failure)}


def _take_turns(
    fleet: Fleet, names: list[str], options: argparse.Namespace
) -> dict[str, list[dict]]:
    samples: dict[str, list[dict]] = {name: [] for name in names}
    is_over = _measure.deadline(options.seconds)
    for round_number in range(options.rounds):
        if round_number >= min(MIN_ROUNDS, options.rounds) and is_over():
            break
        turn = round_number % len(names)
        for name in names[turn:] + names[:turn]:
            _measure.settle()
            samples[name].append(fleet.ask(name, "sample"))
    return samples


def _summary(seconds: list[float]) -> dict[str, float]:
    if len(seconds) < 2:
        return {"median_s": seconds[0], "quartile_1_s": seconds[0], "quartile_3_s": seconds[0]}
    first, median, third = statistics.quantiles(seconds, n=4, method="inclusive")
    return {"median_s": median, "quartile_1_s": first, "quartile_3_s": third}


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    if options.suite:
        yield from _points.SUITES[options.suite]()
        return
    for lengths in (False, True) if options.lengths else (False,):
        for precision in options.precisions:
            yield from _points.grid(
                *(options.cells, options.shapes, options.work, [*options.ours, *options.peers]),
                layers=options.layers,
                lengths=lengths,
                precision=precision,
            )


def _without(cases: Iterable[Case], path: Path) -> list[Case]:
    """The cases of which `path` has no row."""
    done = {_points.from_row(row) for row in report.read(path)} if path.exists() else set()
    return [case for case in cases if case.point not in done]


def _shape(text: str) -> tuple[int, ...]:
    shape = tuple(map(int, text.split(",")))
    if len(shape) != 4 or min(shape) < 1:
        raise argparse.ArgumentTypeError(
            f"expected B,T,D,H, for example 32,128,128,256; got {text}"
        )
    return shape


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    add = parser.add_argument
    ours = [name for name in CANDIDATES if name.startswith("birnn")]
    peers = [name for name in CANDIDATES if name not in ours]
    add("--suite", choices=_points.SUITES, help="a set of points; replaces those below")
    add("--cells", nargs="+", choices=_cells.GATES, default=["lstm"])
    add("--shapes", nargs="+", type=_shape, default=list(_points.STANDARD), metavar="B,T,D,H")
    add("--work", nargs="+", choices=_points.WORKS, default=list(_points.WORKS))
    add("--ours", nargs="+", choices=ours, default=["birnn"], metavar="VARIANT", help=str(ours))
    add(
        "--peers",
        nargs="*",
        choices=peers,
        default=["torch", "flax-linen"],
        metavar="PEER",
        help=str(peers),
    )
    add("--layers", type=int, default=1)
    add("--lengths", action="store_true", help="each point a second time, with ragged rows")
    add("--precisions", nargs="+", choices=_points.PRECISIONS, default=["float32"])
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add("--rounds", type=int, default=15, help="at most, and at least 5 where there is time")
    add("--seconds", type=float, default=12, help="of timing at each point, after 5 rounds")
    add("--json", type=Path, default=Path("runs/benchmarks.jsonl"), help="lines are appended")
    add("--resume", action="store_true", help="leaves out the points that the file has already")
    add("--against", type=Path, help="a recorded run, to compare ratios with")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
