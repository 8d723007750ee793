"""States to save and restore, and what the tests of checkpoints ask of a folder."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import init_train_state, make_optimizer


class Params(NamedTuple):
    w: jax.Array
    mixed: dict[str, jax.Array]


def make_state(step, *, size=7, optimizer=None):
    """Random arrays that only this step has, the same in every process."""
    rng = np.random.default_rng(step)
    params = Params(
        w=jnp.asarray(rng.normal(size=[2, size]), jnp.float32),
        mixed={"half": jnp.asarray(rng.normal(size=[5]), jnp.bfloat16)},
    )
    state = init_train_state(params, optimizer or make_optimizer(1e-3, clip_norm=1.0))
    return state._replace(step=jnp.array(step, jnp.int32))


def bits(tree):
    return [(leaf.dtype, leaf.shape, np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(tree)]


def assert_same_bits(got, want):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    assert bits(got) == bits(want)


def contents(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def run_child(code, *arguments):
    """Runs code in a process of its own, with `arguments` in its `sys.argv`."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
