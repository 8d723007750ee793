"""Global memory in a kernel: each thread reads and writes the elements that its registers hold."""

import inspect
from typing import Any

import jax
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import llvm

_pallas: Any = plgpu
HAS_INDEX = "idx" in inspect.signature(plgpu.load).parameters  # until JAX 0.11


def read(ref: Any) -> jax.Array:
    """The array of a reference; for one in shared memory `ref[...]` is faster."""
    if HAS_INDEX:
        return _pallas.load(ref, (), optimized=False)
    return _pallas.load(ref, optimized=False)


def write(ref: Any, value: jax.Array) -> None:
    """Stores what `read` reads."""
    if HAS_INDEX:
        ref[...] = value
    else:
        _pallas.store(ref, value, optimized=False)


def fence_cluster() -> None:
    """Orders what a thread wrote, or will read, for the blocks of its cluster.

    A barrier of Mosaic alone orders memory for the threads of one block.
    """

    def fence(context: Any) -> None:
        del context
        void = ir.Type.parse("!llvm.void")
        llvm.inline_asm(void, [], "fence.acq_rel.cluster;", "", has_side_effects=True)

    plgpu.inline_mgpu()(fence)()
