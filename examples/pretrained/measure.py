"""Runs each network here and in its own runtime, and writes the table of the README.

    python examples/pretrained/measure.py
    python examples/pretrained/measure.py read_captcha tag_chinese

Every network has a process of its own on one core of the CPU, and both runtimes have one thread.
They take turns, and the shortest turn of each counts.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np

sys.path.append(str(Path(__file__).parents[1]))
from compare import count_lines

HERE = Path(__file__).parent
RESULTS, README = HERE / "results.json", HERE / "README.md"
BEGIN, END = "<!-- table:begin -->\n", "<!-- table:end -->"
NETWORKS = {
    "pronounce": ("g2p-en", "GRU encoder, GRU decoder", "npz", "NumPy", "100 words"),
    "compare_voices": ("Resemblyzer", "3 LSTMs", "pt", "PyTorch", "8 pieces of 1.6 s"),
    "read_captcha": ("ddddocr", "bidirectional LSTM", "ONNX", "ONNX Runtime", "1 picture"),
    "detect_speech": ("silero-vad", "LSTM with state", "ONNX", "ONNX Runtime", "16 s of sound"),
    "tag_japanese": ("nagisa", "3 bidirectional LSTMs", "DyNet", "C", "4 sentences, one by one"),
    "tag_chinese": ("jieba", "4 GRUs and a CRF", "Paddle", "PaddlePaddle", "4 sentences"),
}


def main(*names):
    """Measures networks, and writes them to `results.json` and `README.md`."""
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in names or NETWORKS:
        command = ["taskset", "--cpu-list", "0", sys.executable, __file__, "--measure", name]
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}
        found = subprocess.run(command, env=os.environ | threads, stdout=-1, text=True, check=True)
        rows[name] = json.loads(found.stdout.splitlines()[-1])
        print(name, rows[name], flush=True)
    RESULTS.write_text(
        json.dumps({name: rows[name] for name in NETWORKS if name in rows}, indent=1)
    )
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    text = before + BEGIN + make_table(rows) + END + rest.partition(END)[2]
    README.write_text(text, encoding="utf-8")


def measure(name, turns=30):
    """Both runtimes on the same inputs: the largest difference, and milliseconds."""
    import runtimes

    pair = getattr(runtimes, name)()
    difference = largest_difference(*pair)
    samples = [[], []]
    for _ in range(turns):
        for run, found in zip(pair, samples):
            begin = time.perf_counter()
            jax.block_until_ready(run())
            found.append(1000 * (time.perf_counter() - begin))
    ours, theirs = map(min, samples)
    return {"difference": difference, "ours": ours, "theirs": theirs, "jax": jax.__version__}


def largest_difference(ours, theirs):
    """Between two lists of arrays, in parts of the largest number of each, or of 1."""
    pairs = zip(ours(), map(np.asarray, theirs()), strict=True)
    return max(float(np.abs(a - b).max() / max(1, np.abs(b).max())) for a, b in pairs)


def make_table(rows):
    """All rows, as Markdown."""
    heads = ["example", "package", "layers", "weights", "lines", "difference", "input"]
    table = [[*heads, "birnn_jax, ms", "own runtime, ms"], ["---"] * 4 + ["---:"] * 2 + ["---"]]
    table[1] += ["---:", "---:"]
    for name, (package, layers, weights, runtime, inputs) in NETWORKS.items():
        if row := rows.get(name):
            lines = str(count_lines(HERE / f"{name}.py"))
            cells = [f"[{name}]({name}.py)", package, layers, weights, lines]
            cells += [f"{row['difference']:.0e}", inputs, f"{row['ours']:.1f}"]
            table.append([*cells, f"{row['theirs']:.1f} ({runtime})"])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2])))
    else:
        main(*sys.argv[1:])
