"""What a training computes, as text that two of them can be compared by."""

import jax
import numpy as np


def computed(training):
    """Its batches, and the programs of its loss and of its optimiser: all but the numbers."""
    key = jax.random.key(0)
    batches = [training.train[i] for i in range(len(training.train))]
    params = jax.eval_shape(training.init_params, key)
    loss = jax.make_jaxpr(training.loss_fn)(params, batches[0], key)

    def update(weight):
        return training.optimizer.update(weight, training.optimizer.init(weight), weight)

    steps = jax.make_jaxpr(update)(1.0)
    return str(loss), str(steps), [jax.tree.map(np.ndarray.tolist, batch) for batch in batches]
