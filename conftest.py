"""Settings of JAX for every test, and the names that the doctests use without importing."""

import mmap
import os
import pathlib

import jax
import jax.numpy as jnp
import jaxlib
import pytest

import birnn_jax

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)

# Nearly everything is compiled to be run once, on tiny arrays. XLA's older code generator takes
# half of the time; `python -m birnn_jax.selfcheck` is compiled as for users.
jax.config.update("jax_disable_most_optimizations", True)
QUICK = {"--xla_cpu_use_fusion_emitters": "false", "--xla_cpu_parallel_codegen_split_count": "1"}


def _compile_quickly():
    """Sets the flags that this XLA knows: at any other it would end the process."""
    given = os.environ.get("XLA_FLAGS", "")
    wanted = [flag for flag in QUICK if flag not in given]  # workers inherit them
    known = []
    for library in pathlib.Path(jaxlib.__file__).parent.glob("libjax_common.*"):
        with (
            library.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as xla,
        ):
            known += [flag for flag in wanted if xla.find(flag.removeprefix("--").encode()) >= 0]
    os.environ["XLA_FLAGS"] = " ".join(
        [given, *(f"{flag}={QUICK[flag]}" for flag in known)]
    ).strip()


_compile_quickly()


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    doctest_namespace |= vars(birnn_jax) | {"jax": jax, "jnp": jnp}


@pytest.fixture
def key():
    return jax.random.key(0)
