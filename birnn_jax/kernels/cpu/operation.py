"""An operation with a native implementation for CPU, and a definition in JAX for all the rest."""

import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


class Operation:
    """A function of trees of arrays, `definition(static, args)`, as a primitive of JAX.

    Leaves with a field `params` on their path have no rows; all others begin with the axis of
    rows, which are independent of one another. By that `vmap` of what stands in rows becomes more
    rows; `vmap` of parameters, like every derivative, goes to the definition.
    """

    def __init__(
        self,
        name: str,
        definition: Callable[[Any, Any], Any],
        shapes: Callable[[Any, Any], Any],
        *,
        native: Callable[[Any, Any], Any] | None = None,
        transpose: Callable[[Any, Any, Any], Any] | None = None,
    ) -> None:
        self._definition, self._shapes = definition, shapes
        self._primitive = primitive = Primitive(name)
        primitive.multiple_results = True
        jitted = jax.jit(
            lambda *leaves, **static: primitive.bind(*leaves, **static),
            static_argnames=("static", "tree"),
        )
        primitive.def_impl(jitted)
        primitive.def_abstract_eval(self._abstract_eval)
        ad.primitive_jvps[primitive] = self._jvp
        batching.primitive_batchers[primitive] = self._batch
        by_xla = mlir.lower_fun(self._define, multiple_results=True)
        mlir.register_lowering(primitive, by_xla)
        if native is not None:
            by_kernel = mlir.lower_fun(
                lambda *leaves, static, tree: jax.tree.leaves(
                    native(static, tree.unflatten(leaves))
                ),
                multiple_results=True,
            )
            mlir.register_lowering(
                primitive,
                lambda ctx, *args, **static: (by_xla if _is_partitioned(ctx) else by_kernel)(
                    ctx, *args, **static
                ),
                platform="cpu",
            )
        if transpose is not None:
            ad.primitive_transposes[primitive] = functools.partial(self._transpose, transpose)

    def bind(self, static: Hashable, args: Any) -> Any:
        """The results, by whatever the platform of the program has."""
        leaves, tree = jax.tree.flatten(args)
        leaves = vary_alike(leaves)
        results = self._primitive.bind(*leaves, static=static, tree=tree)
        return jax.tree.unflatten(jax.tree.structure(self._shapes(static, args)), results)

    def _define(self, *leaves: Any, static: Any, tree: Any) -> list[Any]:
        return jax.tree.leaves(self._definition(static, tree.unflatten(leaves)))

    def _abstract_eval(self, *avals: Any, static: Any, tree: Any) -> list[Any]:
        shapes = jax.tree.leaves(self._shapes(static, tree.unflatten(avals)))
        if jax.sharding.get_abstract_mesh().empty:
            return [ShapedArray(one.shape, one.dtype) for one in shapes]

        def alike(leaf):  # inside `shard_map` results vary over the mesh as the arguments do
            return [jnp.broadcast_to(leaf.sum().astype(one.dtype), one.shape) for one in shapes]

        return list(jax.make_jaxpr(alike)(avals[0]).out_avals)

    def _jvp(self, primals: Any, tangents: Any, **static: Any) -> Any:
        moves = [not isinstance(tangent, ad.Zero) for tangent in tangents]

        def run(*moving):
            rest = iter(moving)
            leaves = [next(rest) if m else p for m, p in zip(moves, primals, strict=True)]
            return self._define(*leaves, **static)

        return jax.jvp(
            run,
            tuple(primal for m, primal in zip(moves, primals, strict=True) if m),
            tuple(tangent for m, tangent in zip(moves, tangents, strict=True) if m),
        )

    def _batch(self, leaves: Any, axes: Any, *, static: Any, tree: Any) -> Any:
        size = _get_size(leaves, axes)
        one = [_drop_axis(leaf, axis) for leaf, axis in zip(leaves, axes, strict=True)]
        args = tree.unflatten(one)
        has_rows = _find(lambda names: "params" not in names, args)
        only_rows = all(
            axis is None or rows for axis, rows in zip(axes, has_rows, strict=True)
        ) and all(_find(lambda names: "params" not in names, self._shapes(static, args)))
        if not only_rows:
            run = functools.partial(self._define, static=static, tree=tree)
            results = jax.vmap(run, axes, axis_size=size)(*leaves)
            return results, [0] * len(results)
        leaves = [
            _fold(leaf, axis, size) if rows else leaf
            for leaf, axis, rows in zip(leaves, axes, has_rows, strict=True)
        ]
        results = self._primitive.bind(*leaves, static=static, tree=tree)
        return [_unfold(leaf, size) for leaf in results], [0] * len(results)

    def _transpose(self, transpose: Any, cts: Any, *leaves: Any, static: Any, tree: Any) -> Any:
        """The linear leaves are those with a field `d` on their path."""
        args = tree.unflatten(leaves)
        cts = [ad.instantiate_zeros(ct) for ct in cts]
        results = jax.tree.structure(self._shapes(static, args))
        found = iter(jax.tree.leaves(transpose(static, results.unflatten(cts), args)))
        is_linear = _find(lambda names: "d" in names, tree.unflatten(range(len(leaves))))
        return [next(found) if linear else None for linear in is_linear]


def _find(condition: Callable[[list[str]], bool], tree: Any) -> list[bool]:
    """For each leaf the condition on the names of the fields on its path."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [condition([getattr(key, "name", "") for key in path]) for path, _ in paths]


def _get_size(leaves: Any, axes: Any) -> int:
    return next(x.shape[axis] for x, axis in zip(leaves, axes, strict=True) if axis is not None)


def _drop_axis(leaf: jax.Array, axis: int | None) -> jax.ShapeDtypeStruct:
    shape = [size for at, size in enumerate(leaf.shape) if at != axis]
    return jax.ShapeDtypeStruct(shape, leaf.dtype)


def _fold(leaf: jax.Array, axis: int | None, size: int) -> jax.Array:
    """More rows: `[B, ...]` for each of `size` as `[size * B, ...]`."""
    if axis is None:
        leaf = jnp.broadcast_to(leaf[None], (size, *leaf.shape))
    else:
        leaf = jnp.moveaxis(leaf, axis, 0)
    return leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:])


def _unfold(leaf: jax.Array, size: int) -> jax.Array:
    return leaf.reshape(size, leaf.shape[0] // max(size, 1), *leaf.shape[1:])


def vary_alike(leaves: list[Any]) -> list[Any]:
    """Inside `shard_map`: all leaves vary over the axes over which any of them does."""
    if jax.sharding.get_abstract_mesh().empty:
        return leaves
    varying = [jax.typeof(leaf).mat.varying for leaf in leaves]
    every = frozenset().union(*varying)
    return [
        jax.lax.pcast(leaf, tuple(every - own), to="varying") if every - own else leaf
        for leaf, own in zip(leaves, varying, strict=True)
    ]


def _is_partitioned(ctx: mlir.LoweringRuleContext) -> bool:
    """True if XLA is to cut the program for several devices: it cannot look into native code."""
    context: Any = ctx.module_context.axis_context
    if hasattr(context, "manual_axes"):
        return set(context.manual_axes) != set(context.mesh.axis_names)
    return getattr(context, "num_devices", 1) > 1
