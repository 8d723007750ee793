"""What a training of an experiment computes, for tests of options that take no compilation."""

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
    """The text of the first parameters and of the loss, for shapes of the first batch."""
    key = jax.random.key(0)
    params = jax.eval_shape(training.init_params, key)
    programs = [
        jax.make_jaxpr(training.init_params)(key),
        jax.make_jaxpr(training.loss_fn)(params, training.train[0], key),
    ]
    return re.sub("0x[0-9a-f]+", "", str(programs))


def as_words(options):
    """Options as a command line has them."""
    pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in options.items()]
    return [word for pair in pairs for word in pair]
