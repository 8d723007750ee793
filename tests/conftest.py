"""Fixtures shared by the tests."""

import jax
import pytest

# What type checkers read and nothing runs, and helpers: they have no doctests.
collect_ignore_glob = ["library/typing_*.py", "*/_[a-z]*.py"]


def _eager(function, **_):
    return function


@pytest.fixture(params=[jax.jit, _eager], ids=["jit", "eager"])
def jit_or_eager(request):
    """`jax.jit`, and a stand-in that takes the same arguments and does nothing."""
    return request.param


@pytest.fixture
def x64():
    """Float64 in the test and nowhere else."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def strict_dtypes():
    """No silent promotion between dtypes."""
    with jax.numpy_dtype_promotion("strict"):
        yield
