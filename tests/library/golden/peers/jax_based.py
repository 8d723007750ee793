"""What the peers written in JAX share: gradients, and running rows of different lengths."""

import jax
import jax.numpy as jnp
import numpy as np


def compiled(run):
    """`run`, compiled anew for each call: lengths are not traced."""

    def call(weights, xs, lengths, initial):
        return jax.jit(lambda *arrays: run(arrays[0], arrays[1], lengths, arrays[2]))(
            weights, xs, initial
        )

    return call


def differentiate(run, weights, xs, lengths, initial, cotangents):
    @jax.jit
    def grads(*arrays):
        def of_arrays(weights, xs, initial):
            return run(weights, xs, lengths, initial)

        return jax.vjp(of_arrays, *arrays)[1](jax.tree.map(jnp.asarray, cotangents))

    arrays = jax.tree.map(jnp.asarray, (weights, xs, initial))
    grads_weights, grads_xs, grads_initial = grads(*arrays)
    return (
        {"xs": np.asarray(grads_xs)}
        | {f"weights.{key}": np.asarray(one) for key, one in grads_weights.items()}
        | {f"initial.{key}": np.asarray(one) for key, one in grads_initial.items()}
    )


def run_rows(scan, xs, lengths, initial):
    """Runs every row by itself, cut to its length, for frameworks that know no lengths.

    `scan(direction, xs, states)` takes one direction, `xs` of `[1, n, D]` and its states by the
    names "h" and "c", and gives the outputs in the order of the input, and the states.
    """
    outputs = []
    for row, length in enumerate(lengths):
        halves, final = [], {}
        for direction in ["fwd", "bwd"]:
            names = [key.rpartition(".")[2] for key in initial if key.startswith(direction)]
            states = {name: initial[f"{direction}.{name}"][row : row + 1] for name in names}
            ys, states = scan(direction, xs[row : row + 1, :length], states)
            halves.append(ys)
            final |= {f"final.{direction}.{name}": one for name, one in states.items()}
        ys = jnp.concatenate(halves, axis=-1)
        padding = [(0, 0), (0, xs.shape[1] - length), (0, 0)]
        outputs.append({"ys": jnp.pad(ys, padding)} | final)
    return jax.tree.map(lambda *rows: jnp.concatenate(rows), *outputs)


def nest(weights, separator="."):
    """Flat names as nested dicts."""
    tree = {}
    for key, value in weights.items():
        *path, last = key.split(separator)
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return tree
