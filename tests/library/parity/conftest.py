"""The peers, in float64 and with the settings that they need."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax
import pytest

jax.config.update("jax_enable_x64", True)
# The frameworks rely on both.
jax.config.update("jax_numpy_rank_promotion", "allow")
jax.config.update("jax_debug_key_reuse", False)


@pytest.fixture
def rng(request):
    """Random numbers of the test's own."""
    import zlib

    import numpy as np

    return np.random.default_rng(zlib.crc32(request.node.name.encode()))
