"""What can be measured: points, and the suites made of them."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

from benchmarks import _cells

WORKS = ("forward", "train")
PRECISIONS = ("float32", "tf32", "bfloat16")

STANDARD = (
    (32, 128, 128, 256),
    (16, 100, 64, 64),
    (64, 100, 300, 512),
    (1, 100, 64, 64),
    (128, 50, 128, 128),
    (16, 500, 40, 128),
)
JAX_PEERS = ("flax-linen", "flax-linen-default", "flax-nnx", "haiku", "equinox", "keras")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One measurement to make, of every candidate alike."""

    cell: str
    shape: tuple[int, int, int, int]  # B, T, D, H
    work: str  # "forward", or "train": value and gradients of all parameters and of the input
    layers: int = 1
    lengths: bool = False  # rows of all lengths from T/2 to T
    precision: str = "float32"
    option: str = ""  # of _cells.OPTIONS: noise, segments, or gaps in place of the end of a row

    def __str__(self) -> str:
        extra = f" x{self.layers}" * (self.layers > 1) + " lengths" * self.lengths
        extra += f" {self.option}" * bool(self.option)
        precision = f" {self.precision}" * (self.precision != "float32")
        return f"{self.cell} {','.join(map(str, self.shape))} {self.work}{extra}{precision}"

    @property
    def has_noise(self) -> bool:
        """Whether results depend on random draws."""
        return self.option in _cells.NOISES

    def without_noise(self) -> "Point":
        """The same in evaluation, but for zoneout: what others that draw can be checked with."""
        return dataclasses.replace(self, option="") if self.has_noise else self

    def base(self) -> "Point":
        """The plain cell that this one is compared with."""
        return dataclasses.replace(self, cell=_cells.base(self.cell), option="")

    @property
    def flops(self) -> int:
        """Of the matrix products, both directions; a backward pass is two forward passes."""
        batch_size, num_steps, input_size, hidden_size = self.shape
        later = 2 * _cells.output_size(self.cell, hidden_size)  # features of a layer's input
        sizes = [input_size, *[later] * (self.layers - 1)]
        products = sum(_cells.products(self.cell, size, hidden_size) for size in sizes)
        forward = 4 * batch_size * num_steps * products
        return forward * (3 if self.work == "train" else 1)


