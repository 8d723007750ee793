"""Keys for rows, and the mask that dropout has drawn."""

import jax
import numpy as np

from tests.library._cases import B


def keys_of_rows(seed=0, count=B):
    return jax.random.split(jax.random.key(seed), count)


def recover_mask(scaled, value):
    """What multiplied `value`."""
    return np.asarray(scaled) / np.asarray(value)
