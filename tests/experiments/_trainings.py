"""What a command would train, without training it."""

import jax
import numpy as np

from experiments.runner.run import loop
from experiments.runner.run.origin import named_leaves
from tests.experiments._commands import command


class Reached(Exception):
    """The training of a run would begin."""


def started_training(monkeypatch, module, *words):
    """The training of a command line."""

    def fit(folder, training, console):
        raise Reached(training)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "fit", fit)
        try:
            status = command(patch, module, *words)
        except Reached as reached:
            return reached.args[0]
    raise AssertionError(f"The command ended with status {status}.")


def grown_from(training, params):
    """The names of the parameters with which a training begins that are larger than `params`.

    What is not new in them is as it was, and the loss can be computed of them.
    """
    old, new = named_leaves(params), training.init_params(jax.random.key(1))
    grown = set()
    for name, leaf in named_leaves(new).items():
        corner = leaf[tuple(slice(0, size) for size in old[name].shape)]
        np.testing.assert_array_equal(corner, old[name])
        grown |= {name} if leaf.shape != old[name].shape else set()
    carry = () if training.initial_carry is None else (training.initial_carry,)
    batch = training.train[0]
    if training.steps_per_dispatch > 1:
        batch = jax.tree.map(lambda leaf: leaf[0], batch)
    jax.eval_shape(training.loss_fn, new, batch, jax.random.key(0), *carry)
    return grown
