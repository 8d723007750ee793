"""Strict JAX settings for every test, and the names that the doctests use without importing."""

import jax
import jax.numpy as jnp
import pytest

import birnn_jax

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    doctest_namespace |= vars(birnn_jax) | {"jax": jax, "jnp": jnp}


@pytest.fixture
def key():
    return jax.random.key(0)
