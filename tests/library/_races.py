"""Layers by the Pallas kernels in interpret mode, with race detection, beside the definition.

    python tests/library races --kernel gpu --minutes 10

tries random sizes, lengths and blocks, and ends with the first layer that differs or has a race.
"""

import argparse
import contextlib
import functools
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from jax._src.pallas.mosaic_gpu.interpret.gpu_callbacks import reset_gpu_interpret_mode_state
from jax._src.pallas.mosaic_gpu.interpret.params import (
    InterpretGPUParams,
    force_gpu_interpret_mode,
)
from jax.experimental.pallas import mosaic_gpu as plgpu
from jax.experimental.pallas import tpu as pltpu

from birnn_jax import ELMAN, GRU, LSTM, Segments, init_bidirectional
from birnn_jax._core.direction import Direction, Starts
from birnn_jax._core.masks import segment_starts
from birnn_jax.cells import SLSTM
from birnn_jax.kernels.gpu import layer as gpu_layer
from birnn_jax.kernels.gpu import memory, plan
from birnn_jax.kernels.launches import Launches
from birnn_jax.kernels.moving import join, parts_of, replace_parts, split_directions
from birnn_jax.kernels.operation import Operands
from birnn_jax.kernels.reference import loop as reference
from birnn_jax.kernels.tpu import layer as tpu_layer
from birnn_jax.kernels.tpu import time_loop
from tests.library._cases import as_reachable, assert_close

# Pallas of JAX 0.11 interprets barriers of clusters, too.
INTERPRETS_CLUSTERS = not memory.HAS_INDEX


class Sizes(NamedTuple):
    """B, T, D, H."""

    rows: int
    steps: int
    features: int
    hidden: int


def random_like(rng: np.random.Generator, tree: Any, scale: float = 1.0) -> Any:
    """Normal numbers of the shapes of a tree. Made by NumPy, for which nothing is compiled."""
    return jax.tree.map(
        lambda leaf: jnp.asarray(scale * rng.normal(size=leaf.shape), leaf.dtype), tree
    )


def make_directions(
    rng: np.random.Generator,
    cell: Any,
    sizes: Sizes,
    *,
    lengths: Any = None,
    ids: Any = None,
    dtype: str = "float32",
) -> tuple[Direction, ...]:
    """Two directions of a layer, with `[B]` lengths, or `[B, T]` numbers of segments."""
    init = functools.partial(
        init_bidirectional, cell, input_size=sizes.features, hidden_size=sizes.hidden
    )
    shapes = jax.eval_shape(init, jax.random.key(0))
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), shapes)
    params = random_like(rng, shapes, scale=0.5)
    carry = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((sizes.rows, sizes.hidden), leaf.dtype),
        jax.eval_shape(cell.init_carry, params.fwd),
    )
    valid = starts = None
    if lengths is not None:
        valid = jnp.asarray(np.arange(sizes.steps) < np.array(lengths)[:, None])
    directions = []
    for own, reverse in zip(params, (False, True), strict=True):
        xs = random_like(rng, jax.ShapeDtypeStruct(sizes[:3], dtype))
        if ids is not None:
            find = functools.partial(segment_starts, Segments(ids), reverse=reverse)
            valid, at = jnp.asarray(np.asarray(ids) != 0), jax.jit(find)(xs)
            starts = Starts(at, as_reachable(random_like(rng, carry)))
        first = as_reachable(random_like(rng, carry))
        directions.append(Direction(cell, reverse, own, first, xs, valid, starts))
    return tuple(directions)


def tpu_race_detector(cores: int = 1) -> AbstractContextManager[io.StringIO]:
    """Interpret mode for TPUs; yields what the detector says."""
    interpreted = pltpu.InterpretParams(detect_races=True, num_cores_or_threads=cores)
    return _listening(pltpu.force_tpu_interpret_mode(interpreted))


@contextlib.contextmanager
def gpu_race_detector() -> Iterator[io.StringIO]:
    """The same for GPUs, where the detector also sees what products read.

    JAX 0.10 interprets no `plgpu.load`, which differs from plain reading in layouts only.
    """
    multiply = plgpu.wgmma

    def read_and_multiply(acc: Any, a: Any, b: Any) -> None:
        _ = a[...], b[...]
        multiply(acc, a, b)

    # Fences are what interpret mode has no need of.
    options: dict[str, Any] = {"inline_mgpu": "ignore"} if INTERPRETS_CLUSTERS else {}
    interpreted = force_gpu_interpret_mode(InterpretGPUParams(detect_races=True, **options))
    with mock.patch.object(plgpu, "wgmma", read_and_multiply), contextlib.ExitStack() as stack:
        if not INTERPRETS_CLUSTERS:
            stack.enter_context(mock.patch.object(memory, "read", lambda ref: ref[...]))
        yield stack.enter_context(_listening(interpreted))


