"""A training of moments on any number of devices and processes, which kills itself if asked to.

python -m tests.experiments._cluster --run FOLDER --devices 2 --coordinator localhost:1234 ...
"""

import os
import pathlib
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from birnn_jax import Total, make_optimizer
from experiments.runner.data.batches import Batches
from experiments.runner.devices.machines import OnMachines
from experiments.runner.run import loop
from experiments.runner.run.command_line import run_command
from experiments.runner.run.folder import RunFolder


def loss_fn(params, batch, key, carry):
    """Rows of several lengths, noise that belongs to the row, and a carry of the row."""
    xs, valid = batch["xs"], jnp.arange(4)[None] < batch["lengths"][:, None]
    if key is not None:
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, batch["rows"])
        xs = xs + 0.1 * jax.vmap(lambda key: jax.random.normal(key, [4, 3]))(keys)
    errors = jnp.square(jnp.tanh(xs @ params["w"] + carry[:, None]) - batch["labels"])
    carry = 0.5 * carry + jax.lax.stop_gradient(xs.mean(axis=(1, 2)))
    return {"loss": Total(jnp.where(valid, errors, 0).sum(), valid.sum(dtype="float32"))}, carry


def make_training(seed=0, epochs=4):
    rng = np.random.default_rng(0)
    examples = [
        {
            "xs": rng.normal(size=[n, 3]).astype("f"),
            "labels": rng.normal(size=[n]).astype("f"),
        }
        for n in [1, 2, 3, 4] * 6
    ]
    held_out = Batches(examples, buckets=(4,), tokens_per_batch=32)
    return loop.Training(
        loss_fn=loss_fn,
        optimizer=make_optimizer(0.1, clip_norm=1.0),
        init_params=lambda key: {"w": jax.random.normal(key, [3])},
        train=Batches(examples, buckets=(4,), tokens_per_batch=32, epochs=epochs, seed=seed),
        dev=[jax.tree.map(lambda leaf: leaf[None], held_out[i]) for i in range(len(held_out))],
        steps_per_evaluation=3,
        patience=10**6,
        seed=seed,
        score=lambda means: -means["loss"],
        initial_carry=jnp.zeros([8]),
    )


def live_slowly(pause, die_after, number):
    """Pauses after every step, in seconds; sends this process a signal after one of them."""
    record = loop._Loop._record

    def record_and_die(self, at, totals):
        record(self, at, totals)
        time.sleep(pause)
        if at == die_after:
            os.kill(os.getpid(), number)

    loop._Loop._record = record_and_die


class Train(OnMachines):
    """Trains."""

    run_folder: pathlib.Path
    seed: int = 0
    epochs: int = 4
    die_after: int | None = None  # step, in this process
    signal: int = signal.SIGKILL
    pause: float = 0.0

    def run(self) -> None:
        folder = RunFolder.start(
            self.run_folder, experiment="cluster", settings={"seed": self.seed}, data={}
        )
        live_slowly(self.pause, self.die_after, self.signal)
        loop.fit(folder, make_training(self.seed, self.epochs), Console(quiet=True))


if __name__ == "__main__":
    jax.config.update("jax_disable_most_optimizations", True)
    run_command("cluster", Train, __doc__ or "")
