"""An interrupted or killed training ends with the bits of an unbroken one."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest

from birnn_jax import make_optimizer
from birnn_jax.training import (
    Writer,
    average_of,
    with_average,
)
from tests.library._small_fit import loss_fn, run

# Interruptions.


class Stopping(Writer):
    """Raises at a step, or when all is to be made safe for the n-th time."""

    def __init__(self, at_step=None, at_sync=None):
        self.at_step, self.syncs = at_step, at_sync

    def write(self, step, split, metrics):
        if step == self.at_step:
            raise KeyboardInterrupt

    def sync(self):
        if self.syncs is not None:
            self.syncs -= 1
            if not self.syncs:
                raise KeyboardInterrupt


def noisy(directory, **options):
    optimizer = with_average(make_optimizer(0.1, clip_norm=1.0), 0.9)
    return run(
        loss_fn, optimizer=optimizer, evaluated_params=average_of, directory=directory, **options
    )


def assert_same(fitted, other):
    for one, two in zip(jax.tree.leaves(fitted), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(one, two)


def test_interrupted_training_ends_with_the_bits_of_an_unbroken_one(tmp_path):
    unbroken = noisy(tmp_path / "unbroken")
    for stop in ({"at_step": 2}, {"at_sync": 1}, {"at_step": 5}, {"at_sync": 2}, {"at_step": 8}):
        with pytest.raises(KeyboardInterrupt) as caught:
            noisy(tmp_path / "broken", writers=[Stopping(**stop)])
        (note,) = caught.value.__notes__
        assert note == f"The same call goes on from the last checkpoint in {tmp_path / 'broken'}."
    with pytest.raises(KeyboardInterrupt) as caught:
        noisy(None, writers=[Stopping(at_step=1)])
    assert caught.value.__notes__[0].startswith(
        "Nothing of this training was kept. Give fit a directory"
    )
    resumed = noisy(tmp_path / "broken")
    assert_same(resumed, unbroken)
    names = ("unbroken", "broken")
    texts = [(tmp_path / name / "metrics.jsonl").read_text() for name in names]
    assert texts[0] == texts[1]
    records = [json.loads(line) for line in texts[0].splitlines()]
    assert [(r["step"], r["split"]) for r in records] == [
        (step, split)
        for step in range(1, 9)
        for split in (["train"] if step % 2 else ["train", "dev"])
    ]
    assert_same(unbroken, noisy(None))  # a training that keeps nothing is the same, too
    other = noisy(None, key=jax.random.key(4))
    assert float(other.params["mean"]) != float(unbroken.params["mean"])


CHILD = """
    import os, signal, sys
    sys.path.insert(0, sys.argv[4])
    from tests.library.test_interruptions import Stopping, noisy, np
    place, where, number = sys.argv[1:4]

    class Killing(Stopping):
        def write(self, step, split, metrics):
            if where == "step" and step == int(number):
                os.kill(os.getpid(), signal.SIGKILL)

        def sync(self):
            self.syncs = (self.syncs or 0) + 1
            if where == "sync" and self.syncs == int(number):
                os.kill(os.getpid(), signal.SIGKILL)

    fitted = noisy(place, epochs=6, writers=[Killing()])
    print(np.asarray(fitted.params["mean"]).tobytes().hex())
"""


@pytest.mark.slow
def test_killed_training_ends_with_the_bits_of_an_unbroken_one(tmp_path):
    def train(name, where="", number=0):
        root = os.path.abspath(os.curdir)
        command = [sys.executable, "-c", textwrap.dedent(CHILD), tmp_path / name]
        command += [where, str(number), root]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    unbroken = train("unbroken")
    for moment in [("step", 3), ("sync", 2), ("step", 5), ("sync", 3), ("step", 12)]:
        assert train("killed", *moment).returncode == -signal.SIGKILL
    resumed = train("killed")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == unbroken.stdout
    texts = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("unbroken", "killed")]
    assert texts[0] == texts[1] and texts[0].count("\n") == 18