def from_row(row: dict) -> Point:
    """The point of a row of a file of results."""
    names = {field.name for field in dataclasses.fields(Point)}
    fields = {name: value for name, value in row.items() if name in names}
    return Point(**{**fields, "shape": tuple(row["shape"])})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A point and those measured side by side at it."""

    point: Point
    candidates: tuple[str, ...]


def grid(
    cells: Sequence[str],
    shapes: Sequence[tuple[int, int, int, int]],
    works: Sequence[str],
    candidates: Sequence[str],
    **settings,
) -> Iterator[Case]:
    """Every combination."""
    for cell in cells:
        for shape in shapes:
            for work in works:
                point = Point(cell=cell, shape=shape, work=work, **settings)
                yield Case(point=point, candidates=tuple(candidates))


def standard() -> Iterator[Case]:
    """The grid that the table of README.md shows; the price of lengths is a row of its own."""
    yield from grid(
        ["lstm"], STANDARD, WORKS, ["birnn", "birnn-xla", "birnn-xla-states", "torch", *JAX_PEERS]
    )
    yield from grid(
        ["gru", "elman"], STANDARD, WORKS, ["birnn", "birnn-xla", "torch", "flax-linen", "keras"]
    )
    yield from grid(
        ["lstm"], STANDARD[:2], WORKS, ["birnn", "birnn-xla", "torch", "flax-linen"], lengths=True
    )


def quick() -> Iterator[Case]:
    """A look in under a minute."""
    yield from grid(["lstm"], [STANDARD[1]], WORKS, ["birnn", "torch", "flax-linen"])


def serving() -> Iterator[Case]:
    """One sequence at a time, forward, through two layers."""
    shapes = [(1, num_steps, size, 128) for num_steps in (20, 100) for size in (64, 128)]
    candidates = ["birnn", "torch", "onnxruntime", "flax-linen"]
    yield from grid(["lstm"], shapes, ["forward"], candidates, layers=2)
    candidates = ["birnn", "birnn-prepared", "birnn-int8", "torch", "torch-int8"]
    candidates += ["onnxruntime", "onnxruntime-int8", "openvino"]
    sizes = [(steps, size) for size in (64, 128, 256, 512) for steps in (10, 20, 100)]
    shapes = [(1, num_steps, size, size) for num_steps, size in sizes]
    yield from grid(["lstm"], shapes, ["forward"], candidates)


def sweep() -> Iterator[Case]:
    """How time, memory and compile time grow with T, B, H and layers, one at a time."""
    candidates = ["birnn", "birnn-states", "torch", "flax-linen"]
    for num_steps in (32, 128, 512, 2048, 8192):
        more = ["birnn-chunked"] if num_steps >= 512 else []
        yield from grid(["lstm"], [(8, num_steps, 64, 128)], ["train"], candidates + more)
    shapes = [(batch_size, 100, 64, 128) for batch_size in (1, 4, 16, 64, 256)]
    shapes += [(16, 100, 64, hidden_size) for hidden_size in (16, 64, 256, 1024)]
    yield from grid(["lstm"], shapes, ["train"], candidates)
    for layers in (2, 4):  # one is among the shapes above
        yield from grid(["lstm"], [(16, 100, 64, 128)], ["train"], candidates, layers=layers)


def cells(shape: tuple[int, int, int, int] = (32, 100, 128, 128)) -> Iterator[Case]:
    """Every built-in cell and noise beside our plain LSTM or GRU, and beside who has the same."""
    for row in _cells.ROWS:
        base = ["birnn-base"] if (row.cell, row.option) != (_cells.base(row.cell), "") else []
        yield from grid(
            [row.cell],
            [shape],
            ["train"],
            ["birnn", *base, *row.peers],
            lengths=row.has_lengths,
            option=row.option,
        )


GPU_OURS = ("birnn", "birnn-states", "birnn-two-chains", "birnn-in-step")
GPU_OURS += ("birnn-unroll-1", "birnn-unroll-32", "birnn-no-graphs", "birnn-gpu-kernel")
GPU_PEERS = ("torch", "flax-linen")


def gpu() -> Iterator[Case]:
    """For one GPU: our own variants as rows, the cuDNN of torch and of JAX, three precisions."""
    for precision in PRECISIONS:
        cudnn = ["jax-cudnn"] if precision != "bfloat16" else []
        candidates = [*GPU_OURS, *GPU_PEERS, *cudnn]
        yield from grid(["lstm"], GPU_SHAPES, WORKS, candidates, precision=precision)
        candidates = [*GPU_OURS, *GPU_PEERS]
        yield from grid(["gru"], GPU_SHAPES, WORKS, candidates, precision=precision)


def gpu_tiny() -> Iterator[Case]:
    """Every candidate, precision, cell and work of the GPU suite, but few of their combinations."""
    candidates = [*GPU_OURS, *GPU_PEERS, "jax-cudnn"]
    yield from grid(["lstm"], TINY_SHAPES, ["train"], candidates)
    candidates = ["birnn", *GPU_PEERS]
    yield from grid(["gru"], TINY_SHAPES, ["forward"], candidates, precision="tf32")
    yield from grid(["lstm"], TINY_SHAPES, ["forward"], candidates, precision="bfloat16")


GPU_SHAPES = (
    (32, 512, 256, 256),
    (64, 1024, 512, 512),
    (16, 2048, 1024, 1024),
    (16, 1024, 768, 768),
)
TINY_SHAPES = ((3, 5, 2, 7),)
SUITES = {
    "standard": standard,
    "quick": quick,
    "serving": serving,
    "sweep": sweep,
    "cells": cells,
    "cells-tiny": functools.partial(cells, (3, 27, 2, 8)),
    "gpu": gpu,
    "gpu-tiny": gpu_tiny,
}
