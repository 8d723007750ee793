"""Parameters of Flax as training loops hold them."""

import flax.core
import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax.interop.linen import from_linen
from tests.library._golden import load, nest, part
from tests.library.test_interop_files import assert_equal

WEIGHTS = part(load("linen_gru"), "weights.")
BOXES = {
    "Partitioned": lambda value: nn.Partitioned(value, names=("a",) * value.ndim),
    "LogicallyPartitioned": lambda value: nn.LogicallyPartitioned(value, names=("a",) * value.ndim),
    "two boxes": lambda value: nn.Partitioned(nn.Partitioned(value, names=(None,)), names=(None,)),
}


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES.keys())
def test_boxes_with_the_names_of_axes_are_opened(box):
    boxed = {key: box(jnp.asarray(array)) for key, array in WEIGHTS.items()}
    plain = {key: np.asarray(jnp.asarray(array)) for key, array in WEIGHTS.items()}
    layers, params = from_linen([{"params": flax.core.freeze(nest(boxed))}])
    want_layers, want = from_linen([nest(plain)])
    assert layers == want_layers
    assert_equal(params, want)
