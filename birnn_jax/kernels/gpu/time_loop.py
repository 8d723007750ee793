"""A loop over time as one launch of Pallas: weights stay in shared memory, the state in registers.

The grid is (directions, tiles of rows), of clusters of blocks. A warpgroup has one slice of hidden
units; a step of it sends what the product needs, gets its columns of the product, and updates the
state of its slice. Arrays of all steps are read and written in global memory, slice by slice.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.pallas import mosaic_gpu as plgpu

from . import memory
from .columns import Columns
from .exchange import Exchange, Place
from .plan import ROWS, Plan


class Streams(NamedTuple):
    """Arrays `[K, T, B, P*H]` of K directions, or their shapes, and where each begins."""

    arrays: Any
    from_the_end: tuple[bool, ...]  # of each direction: from the last step to the first


class Steps(NamedTuple):
    """A step of one slice, in two halves around the product."""

    # (state, inputs, flags) -> (what is sent, what the second half gets)
    before: Callable[[Any, tuple[Any, ...], Any], tuple[Columns, Any]]
    after: Callable[[Any, Columns], tuple[Any, tuple[Any, ...]]]  # -> (state, outputs)


def run_steps(
    steps: Steps,
    exchange: Exchange,
    weights: jax.Array,
    state: Any,
    fixed: Any,
    inputs: tuple[Streams, ...],
    flags: Streams,
    outputs: tuple[Streams, ...],
) -> tuple[Any, tuple[Any, ...]]:
    """The steps of K directions.

    Args:
      steps: of one direction; state, inputs and outputs have leaves `Columns`.
      exchange: of what is sent.
      weights: of K directions, as `Exchange.arrange` takes them.
      state: leaves `[K, B, H]`, before the first step.
      fixed: leaves `[K, B, P*H]`, that `before` gets beside the state.
      inputs: arrays.
      flags: arrays `[K, T, B]` int32.
      outputs: shapes.

    Returns:
      The state after the last step, and the outputs.
    """
    plan, num_directions = exchange.plan, weights.shape[0]
    num_steps, num_rows = jax.tree.leaves(inputs[0].arrays)[0].shape[1:3]
    num_tiles = -(-num_rows // ROWS)
    hidden_size = jax.tree.leaves(state)[0].shape[-1]
    cut = _Cut(plan, hidden_size, num_rows)
    arrays = (
        jax.tree.map(cut.whole, (state, fixed)),
        jax.tree.map(cut.whole, tuple(stream.arrays for stream in inputs)),
        jax.tree.map(cut.rows, flags.arrays),
        exchange.arrange(cut.fill_weights(weights)),
    )
    shapes = (
        jax.tree.map(cut.shape, state),
        jax.tree.map(cut.shape, tuple(stream.arrays for stream in outputs)),
        exchange.mail_shape(num_directions, num_tiles) if plan.blocks > 1 else None,
    )
    in_tree, out_tree = jax.tree.structure(arrays), jax.tree.structure(shapes)

    def kernel(*refs: Any, **scratch: Any) -> None:
        (first, inputs_, flags_, tiles) = in_tree.unflatten(refs[: in_tree.num_leaves])
        last, outputs_, mail = out_tree.unflatten(refs[in_tree.num_leaves :])
        place = _find_place(plan)
        here = (place.direction, place.tile)
        exchange.load_weights(scratch, tiles.at[place.direction, place.block], place.warpgroup)
        begin, fixed_ = jax.tree.map(lambda ref: _read(ref.at[here], place), first)
        state_tree = jax.tree.structure(begin)

        def step(index: Any, parts: Any) -> Any:
            state = state_tree.unflatten(map(Columns, parts))

            def at(stream: Streams, ref: Any) -> Any:
                when = _place(stream.from_the_end, place.direction, index, num_steps)
                return ref.at[place.direction, when, place.tile]

            pairs = zip(inputs, inputs_, strict=True)
            xs = tuple(
                jax.tree.map(lambda ref, s=s: _read(at(s, ref), place), refs) for s, refs in pairs
            )
            now = jax.tree.map(lambda ref: _spread(memory.read(at(flags, ref)), plan.units), flags_)
            message, kept = steps.before(state, xs, (fixed_, now))
            letters = None if mail is None else mail.at[(*here, lax.rem(index, 2))]
            received = exchange.multiply(scratch, letters, place, message)
            state, ys = steps.after(kept, received)
            for stream, refs, y in zip(outputs, outputs_, ys, strict=True):
                jax.tree.map(lambda ref, leaf, s=stream: _write(at(s, ref), place, leaf), refs, y)
            return [leaf.parts for leaf in jax.tree.leaves(state)]

        parts = [leaf.parts for leaf in jax.tree.leaves(begin)]
        parts = lax.fori_loop(0, num_steps, step, parts)
        end = state_tree.unflatten(map(Columns, parts))
        jax.tree.map(lambda ref, leaf: _write(ref.at[here], place, leaf), last, end)

    results = plgpu.kernel(
        kernel,
        out_type=jax.tree.leaves(shapes),
        scratch_types=exchange.scratch(),
        grid=(num_directions, num_tiles),
        grid_names=("direction", "tile"),
        cluster=(plan.blocks,),
        cluster_names=("block",),
        num_threads=plan.warpgroups,
        thread_name="warpgroup",
        compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Warpgroup),
    )(*jax.tree.leaves(arrays))
    last, ys, _ = out_tree.unflatten(results)
    return jax.tree.map(cut.back, last), jax.tree.map(cut.back, ys)


class _Cut(NamedTuple):
    """Arrays in tiles of rows and slices of units, both filled up with zeros; and back."""

    plan: Plan
    hidden_size: int
    num_rows: int

    def whole(self, leaf: jax.Array) -> jax.Array:
        """`[..., B, P*H]` as `[..., tile, P, slice, row, unit]`: a slice's part lies together."""
        *first, _, columns = leaf.shape
        count = columns // self.hidden_size
        leaf = leaf.reshape(*first, self.num_rows, count, self.hidden_size)
        more = self.plan.hidden_size - self.hidden_size
        leaf = jnp.pad(leaf, [(0, 0)] * len(first) + [(0, self._more_rows), (0, 0), (0, more)])
        leaf = leaf.reshape(*first, -1, ROWS, count, self.plan.slices, self.plan.units)
        return jnp.moveaxis(leaf, -4, -2)

    def back(self, leaf: jax.Array) -> jax.Array:
        """The inverse of `whole`."""
        leaf = jnp.moveaxis(leaf, -2, -4)
        *first, tiles, rows, count, _, _ = leaf.shape
        leaf = leaf.reshape(*first, tiles * rows, count, self.plan.hidden_size)
        leaf = leaf[..., : self.num_rows, :, : self.hidden_size]
        return leaf.reshape(*first, self.num_rows, count * self.hidden_size)

    def shape(self, leaf: Any) -> jax.ShapeDtypeStruct:
        """Of `whole`."""
        return jax.eval_shape(self.whole, jax.ShapeDtypeStruct(leaf.shape, leaf.dtype))

    def rows(self, flags: jax.Array) -> jax.Array:
        """`[..., B]` as `[..., tile, row]`."""
        *first, _ = flags.shape
        flags = jnp.pad(flags, [(0, 0)] * len(first) + [(0, self._more_rows)])
        return flags.reshape(*first, -1, ROWS)

    def fill_weights(self, w: jax.Array) -> jax.Array:
        """`[K, H, sent, H, received]` with zeros for the units that fill up slices."""
        more = (0, self.plan.hidden_size - self.hidden_size)
        return jnp.pad(w, [(0, 0), more, (0, 0), more, (0, 0)])

    @property
    def _more_rows(self) -> int:
        return -self.num_rows % ROWS


def _find_place(plan: Plan) -> Place:
    names = ("direction", "tile", "block", "warpgroup")
    direction, tile, block, warpgroup = map(lax.axis_index, names)
    return Place(direction, tile, block, warpgroup, block * plan.warpgroups + warpgroup)


def _place(from_the_end: tuple[bool, ...], direction: Any, index: Any, count: int) -> Any:
    """The step that comes as number `index` of `count`."""
    turned = count - 1 - index
    if all(from_the_end):
        return turned
    if not any(from_the_end):
        return index
    return jnp.where(direction == from_the_end.index(True), turned, index)


def _read(ref: Any, place: Place) -> Columns:
    """The columns of a slice, of a reference `[P, slice, row, unit]`."""
    return Columns(tuple(memory.read(ref.at[i, place.slice]) for i in range(ref.shape[0])))


def _spread(flags: jax.Array, units: int) -> jax.Array:
    """`[B]` numbers as `[B, units]` conditions."""
    return lax.broadcast_in_dim(flags, (ROWS, units), (0,)) != 0


def _write(ref: Any, place: Place, columns: Columns) -> None:
    for index, part in enumerate(columns.parts):
        memory.write(ref.at[index, place.slice], part.astype(ref.dtype))
