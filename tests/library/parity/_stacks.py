"""Random stacks and ragged batches, the same for every peer."""

import jax
import jax.numpy as jnp
import numpy as np

import birnn_jax

B, T, D, H = 4, 7, 3, 5
LENGTHS = np.array([7, 2, 5, 1])  # none is 0: most peers refuse it or get it wrong
TOLERANCE = {"rtol": 1e-9, "atol": 1e-10}  # float64; sums in another order
TOLERANCE_FLOAT32 = {"rtol": 1e-4, "atol": 2e-6}
EXACT = {"rtol": 0, "atol": 0}


def randomised(tree, rng, dtype=jnp.float64):
    """The tree with other values: random, biases too."""
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) / 2, dtype), tree)


def random_params(layers, rng, *, hidden_size=H, dtype=jnp.float64):
    params = birnn_jax.init_stack(layers, jax.random.key(0), input_size=D, hidden_size=hidden_size)
    return randomised(params, rng, dtype)


def random_batch(layers, params, rng):
    """`xs`, and initial states for `LENGTHS`."""
    xs = jnp.asarray(rng.normal(size=(B, T, D)))
    carries, _ = jax.eval_shape(lambda p, xs: birnn_jax.stack(layers, p, xs), params, xs)
    return xs, randomised(carries, rng)


def run(layers, params, xs, initial, lengths=LENGTHS):
    return birnn_jax.stack(layers, params, xs, lengths, initial_carry=initial)


def assert_close(got, want, tolerance=TOLERANCE):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for path, leaf in jax.tree.leaves_with_path(want):
        other = dict(jax.tree.leaves_with_path(got))[path]
        np.testing.assert_allclose(other, leaf, err_msg=jax.tree_util.keystr(path), **tolerance)
