"""What a training of an experiment computes, for tests of options that compile nothing."""

import re

import jax
import numpy as np


def batches_of(training):
    """All that is trained on and measured, and how often, as values that compare."""
    arrays = [
        [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(source[i])]
        for source in (training.train, training.dev)
        for i in range(len(source))
    ]
    return arrays, training.steps_per_evaluation, training.patience, training.seed


def program_of(training):
    """The text of the first parameters, the loss and the optimiser, for shapes of a batch."""
    key = jax.random.key(0)
    params = jax.eval_shape(training.init_params, key)

    carried = () if training.initial_carry is None else (training.initial_carry,)

    def update(weight):
        return training.optimizer.update(weight, training.optimizer.init(weight), weight)

    programs = [
        jax.make_jaxpr(training.init_params)(key),
        jax.make_jaxpr(training.loss_fn)(params, training.train[0], key, *carried),
        jax.make_jaxpr(update)(1.0),
    ]
    return re.sub("0x[0-9a-f]+", "", str(programs))


def computed(training):
    """Both."""
    return batches_of(training), program_of(training)
