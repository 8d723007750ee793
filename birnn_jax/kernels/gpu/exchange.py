"""The product with the recurrent weights, which stay in shared memory, over all slices of a layer.

Float32 numbers are multiplied as sums of bfloat16 pieces: three hold all 24 bits, and the six
products of pieces that matter give the product with an error of about 2**-24, added up in float32.
"""

import itertools
import operator
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from . import memory
from .columns import Columns
from .plan import ROWS, Plan


class Exchange(NamedTuple):
    """How slices get what they need of one another.

    "gather": every slice sends its columns to all, and multiplies all of them by its weights.
    "scatter": a block multiplies the columns of its own slices, and sends each slice its part of
    the sum.
    """

    kind: Literal["gather", "scatter"]
    plan: Plan
    sent: int  # columns that a slice sends, in units
    received: int  # columns of the sum, in units
    pieces: tuple[int, int]  # of what is sent, and of weights

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The pieces whose products count, the smallest first."""
        places = itertools.product(range(self.pieces[0]), range(self.pieces[1]))
        most = max(self.pieces) - 1
        return sorted((pair for pair in places if sum(pair) <= most), key=sum, reverse=True)

    @property
    def senders(self) -> int:
        """Slices whose columns a block multiplies."""
        return self.plan.slices if self.kind == "gather" else self.plan.warpgroups

    @property
    def receivers(self) -> int:
        """Slices to which a warpgroup gives sums."""
        return 1 if self.kind == "gather" else self.plan.blocks

    @property
    def tiles(self) -> int:
        """Of the weights of a block, `[units, received * units]` each."""
        per_product = self.senders * self.sent * self.pieces[1]
        return self.plan.warpgroups * self.receivers * per_product

    def weights_shape(self, num_directions: int) -> tuple[int, ...]:
        """Of the weights of all blocks, tile by tile."""
        units = self.plan.units
        return (num_directions, self.plan.blocks, self.tiles, units, self.received * units)

    def arrange(self, w: jax.Array) -> jax.Array:
        """The tiles of `[K, senders' H, sent, receivers' H, received]` weights of K directions."""
        plan, num_directions = self.plan, w.shape[0]
        blocks, warpgroups, units = plan.blocks, plan.warpgroups, plan.units
        split = (blocks, warpgroups, units)
        w = w.reshape(num_directions, *split, self.sent, *split, self.received)
        parts = jnp.stack(split_pieces(w, self.pieces[1]))
        # Piece and direction; block, warpgroup, unit and column of the sender; of the receiver.
        names = "qkbwupcvxr"
        order = "kcvbwpqurx" if self.kind == "gather" else "kbvcwpqurx"
        return jnp.einsum(f"{names}->{order}", parts).reshape(self.weights_shape(num_directions))

    def scratch(self) -> dict[str, Any]:
        """What a block keeps in shared memory."""
        units = self.plan.units
        tiled = (plgpu.TilingTransform((8, units)), plgpu.SwizzleTransform(2 * units))
        columns = self.senders * self.sent * self.pieces[0]
        whole = self.weights_shape(1)[2:]
        scratch = {
            "weights": plgpu.SMEM(whole, jnp.bfloat16, transforms=tiled),
            "messages": plgpu.SMEM((columns, ROWS, units), jnp.bfloat16, transforms=tiled),
            "loaded": plgpu.Barrier(num_arrivals=self.tiles),
            "written": plgpu.Barrier(num_arrivals=self.plan.warpgroups),
            "read": plgpu.Barrier(num_arrivals=self.plan.warpgroups),
        }
        if self.plan.blocks > 1:
            scratch["cluster"] = plgpu.ClusterBarrier(
                collective_axes=("block",), num_arrivals=self.plan.warpgroups
            )
        return scratch

    def mail_shape(self, num_directions: int, num_tiles: int) -> jax.ShapeDtypeStruct:
        """Of the global memory through which blocks send, in two turns; empty for one block."""
        plan, units = self.plan, self.plan.units
        first = (num_directions, num_tiles, 2)
        if self.kind == "gather":
            shape = (plan.slices, self.sent * self.pieces[0], ROWS, units)
            return jax.ShapeDtypeStruct((*first, *shape), jnp.bfloat16)
        shape = (plan.slices, plan.blocks, self.received, ROWS, units)
        return jax.ShapeDtypeStruct((*first, *shape), jnp.float32)

    def load_weights(self, refs: dict[str, Any], source: Any, warpgroup: Any) -> None:
        """Copies the tiles of a warpgroup; returns when all tiles of the block are there."""
        count = self.tiles // self.plan.warpgroups

        @pl.loop(0, count)
        def _(index: jax.Array) -> None:
            at = warpgroup * count + index
            plgpu.copy_gmem_to_smem(source.at[at], refs["weights"].at[at], refs["loaded"])

        plgpu.barrier_wait(refs["loaded"])

    def multiply(
        self, refs: dict[str, Any], mail: Any, place: "Place", message: Columns
    ) -> Columns:
        """What all slices send times the weights: the columns for one slice."""
        shared = self.plan.blocks > 1
        own = place.slice if self.kind == "gather" else place.warpgroup
        count = self.sent * self.pieces[0]
        for index, piece in enumerate(_all_pieces(message, self.pieces[0])):
            refs["messages"][own * count + index] = piece
            if self.kind == "gather" and shared:
                memory.write(mail.at[place.slice, index], piece)
        if self.kind == "gather" and shared:
            self._gather(refs, mail, place)
        plgpu.commit_smem()
        _meet(refs["written"])
        if self.kind == "scatter" and shared:
            return self._scatter(refs, mail, place)
        sums = self._product(refs, place.warpgroup)
        _meet(refs["read"])
        return sums

    def _product(self, refs: dict[str, Any], warpgroup: Any, receiver: Any = 0) -> Columns:
        of_messages, of_weights = self.pieces
        columns, units = self.senders * self.sent, self.plan.units
        first = (warpgroup * self.receivers + receiver) * columns * of_weights

        def run(acc: Any) -> jax.Array:
            @pl.loop(0, columns)
            def _(column: jax.Array) -> None:
                for of_message, of_weight in self.pairs:
                    message = refs["messages"].at[column * of_messages + of_message]
                    weight = refs["weights"].at[first + column * of_weights + of_weight]
                    plgpu.wgmma(acc, message, weight)

            return acc[...]

        acc = pl.run_scoped(
            run, plgpu.WGMMAAccumulatorRef((ROWS, self.received * units), jnp.float32)
        )
        ends = [units * index for index in range(self.received + 1)]
        cut = lambda a, b: lax.slice(acc, (0, a), (ROWS, b))  # noqa: E731
        return Columns(tuple(cut(a, b) for a, b in itertools.pairwise(ends)))

    def _gather(self, refs: dict[str, Any], mail: Any, place: "Place") -> None:
        """Every warpgroup fetches from its counterparts of the other blocks."""
        count = self.sent * self.pieces[0]
        _meet_in_cluster(refs["cluster"])
        for step in range(1, self.plan.blocks):
            block = lax.rem(place.block + step, self.plan.blocks)
            other = block * self.plan.warpgroups + place.warpgroup
            for index in range(count):
                refs["messages"][other * count + index] = memory.read(mail.at[other, index])

    def _scatter(self, refs: dict[str, Any], mail: Any, place: "Place") -> Columns:
        """Every slice adds up the parts of its sum, in the order of blocks."""

        @pl.loop(0, self.plan.blocks)
        def _(block: jax.Array) -> None:
            receiver = block * self.plan.warpgroups + place.warpgroup
            sums = self._product(refs, place.warpgroup, block)
            for index, part in enumerate(sums.parts):
                memory.write(mail.at[receiver, place.block, index], part)

        _meet(refs["read"])
        _meet_in_cluster(refs["cluster"])

        def read(block: Any) -> tuple[jax.Array, ...]:
            letter = mail.at[place.slice, block]
            return tuple(memory.read(letter.at[index]) for index in range(self.received))

        def add(block: Any, sums: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
            return tuple(map(operator.add, sums, read(block)))

        return Columns(lax.fori_loop(1, self.plan.blocks, add, read(0)))


def _meet(barrier: Any) -> None:
    """Waits for all whose barrier it is."""
    plgpu.barrier_arrive(barrier)
    plgpu.barrier_wait(barrier)


def _meet_in_cluster(barrier: Any) -> None:
    """The same for all blocks of a cluster, which then see what was written to global memory."""
    memory.fence_cluster()
    _meet(barrier)
    memory.fence_cluster()


class Place(NamedTuple):
    """Where a warpgroup is, in numbers that the kernel computes."""

    direction: Any
    tile: Any  # of rows
    block: Any  # of the cluster
    warpgroup: Any  # of the block
    slice: Any  # of the layer


def split_pieces(x: jax.Array, count: int) -> list[jax.Array]:
    """Bfloat16 arrays whose sum is x, rounded to 8 bits for each: for XLA, which sees no casts."""
    pieces = []
    for _ in range(count):
        piece = lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)
        pieces.append(piece.astype(jnp.bfloat16))
        x = x - piece
    return pieces


def _all_pieces(columns: Columns, count: int) -> Iterator[jax.Array]:
    """The same of every part, inside of a kernel."""
    for x in columns.parts:
        for _ in range(count):
            piece = x.astype(jnp.bfloat16)
            yield piece
            x = x - piece.astype(x.dtype)
