"""Layers by the kernels for TPUs in interpret mode, with race detection, beside the definition.

    python -m tests.library._races --minutes 10

tries random sizes, lengths and blocks, and ends with the first layer that differs or has a race.
"""

import argparse
import contextlib
import functools
import io
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.pallas import tpu as pltpu

from birnn_jax import ELMAN, GRU, LSTM, Segments, init_bidirectional
from birnn_jax._core.direction import Direction, Starts
from birnn_jax._core.masks import segment_starts
from birnn_jax.cells import SLSTM
from birnn_jax.kernels.moving import join, parts_of, replace_parts, split_directions
from birnn_jax.kernels.operation import Operands
from birnn_jax.kernels.reference import loop as reference
from birnn_jax.kernels.tpu import layer, time_loop
from tests.library._cases import as_reachable, assert_close


class Sizes(NamedTuple):
    """B, T, D, H."""

    rows: int
    steps: int
    features: int
    hidden: int


def random_like(rng: np.random.Generator, tree: Any) -> Any:
    """Normal numbers of the shapes of a tree."""
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), tree)


def make_directions(
    rng: np.random.Generator, cell: Any, sizes: Sizes, *, lengths: Any = None, ids: Any = None
) -> tuple[Direction, ...]:
    """Two directions of a layer, with `[B]` lengths, or `[B, T]` numbers of segments."""
    init = functools.partial(
        init_bidirectional, cell, input_size=sizes.features, hidden_size=sizes.hidden
    )
    params = random_like(rng, jax.eval_shape(init, jax.random.key(0)))
    params = jax.tree.map(lambda leaf: leaf / 2, params)
    carry = cell.init_carry(params.fwd)
    carry = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (sizes.rows, sizes.hidden)), carry)
    valid = starts = None
    if lengths is not None:
        valid = jnp.asarray(np.arange(sizes.steps) < np.array(lengths)[:, None])
    directions = []
    for own, reverse in zip(params, (False, True), strict=True):
        xs = random_like(rng, jnp.zeros(sizes[:3]))
        if ids is not None:
            valid, at = ids != 0, segment_starts(Segments(ids), xs, reverse=reverse)
            assert at is not None
            starts = Starts(at, as_reachable(random_like(rng, carry)))
        first = as_reachable(random_like(rng, carry))
        directions.append(Direction(cell, reverse, own, first, xs, valid, starts))
    return tuple(directions)


@contextlib.contextmanager
def race_detector(cores: int) -> Iterator[io.StringIO]:
    """Yields what the detector says; JAX 0.12 raises what JAX 0.10 prints."""
    said = io.StringIO()
    interpreted = pltpu.InterpretParams(detect_races=True, num_cores_or_threads=cores)
    with pltpu.force_tpu_interpret_mode(interpreted), contextlib.redirect_stdout(said):
        try:
            yield said
        except jax.errors.JaxRuntimeError as error:
            if "RACE DETECTED" not in str(error):
                raise
            said.write(str(error))


def compare_with_definition(
    rng: np.random.Generator, directions: tuple[Direction, ...], keep_gates: bool, cores: int = 1
) -> str:
    """Checks values and gradients; returns what the race detector says, which is nothing."""

    def define(parts: Any) -> Any:
        outputs = reference.run(replace_parts(directions, parts), True)
        return outputs.carries, outputs.join()

    parts = list(map(parts_of, directions))
    want, vjp = jax.vjp(jax.jit(define), parts)
    cts = random_like(rng, want)
    shared, rows, *_ = split_directions(directions)
    wanted = tuple(jax.tree.map(lambda leaf: True, parts))
    with race_detector(cores) as said:
        forward = jax.jit(lambda operands: layer.launch_forward(keep_gates, operands))
        got, stored = jax.block_until_ready(forward(Operands(shared, rows))).rows
        backward = jax.jit(lambda operands: layer.launch_backward(wanted, operands))
        operands = Operands(shared, (rows, got[1], stored), d_rows=cts)
        grads = jax.block_until_ready(backward(operands))
    if said.getvalue():
        return said.getvalue()
    assert_close(got, want)
    assert_close(join(grads.shared, grads.rows), vjp(cts)[0])
    return ""


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    rng, end = np.random.default_rng(options.seed), time.monotonic() + 60 * options.minutes
    count = 0
    while time.monotonic() < end:
        cell = [ELMAN, GRU, LSTM, SLSTM][rng.integers(4)]
        sizes = Sizes(*(int(rng.integers(1, most)) for most in (5, 8, 9, 12)))
        ids = np.sort(rng.integers(0, 4, sizes[:2]), axis=1) if rng.random() < 0.5 else None
        lengths = rng.integers(0, sizes.steps + 1, sizes.rows) if ids is None else None
        time_loop.MAX_STEPS = int(rng.integers(1, 9))
        layer_of = f"seed {options.seed}, number {count}: {cell.init.__name__} {sizes}"
        directions = make_directions(rng, cell, sizes, lengths=lengths, ids=ids)
        said = compare_with_definition(rng, directions, rng.random() < 0.5)
        if said:
            raise SystemExit(f"{layer_of}: {said}")
        count += 1
        jax.clear_caches()
    print(f"{count} layers, no race and no difference, from --seed {options.seed}.")


if __name__ == "__main__":
    main()
