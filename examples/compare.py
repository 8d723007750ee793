"""Runs every example and its counterparts, each in a process of its own, and writes the table.

    python examples/compare.py --seeds 0 1 2
    python examples/compare.py --tasks tag_conll --seeds 0

A row is written to `results.json` as soon as it is measured, and replaces the one before it; the
table in `README.md` is made of all rows. Every process has one core of the CPU. Seconds are from
its start to its end, that is with imports, compilation, ten epochs with an evaluation after each,
and the test; CPU seconds are those that it really ran, which other programs do not lengthen.
"""

import ast
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import tokenize
from pathlib import Path
from typing import Any

import jax
import tyro

HERE = Path(__file__).parent
TASKS = {
    "tag_conll": "tags of words, BiLSTM-CRF",
    "classify_sentences": "classes of sentences",
    "recognise_speech": "strings of digits, CTC",
}
LIBRARIES = {"birnn_jax": "", "Keras 3": "counterparts/keras_", "Flax NNX": "counterparts/flax_"}
RESULTS, README = HERE / "results.json", HERE / "README.md"
BEGIN, END = "<!-- table:begin -->\n", "<!-- table:end -->"
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


def main(
    tasks: tuple[str, ...] = tuple(TASKS),
    libraries: tuple[str, ...] = tuple(LIBRARIES),
    seeds: tuple[int, ...] = (0, 1, 2),
    core: int = 0,
) -> None:
    """Measures rows, and writes them to `results.json` and `README.md`.

    Args:
      tasks: which of the examples.
      libraries: which of the libraries, by their names in the table.
      seeds: a run for each.
      core: of the CPU, to which every run is bound.
    """
    for task in tasks:
        for library in libraries:
            runs = [measure(task, library, seed, core) for seed in seeds]
            row = {"task": task, "library": library, "runs": runs, **describe_machine()}
            write_row(row)
            print(json.dumps(row), flush=True)


def measure(task: str, library: str, seed: int, core: int) -> dict[str, float]:
    """One run: its accuracy, seconds and CPU seconds."""
    command = [sys.executable, str(path_of(task, library)), "--epochs", "10", "--seed", str(seed)]
    begin = time.monotonic()
    process = subprocess.Popen(
        ["taskset", "--cpu-list", str(core), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begin
    if status:
        raise RuntimeError(f"{' '.join(command)} failed; run it to see why.")
    return {
        "seed": seed,
        "accuracy": float(output.split()[-1]),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
    }


def path_of(task: str, library: str) -> Path:
    """The program of a task in a library."""
    return HERE / f"{LIBRARIES[library]}{task}.py"


def count_lines(path: Path) -> int:
    """Lines of code: without imports, comments, docstrings and blank lines."""
    text = path.read_text(encoding="utf-8")
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SILENT:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        is_import = isinstance(node, ast.Import | ast.ImportFrom)
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_import or is_text:
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines - {text.count("\n") + 1})  # the end of the file is a token too


def describe_machine() -> dict[str, str]:
    """What the numbers depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    return {"cpu": cpu or platform.processor(), "jax": jax.__version__}


def write_row(row: dict[str, Any]) -> None:
    """Puts a row into `results.json`, in place of the same one, and all of them into the table."""
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    same = lambda other: all(other[name] == row[name] for name in ("task", "library"))
    rows = [other for other in rows if not same(other)] + [row]
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(before + BEGIN + make_table(rows) + END + rest.partition(END)[2])


def make_table(rows: list[dict[str, Any]]) -> str:
    """All rows, as Markdown."""
    head = ["task", "library", "lines", "seconds to epoch 10", "CPU seconds", "accuracy on test"]
    table = [head, ["---", "---", *["---:"] * 4]]
    for task, words in TASKS.items():
        for library in LIBRARIES:
            for row in rows:
                if (row["task"], row["library"]) == (task, library):
                    lines = str(count_lines(path_of(task, library)))
                    means = [f"{mean(row, name):.0f}" for name in ("seconds", "cpu_seconds")]
                    table.append([words, library, lines, *means, accuracies(row)])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in table)


def mean(row: dict[str, Any], name: str) -> float:
    """Over the runs of a row."""
    return statistics.mean(run[name] for run in row["runs"])


def accuracies(row: dict[str, Any]) -> str:
    """The mean and the deviation over the runs of a row."""
    values = [100 * run["accuracy"] for run in row["runs"]]
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    seeds = "1 seed" if len(values) == 1 else f"{len(values)} seeds"
    return f"{statistics.mean(values):.2f}{spread} % ({seeds})"


if __name__ == "__main__":
    tyro.cli(main)
