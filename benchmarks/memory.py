"""Memory of a gradient over long sequences: `python -m benchmarks.memory --help`.

For each number of steps T and each way to keep residuals, a process of its own compiles the value
and gradient of a bidirectional LSTM, asks the compiler how much memory it takes beside arguments
and results, and runs it once, watching the memory of the process. The loss reads final states, so
that no array of outputs, which would be proportional to T, hides the residuals.
Results are compared with those of "gates" before anything is recorded.
"""

import argparse
import datetime
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _machine, _measure

RESIDUALS = ("gates", "states", "chunked")  # the first one is the reference
STEPS = (100, 300, 1000, 3000, 10_000, 30_000, 100_000)
TOLERANCE = 1e-3  # of the largest entry of each gradient: sums of so many steps in float32
ROOT = Path(__file__).parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the status is 1 if results differ."""
    options = _parse(arguments)
    if options.worker:
        print(json.dumps(measure(**json.loads(options.worker))))
        return 0
    options.json.parent.mkdir(parents=True, exist_ok=True)
    machine = _machine.describe(len(os.sched_getaffinity(0)))
    rows = []
    with tempfile.TemporaryDirectory() as folder, options.json.open("w") as out:
        for num_steps in options.steps:
            reference = f"{folder}/{num_steps}.npz"
            for residuals in RESIDUALS:
                point = {"num_steps": num_steps, "residuals": residuals, "sizes": options.sizes}
                row = point | _ask(point | {"reference": reference})
                date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
                rows.append(row)
                out.write(json.dumps(row | {"date": date, "machine": machine}) + "\n")
                out.flush()
                print(row, file=sys.stderr, flush=True)
    print(table(rows))
    if options.png:
        draw(rows, options.png)
    return int(any(row["error"] > TOLERANCE for row in rows))


def measure(num_steps: int, residuals: Any, sizes: Sequence[int], reference: str) -> dict:
    """One point, in the process that calls this."""
    import jax

    from birnn_jax import LSTM, bidirectional, final_states, init_bidirectional

    batch_size, input_size, hidden_size = sizes
    key_params, key_xs = jax.random.split(jax.random.key(0))
    params = init_bidirectional(LSTM, key_params, input_size=input_size, hidden_size=hidden_size)
    xs = jax.random.normal(key_xs, [batch_size, num_steps, input_size])

    def loss(params):
        carry, _ = bidirectional(LSTM, params, xs, residuals=residuals)
        return final_states(carry).sum()

    compiled = jax.jit(jax.value_and_grad(loss)).lower(params).compile()
    results = []
    peak_bytes = _measure.peak_bytes(
        lambda: results.append(jax.block_until_ready(compiled(params)))
    )
    got = {str(n): np.asarray(leaf) for n, leaf in enumerate(jax.tree.leaves(results[0]))}
    if residuals == RESIDUALS[0]:
        np.savez(reference, allow_pickle=False, **got)
    with np.load(reference, allow_pickle=False) as want:
        errors = [np.abs(got[n] - want[n]).max() / np.abs(want[n]).max() for n in got]
    return {
        "loss": float(got["0"]),
        "error": float(max(errors)),
        "temp_bytes": getattr(compiled.memory_analysis(), "temp_size_in_bytes", None),
        "peak_bytes": peak_bytes,
        "device": jax.devices()[0].device_kind,
    }


def slope(rows: list[dict], residuals: str, quantity: str) -> float:
    """The power of T that fits best, from a thousand steps on; before, what is constant shows."""
    points = [
        (math.log(row["num_steps"]), math.log(row[quantity]))
        for row in rows
        if row["residuals"] == residuals and row["num_steps"] >= 1000 and row[quantity]
    ]
    if len(points) < 2:
        return math.nan
    logs = np.array(points)
    return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])


def table(rows: list[dict]) -> str:
    """Megabytes, compiled and measured, one line for each number of steps."""
    lines = ["| steps | " + " | ".join(RESIDUALS) + " |", "| --- |" + " --- |" * len(RESIDUALS)]
    for num_steps in dict.fromkeys(row["num_steps"] for row in rows):
        cells = [_cell(row) for row in rows if row["num_steps"] == num_steps]
        lines.append(f"| {num_steps} | " + " | ".join(cells) + " |")
    slopes = [f"{slope(rows, residuals, 'temp_bytes'):.2f}" for residuals in RESIDUALS]
    return "\n".join([*lines, "| power of T | " + " | ".join(slopes) + " |"])


def draw(rows: list[dict], path: Path) -> None:
    """Both quantities against T, log-log, with the slopes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from benchmarks._plots import whole_decades

    titles = {"temp_bytes": "by the compiler", "peak_bytes": "rise of resident memory"}
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
    for panel, (quantity, title) in zip(panels, titles.items(), strict=True):
        for residuals in RESIDUALS:
            mine = [row for row in rows if row["residuals"] == residuals and row[quantity]]
            panel.loglog(
                [row["num_steps"] for row in mine],
                [row[quantity] / 1e6 for row in mine],
                "o-",
                label=f"{residuals}, $T^{{{slope(rows, residuals, quantity):.2f}}}$",
            )
        lowest = [row for row in rows if row["residuals"] == RESIDUALS[-1]]
        ends = [lowest[0]["num_steps"], lowest[-1]["num_steps"]]
        start = (lowest[0][quantity] or math.nan) / 1e6
        panel.loglog(ends, [start, start * math.sqrt(ends[1] / ends[0])], "k--", label=r"$T^{1/2}$")
        panel.set(xlabel="steps T", title=title)
        panel.grid(alpha=0.3)
        panel.legend(title="fit from T = 1000 on")
    values = [row[quantity] / 1e6 for row in rows for quantity in titles if row[quantity]]
    panels[0].set(ylabel="megabytes", ylim=whole_decades(values))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _ask(point: dict) -> dict:
    """`measure` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--worker", json.dumps(point)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _cell(row: dict) -> str:
    measured = "?" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e6:.1f}"
    return f"{row['temp_bytes'] / 1e6:.2f} ({measured})"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    add = parser.add_argument
    add("--steps", nargs="+", type=int, default=list(STEPS), metavar="T")
    add("--sizes", nargs=3, type=int, default=[2, 1, 64], metavar=("B", "D", "H"))
    add(
        "--json", type=Path, default=Path("runs/memory.jsonl"), help="one line a point; overwritten"
    )
    add("--png", type=Path, help="a log-log picture")
    add("--worker", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