@contextlib.contextmanager
def _listening(interpreted: AbstractContextManager) -> Iterator[io.StringIO]:
    """JAX 0.12 raises what JAX 0.10 prints."""
    said = io.StringIO()
    with interpreted, contextlib.redirect_stdout(said):
        try:
            yield said
        except jax.errors.JaxRuntimeError as error:
            if "RACE DETECTED" not in str(error):
                raise
            reset_gpu_interpret_mode_state()
            said.write(str(error))


def compare_with_definition(
    rng: np.random.Generator,
    directions: tuple[Direction, ...],
    keep_gates: bool,
    launches: Launches = tpu_layer.LAUNCHES,
    detector: Callable[[], AbstractContextManager[io.StringIO]] = tpu_race_detector,
) -> str:
    """Checks values and gradients; returns what the race detector says, which is nothing.

    The definition is computed in float64.
    """
    parts = list(map(parts_of, directions))
    carries = [direction.carry for direction in directions]
    rows_of_ys = directions[0].xs.shape[:2]
    width = sum(carry.h.shape[-1] for carry in carries)
    dtype = directions[0].xs.dtype
    ys = jax.ShapeDtypeStruct((*rows_of_ys, width), dtype)
    cts = random_like(rng, (tuple(carries), ys), scale=0.25)
    want, d_want = _define(directions, parts, cts)
    shared, rows, *_ = split_directions(directions)
    wanted = tuple(jax.tree.map(lambda leaf: True, parts))

    @jax.jit
    def run(shared: Any, rows: Any, cts: Any) -> Any:
        got, stored = launches.forward(keep_gates, Operands(shared, rows)).rows
        operands = Operands(shared, (rows, got[1], stored), d_rows=cts)
        return got, launches.backward((False, wanted), operands)

    with detector() as said:
        got, grads = jax.block_until_ready(run(shared, rows, cts))
    if said.getvalue():
        return said.getvalue()
    assert_close(got, want, dtype.name)
    assert_close(join(grads.shared, grads.rows), d_want, dtype.name)
    return ""


def _define(directions: tuple[Direction, ...], parts: Any, cts: Any) -> tuple[Any, Any]:
    """Results and gradients in float64."""

    def define(parts: Any) -> Any:
        outputs = reference.run(replace_parts(wide, parts), True)
        return outputs.carries, outputs.join()

    def widen(leaf: jax.Array) -> np.ndarray:
        return np.asarray(leaf, np.float64 if jnp.issubdtype(leaf.dtype, jnp.floating) else None)

    with jax.enable_x64(True):
        wide, parts, cts = jax.tree.map(widen, (directions, parts, cts))

        @jax.jit
        def run(parts: Any, cts: Any) -> Any:
            results, vjp = jax.vjp(define, parts)
            return results, vjp(cts)[0]

        return run(parts, cts)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", choices=["tpu", "gpu"], default="tpu")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    os.environ["NPROC"] = "8"  # of threads, which wait for one another
    rng, end = np.random.default_rng(options.seed), time.monotonic() + 60 * options.minutes
    count = 0
    while time.monotonic() < end:
        cells = [ELMAN, GRU, LSTM, SLSTM] if options.kernel == "tpu" else [ELMAN, GRU, LSTM]
        cell = cells[rng.integers(len(cells))]
        sizes = Sizes(*(int(rng.integers(1, most)) for most in (5, 8, 9, 12)))
        ids = np.sort(rng.integers(0, 4, sizes[:2]), axis=1) if rng.random() < 0.5 else None
        lengths = rng.integers(0, sizes.steps + 1, sizes.rows) if ids is None else None
        dtype = "float32"
        if options.kernel == "tpu":
            time_loop.MAX_STEPS = int(rng.integers(1, 9))
            run = compare_with_definition
        else:
            dtype = ["float32", "bfloat16"][rng.integers(2)]
            sizes = sizes._replace(hidden=int(rng.integers(1, 40)))
            blocks = [1, 2, 4][rng.integers(1 + 2 * INTERPRETS_CLUSTERS)]
            sizes = sizes._replace(hidden=max(sizes.hidden, 16 * blocks - 15))
            plan.CLUSTERS, plan.UNITS = (blocks,), (16,)
            run = functools.partial(
                compare_with_definition, launches=gpu_layer.LAUNCHES, detector=gpu_race_detector
            )
        layer_of = f"seed {options.seed}, number {count}: {cell.init.__name__} {sizes}"
        directions = make_directions(rng, cell, sizes, lengths=lengths, ids=ids, dtype=dtype)
        said = run(rng, directions, rng.random() < 0.5)
        if said:
            raise SystemExit(f"{layer_of}: {said}")
        count += 1
        jax.clear_caches()
    print(f"{count} layers, no race and no difference, from --seed {options.seed}.")


if __name__ == "__main__":
    main()
