"""Settings of JAX for every test, and the names that the doctests use without importing."""

import os
import subprocess
import sys
import threading

# Before NumPy is imported: threads that wait for each other over tiny matrices take half of the
# processor time of the tests, and more where several processes of tests share the processors.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import jax
import jax.numpy as jnp
import pytest
from jax._src.interpreters import mlir

import birnn_jax

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)

# Commands of the tests leave the user's cache folder alone, those in processes of their own too.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
jax.config.update("jax_enable_compilation_cache", False)

# Nearly everything is compiled to be run once, on tiny arrays. XLA's older code generator takes
# half of the time; `python -m birnn_jax.selfcheck` is compiled as for users.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"  # of processes that tests start, too
jax.config.update("jax_disable_most_optimizations", True)
QUICK = ("--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1")


def _set_flags(*flags):
    """Whether this XLA knows them all: any other ends the process, so another one tries."""
    given = f"{os.environ.get('XLA_FLAGS', '')} {' '.join(flags)}".strip()
    env = os.environ | {"XLA_FLAGS": given, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", "import jax; jax.devices()"]
    is_known = subprocess.run(command, env=env, capture_output=True).returncode == 0
    if is_known:
        os.environ["XLA_FLAGS"] = given
    return is_known


def _compile_quickly():
    """Workers of xdist inherit the flags."""
    if "PYTEST_XDIST_WORKER" not in os.environ and not _set_flags(*QUICK):
        for flag in QUICK:
            _set_flags(flag)


_compile_quickly()


# Before 0.12 JAX made a context of MLIR for every program, with all that the dialects define: a
# megabyte, and half of the time of lowering a small one. Here all programs of a thread share one.
_contexts = threading.local()
_make_context = mlir.make_ir_context


def _shared_context():
    if not hasattr(_contexts, "shared"):
        _contexts.shared = _make_context()
    return _contexts.shared


if not hasattr(mlir, "_thread_local_context"):
    mlir.make_ir_context = _shared_context


class _Programs:
    """Counts what was compiled since JAX forgot its programs."""

    def __init__(self):
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self.listen)

    def listen(self, event, seconds, **_):
        self.count += event == "/jax/core/compile/backend_compile_duration"

    def forget(self):
        self.count = 0
        jax.clear_caches()
        vars(_contexts).clear()


_programs = _Programs()


@pytest.fixture(autouse=True)
def _forget_many_programs():
    """Tests share what they compiled, such as initialisers of one shape, until it fills memory."""
    yield
    if _programs.count > 1500:
        _programs.forget()


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    doctest_namespace |= {name: getattr(birnn_jax, name) for name in birnn_jax.__all__} | {
        "jax": jax,
        "jnp": jnp,
    }


@pytest.fixture
def key():
    return jax.random.key(0)
