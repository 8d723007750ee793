"""A loop over time as one launch of Pallas: what a step reads streams by, its state stays in VMEM.

The grid is (directions, blocks of time). While a block is computed the next one is fetched, and
the one before is written back: Pallas does that by the index maps. The state is an output whose
block does not change with time, so that it stays where it is until the direction is done. Where
blocks do not divide the steps, arrays are longer, and the last block ends before its last step.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

# Of a v5e, which has 128 MiB; half of it is left to XLA and to newer chips that have less.
VMEM_BYTES = 64 * 2**20
MAX_STEPS = 16


class DoesNotFitError(ValueError):
    """A layer needs more VMEM than there is; to be read after the name of the backend."""


class Streams(NamedTuple):
    """Arrays `[K, T, B, .]` of K directions, or their shapes, and where each begins."""

    arrays: Any
    from_the_end: tuple[bool, ...]  # of each direction: from the last step to the first


def run_steps(
    step: Callable[[Any, Any, tuple[Any, ...]], tuple[Any, tuple[Any, ...]]],
    weights: Any,
    state: Any,
    inputs: tuple[Streams, ...],
    outputs: tuple[Streams, ...],
) -> tuple[Any, tuple[Any, ...]]:
    """`step(weights, state, inputs) -> (state, outputs)`, over all steps of K directions.

    Args:
      step: of one direction, written for leaves `[B, .]`; `weights` without the axis of directions.
      weights: leaves `[K, ...]`.
      state: leaves `[K, B, .]`, before the first step.
      inputs: arrays.
      outputs: shapes.

    Returns:
      The state after the last step, and the outputs.
    """
    arrays = tuple(stream.arrays for stream in inputs)
    shapes = tuple(stream.arrays for stream in outputs)
    num_directions, num_steps, *_ = jax.tree.leaves(arrays)[0].shape
    size = block_steps(weights, state, inputs, outputs)
    blocks = -(-num_steps // size)
    pad = blocks * size - num_steps
    if pad:
        arrays = tuple(_pad(stream, pad) for stream in inputs)
        shapes = jax.tree.map(lambda leaf: _with_steps(leaf, num_steps + pad), shapes)
    streams = functools.partial(_streams, blocks, size)
    trees = [jax.tree.structure(tree) for tree in (weights, state, arrays, state, shapes)]
    counts = [tree.num_leaves for tree in trees]

    def kernel(*refs: Any) -> None:
        places = [0, *itertools.accumulate(counts)]
        w_refs, first_refs, x_refs, state_refs, y_refs = (
            tree.unflatten(refs[a:b])
            for tree, (a, b) in zip(trees, itertools.pairwise(places), strict=True)
        )
        direction = pl.program_id(0)

        @pl.when(pl.program_id(1) == 0)
        def _():
            _write(state_refs, jax.tree.map(lambda ref: ref[0], first_refs), 0)

        w = jax.tree.map(lambda ref, leaf: ref[0] if leaf.ndim > 2 else ref[0, 0], w_refs, weights)

        @pl.loop(0, jnp.minimum(size, num_steps - size * pl.program_id(1)) if pad else size)
        def _(index):
            places = [_place(s.from_the_end, direction, index, size) for s in (*inputs, *outputs)]
            before, after = places[: len(inputs)], places[len(inputs) :]
            xs = tuple(
                jax.tree.map(lambda ref, at=at: ref[0, at], refs)
                for refs, at in zip(x_refs, before, strict=True)
            )
            new, ys = step(w, jax.tree.map(lambda ref: ref[0], state_refs), xs)
            _write(state_refs, new, 0)
            for refs, y, at in zip(y_refs, ys, after, strict=True):
                _write(refs, y, (0, at))

    results = pl.pallas_call(
        kernel,
        grid=(num_directions, blocks),
        in_specs=[*_whole(_as_matrices(weights)), *_whole(state), *streams(inputs)],
        out_specs=[*_whole(state), *streams(outputs)],
        out_shape=jax.tree.leaves((_shapes_of(state), _shapes_of(shapes))),
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "arbitrary"), vmem_limit_bytes=VMEM_BYTES
        ),
    )(*jax.tree.leaves((_as_matrices(weights), state, arrays)))
    ys = trees[4].unflatten(results[counts[3] :])
    if pad:
        pairs = zip(outputs, ys, strict=True)
        ys = tuple(_cut(Streams(y, s.from_the_end), num_steps) for s, y in pairs)
    return trees[3].unflatten(results[: counts[3]]), ys


def _pad(stream: Streams, pad: int) -> Any:
    """The arrays with so many steps after the last one of each direction."""

    def longer(leaf: jax.Array) -> jax.Array:
        ends = [(pad, 0) if end else (0, pad) for end in stream.from_the_end]
        pairs = zip(leaf, ends, strict=True)
        return jnp.stack([jnp.pad(part, [end, (0, 0), (0, 0)]) for part, end in pairs])

    return jax.tree.map(longer, stream.arrays)


def _cut(stream: Streams, num_steps: int) -> Any:
    """The inverse of `_pad`."""

    def shorter(leaf: jax.Array) -> jax.Array:
        pairs = zip(leaf, stream.from_the_end, strict=True)
        return jnp.stack([part[-num_steps:] if end else part[:num_steps] for part, end in pairs])

    return jax.tree.map(shorter, stream.arrays)


def _with_steps(leaf: jax.ShapeDtypeStruct, num_steps: int) -> jax.ShapeDtypeStruct:
    num_directions, _, *rest = leaf.shape
    return jax.ShapeDtypeStruct((num_directions, num_steps, *rest), leaf.dtype)


def block_steps(
    weights: Any, state: Any, inputs: tuple[Streams, ...], outputs: tuple[Streams, ...]
) -> int:
    """Steps per block: the largest divisor of T that fits, if it is at least half of what fits.

    Otherwise blocks have equal sizes but for the last one, which is shorter.
    """
    num_steps = jax.tree.leaves(inputs[0].arrays)[0].shape[1]
    room = VMEM_BYTES - needed_bytes(weights, state, inputs, outputs, 0)
    of_a_step = needed_bytes((), (), inputs, outputs, 1)
    most = min(room // of_a_step, MAX_STEPS, num_steps)
    if most < 1:
        needed = needed_bytes(weights, state, inputs, outputs, 1)
        raise DoesNotFitError(
            f"needs {needed:,} bytes of VMEM for one step of a layer; the limit is {VMEM_BYTES:,}."
        )
    divisor = next(n for n in range(most, 0, -1) if num_steps % n == 0)
    if 2 * divisor >= most:
        return divisor
    blocks = -(-num_steps // most)
    return -(-num_steps // blocks)


def needed_bytes(
    weights: Any, state: Any, inputs: tuple[Streams, ...], outputs: tuple[Streams, ...], size: int
) -> int:
    """VMEM for blocks of so many steps: everything is there twice, for what comes next."""
    held = sum(map(_padded_bytes, jax.tree.leaves((weights, state, state))))
    streamed = sum(
        _padded_bytes(leaf) for s in (*inputs, *outputs) for leaf in jax.tree.leaves(s.arrays)
    )
    return 2 * (held + size * streamed)


def _padded_bytes(leaf: Any) -> int:
    """Of the last two axes of a leaf, in tiles of 8 rows of 128."""
    rows, columns = (leaf.shape if leaf.ndim > 1 else (1, *leaf.shape))[-2:]
    return -(-rows // 8) * 8 * -(-columns // 128) * 128 * leaf.dtype.itemsize


def _as_matrices(weights: Any) -> Any:
    """Vectors as matrices of one row: a block is of the last two axes."""
    return jax.tree.map(lambda leaf: leaf if leaf.ndim > 2 else leaf[:, None], weights)


def _whole(tree: Any) -> list[pl.BlockSpec]:
    """Blocks of all of a direction, the same at every time."""

    def spec(leaf: Any) -> pl.BlockSpec:
        zeros = (0,) * (leaf.ndim - 1)
        return pl.BlockSpec((1, *leaf.shape[1:]), lambda direction, block: (direction, *zeros))

    return list(map(spec, jax.tree.leaves(tree)))


def _streams(blocks: int, size: int, streams: tuple[Streams, ...]) -> list[pl.BlockSpec]:
    """Blocks of time, from either end."""

    def spec(stream: Streams, leaf: Any) -> pl.BlockSpec:
        def index(direction: Any, block: Any) -> tuple[Any, ...]:
            return direction, _place(stream.from_the_end, direction, block, blocks), 0, 0

        return pl.BlockSpec((1, size, *leaf.shape[2:]), index)

    return [spec(stream, leaf) for stream in streams for leaf in jax.tree.leaves(stream.arrays)]


def _place(from_the_end: tuple[bool, ...], direction: Any, index: Any, count: int) -> Any:
    """The place of what comes as number `index` of `count`."""
    turned = count - 1 - index
    if all(from_the_end):
        return turned
    if not any(from_the_end):
        return index
    return jnp.where(direction == from_the_end.index(True), turned, index)


def _write(refs: Any, tree: Any, at: Any) -> None:
    for ref, leaf in zip(jax.tree.leaves(refs), jax.tree.leaves(tree), strict=True):
        ref[at] = leaf.astype(ref.dtype)


def _shapes_of(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)
