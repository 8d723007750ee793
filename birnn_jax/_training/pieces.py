"""A batch in pieces: rows on several devices, and on each several turns, one after the other.

Totals of pieces add up to the totals of the batch. The gradient of the mean loss is the mean of
the gradients of the pieces, weighted by how much each counted: a running mean over the turns, and
one sum over the devices for each weight, after the last step of the last loop. Every device runs a
program of its own between (`jax.shard_map`), so that native kernels stay what they are.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from .._core.describe import describe
from .._core.dtypes import cast_like
from .._core.meshes import scan
from .._losses import Total, divisor


class Piece(NamedTuple):
    """The results of one piece of a batch."""

    grads: Any  # None in evaluation
    sums: dict[str, Total]  # add up
    rows: dict[str, Any]  # everything else: leaves `[B, ...]`, put together again


PieceFn = Callable[[Any, Any, Any], Piece]  # (params, batch, key)


def gradient_of(loss_fn: Callable) -> PieceFn:
    """The gradient of the mean of "loss"."""

    def run(params: Any, batch: Any, key: Any) -> Piece:
        def mean_loss(params: Any) -> tuple[jax.Array, Mapping[str, Any]]:
            outputs = loss_fn(params, batch, key)
            loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
            if not isinstance(outputs, Mapping) or not isinstance(loss, Total):
                raise TypeError(
                    'loss_fn must return a dict whose "loss" is a birnn_jax.Total, such as '
                    '{"loss": cross_entropy(logits, labels, mask)}, got '
                    f"{describe(outputs if loss is None else loss)}."
                )
            return loss.mean, outputs

        grads, outputs = jax.grad(mean_loss, has_aux=True)(params)
        return Piece(grads, *_sort(outputs))

    return run


def totals_of(loss_fn: Callable) -> PieceFn:
    """The outputs of a loss function alone."""
    return lambda params, batch, key: Piece(None, *_sort(loss_fn(params, batch, key)))


def in_turns(run: PieceFn, turns: int) -> PieceFn:
    """`run` on one share of the rows after the other."""
    if turns == 1:
        return run

    def several(params: Any, batch: Any, key: Any) -> Piece:
        _check_rows(batch, turns, "accumulation steps")

        def turn(done: tuple[Any, jax.Array], number: jax.Array) -> Any:
            mean, count = done
            piece = run(params, _share(batch, number, turns), key)
            own = piece.sums["loss"].count.astype(count.dtype)
            every = count + own
            before, added = _weigh(mean, count, every), _weigh(piece.grads, own, every)
            return (jax.tree.map(jnp.add, before, added), every), piece._replace(grads=None)

        mean = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, _sum_dtype(leaf)), params)
        zero = jnp.zeros([])
        (mean, _), pieces = scan(turn, (mean, zero), jnp.arange(turns))
        return Piece(
            cast_like(mean, params),
            jax.tree.map(lambda leaf: leaf.sum(axis=0), pieces.sums),
            jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), pieces.rows),
        )

    return several


def on_devices(run: PieceFn, mesh: Mesh | None) -> PieceFn:
    """`run` on every device of `mesh`, each with its share of the rows."""
    if mesh is None:
        return run
    axis = axis_of(mesh)

    def one_device(params: Any, batch: Any, key: Any) -> tuple[Any, Any, Any]:
        grads, sums, rows = run(params, batch, key)
        own = sums["loss"].count
        sums = jax.lax.psum(sums, axis)
        total = jax.lax.psum(_weigh(grads, own, sums["loss"].count), axis)
        return cast_like(total, grads), sums, rows

    def every_device(params: Any, batch: Any, key: Any) -> Piece:
        _check_rows(batch, mesh.size, "devices")
        whole, by_rows = PartitionSpec(), PartitionSpec(axis)
        specs = jax.tree.map(lambda leaf: by_rows if jnp.ndim(leaf) else whole, batch)
        # Without the check of what varies, as losses are differentiated on each device alone.
        run_all = jax.shard_map(
            one_device,
            mesh=mesh,
            in_specs=(whole, specs, whole),
            out_specs=(whole, whole, by_rows),
            check_vma=False,
        )
        batch = jax.tree.map(functools.partial(_place, mesh), batch, specs)
        return Piece(*run_all(params, batch, key))

    return every_device


def everywhere(tree: Any, mesh: Mesh | None) -> Any:
    """Says to the compiler that every device of `mesh` holds all of `tree`."""
    if mesh is None:
        return tree
    return jax.tree.map(lambda leaf: _place(mesh, leaf, PartitionSpec()), tree)


def axis_of(mesh: Mesh) -> str:
    """The axis over which rows are spread."""
    if not isinstance(mesh, Mesh):
        raise TypeError(
            f"mesh must be a mesh of devices, got {describe(mesh)}: "
            "jax.make_mesh((number_of_devices,), ('data',))."
        )
    if len(mesh.axis_names) != 1:
        raise ValueError(
            f"mesh must have one axis, over which the rows of a batch are spread, got "
            f"{mesh.axis_names}: jax.make_mesh((number_of_devices,), ('data',))."
        )
    return mesh.axis_names[0]


def _place(mesh: Mesh, leaf: jax.Array, spec: PartitionSpec) -> jax.Array:
    sharding = NamedSharding(mesh, spec)
    if AxisType.Explicit in mesh.axis_types:
        return jax.reshard(leaf, sharding)
    return jax.lax.with_sharding_constraint(leaf, sharding)


def _sort(outputs: Mapping[str, Any]) -> tuple[dict[str, Total], dict[str, Any]]:
    if not isinstance(outputs, Mapping):
        raise TypeError(f"loss_fn must return a dict of totals, got {describe(outputs)}.")
    sums = {name: value for name, value in outputs.items() if isinstance(value, Total)}
    return sums, {name: value for name, value in outputs.items() if name not in sums}


def _share(batch: Any, number: jax.Array, turns: int) -> Any:
    """One of `turns` shares of the rows; leaves without an axis belong to every share."""

    def cut(leaf: Any) -> Any:
        size = leaf.shape[0] // turns
        return jax.lax.dynamic_slice_in_dim(leaf, number * size, size)

    return jax.tree.map(lambda leaf: cut(jnp.asarray(leaf)) if jnp.ndim(leaf) else leaf, batch)


def _weigh(mean: Any, own: jax.Array, every: jax.Array) -> Any:
    """What a mean over `own` adds to the mean over `every`, as `Total.mean` divides."""

    def weigh(leaf: jax.Array) -> jax.Array:
        dtype = _sum_dtype(leaf)
        part = divisor(own).astype(dtype) / divisor(every).astype(dtype)
        return leaf.astype(dtype) * part

    return jax.tree.map(weigh, mean)


def _sum_dtype(leaf: jax.Array) -> jnp.dtype:
    return jnp.promote_types(leaf.dtype, jnp.float32)


def _check_rows(batch: Any, shares: int, what: str) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(batch):
        if jnp.ndim(leaf) and leaf.shape[0] % shares:
            raise ValueError(
                f"batch{jax.tree_util.keystr(path)} has {leaf.shape[0]} rows, which {shares} "
                f"{what} cannot share evenly; give a multiple of {shares} rows."
            )
