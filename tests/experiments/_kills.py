"""A training killed at random moments ends with every bit of the unbroken one.

python -m tests.experiments._kills                  fifty kills, from a seed that it prints
python -m tests.experiments._kills --kills 3 --seed 7
"""

import argparse
import pathlib
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time

import jax

from birnn_jax.checkpoint import Checkpoints
from experiments.runner.run import loop
from tests import _checkpoint_states as states
from tests.experiments import _cluster

EPOCHS, PAUSE = 480, 0.04  # 1440 steps, a checkpoint after every third


def start(run):
    options = {"run-folder": run, "epochs": EPOCHS, "pause": PAUSE}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return subprocess.Popen([sys.executable, "-m", "tests.experiments._cluster", *words])


def outcome(run):
    """The metrics, and the bits of the newest and of the best state."""
    like = loop.initial_state(_cluster.make_training())
    with Checkpoints(run / "checkpoints") as checkpoints:
        found = checkpoints.restore_latest(like), checkpoints.restore_best(like)
    return (run / "metrics.jsonl").read_bytes(), [
        (states.bits(one.state), one.position) for one in found
    ]


def newest(run):
    folder = run / "checkpoints"
    return max((int(p.name) for p in folder.glob("[0-9]*") if p.name.isdecimal()), default=0)


def main():
    parser = argparse.ArgumentParser(description="Kills at random moments.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    options = parser.parse_args()
    print(f"{options.kills} kills from --seed {options.seed}", flush=True)
    jax.config.update("jax_disable_most_optimizations", True)
    rng = random.Random(options.seed)
    folder = pathlib.Path(tempfile.mkdtemp())
    began = time.monotonic()
    child = start(folder / "unbroken")
    while not newest(folder / "unbroken") and child.poll() is None:
        time.sleep(0.05)
    until_first = time.monotonic() - began
    assert child.wait() == 0
    killed = 0
    while killed < options.kills:
        child = start(folder / "killed")
        try:
            # Two in three come before the first save of the new process, one after it.
            status = child.wait(timeout=rng.uniform(0, 1.5 * until_first))
        except subprocess.TimeoutExpired:
            child.kill()
            status = child.wait()
        if status != -signal.SIGKILL:
            assert status == 0, f"It ended by itself with {status}."
            print("It came to its end: the rest of the kills hit the reading of a finished run.")
        killed += 1
        print(f"kill {killed}, newest checkpoint {newest(folder / 'killed')}", flush=True)
    assert start(folder / "killed").wait() == 0
    assert outcome(folder / "killed") == outcome(folder / "unbroken")
    print(f"The same bits after {killed} kills and {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
