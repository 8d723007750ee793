"""An operation with an implementation for one platform, and a definition in JAX for all others.

What stands for an operation is traced where a program is lowered, for the platform that it is
lowered for: the machine and the backend on which a function was traced decide nothing.
"""

import functools
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from .._core.jax_modes import looks_for_nans
from .._core.meshes import vary
from .maps import Maps, as_function_of_leaves, drop_axis, of_one, transpose_map, with_axes
from .target import PLATFORMS, lowering_for

_STATIC = ("static", "tree", "maps")


class Operands(NamedTuple):
    """Trees of arrays; those of an operation that transposes are linear in the last two.

    `rows` and `d_rows` begin with the axis of rows, which are independent of one another; `shared`
    and `d_shared` are the same for all rows. The results of an operation are `Operands`, too.
    """

    shared: Any = ()
    rows: Any = ()
    d_shared: Any = ()
    d_rows: Any = ()


class Operation:
    """A function of arrays, `definition(static, operands)`, as a primitive of JAX.

    `native` computes it on `platform`; `elsewhere`, or else the definition, on all others.
    `vmap` of what stands in rows becomes more rows, if the operation `folds`. Other maps are
    `maps` of the definition, applied where a program is lowered; every derivative but the
    transpose goes to the definition at once.
    """

    def __init__(
        self,
        name: str,
        definition: Callable[[Any, Operands], Operands],
        shapes: Callable[[Any, Operands], Operands],
        *,
        native: Callable[[Any, Operands], Operands] | None = None,
        platform: str = "cpu",
        elsewhere: Callable[[Any, Operands], Operands] | None = None,
        folds: bool = True,
        transpose: Callable[[Any, Operands, Operands], tuple[Any, Any]] | None = None,
    ) -> None:
        self._definition, self._shapes, self._folds = definition, shapes, folds
        self._primitive = primitive = Primitive(name)
        primitive.multiple_results = True
        self._jitted = jax.jit(primitive.bind, static_argnames=_STATIC)
        self._jitted_definition = jax.jit(self._define, static_argnames=_STATIC)
        primitive.def_impl(self._run)
        primitive.def_abstract_eval(self._abstract_eval)
        ad.primitive_jvps[primitive] = self._jvp
        batching.primitive_batchers[primitive] = self._batch
        for target in PLATFORMS:
            own, other = (native, definition) if target == platform else (None, elsewhere)
            rule = _lower(target, own, other or definition)
            mlir.register_lowering(primitive, rule, platform=target)
        mlir.register_lowering(primitive, _lower(None, None, elsewhere or definition))
        if transpose is not None:
            ad.primitive_transposes[primitive] = functools.partial(self._transpose, transpose)

    def bind(self, static: Hashable, operands: Operands) -> Operands:
        """The results, by whatever the platform of the program has."""
        leaves, tree = jax.tree.flatten(vary(operands))
        results = self._primitive.bind(*leaves, static=static, tree=tree, maps=())
        return jax.tree.unflatten(jax.tree.structure(self._shapes(static, operands)), results)

    def _run(self, *leaves: Any, **static: Any) -> list[Any]:
        """Compiled also under `jax.disable_jit`, as the operations of JAX are.

        Where JAX looks for NaN, it runs again what gave one, step by step: the definition.
        """
        run = self._jitted_definition if looks_for_nans() else self._jitted
        with jax.disable_jit(False):
            return run(*leaves, **static)

    def _define(self, *leaves: Any, static: Any, tree: Any, maps: Maps) -> list[Any]:
        return as_function_of_leaves(self._definition, static, tree, maps)(*leaves)

    def _abstract_eval(self, *avals: Any, static: Any, tree: Any, maps: Maps) -> list[Any]:
        operands = tree.unflatten(of_one(avals, maps))
        shapes = with_axes(jax.tree.leaves(self._shapes(static, operands)), maps)
        if jax.sharding.get_abstract_mesh().empty:
            return [ShapedArray(leaf.shape, leaf.dtype) for leaf in shapes]

        def alike(leaf):  # inside `shard_map` results vary over the mesh as the arguments do
            return [jnp.broadcast_to(leaf.sum().astype(out.dtype), out.shape) for out in shapes]

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

    def _batch(self, leaves: Any, axes: Any, *, static: Any, tree: Any, maps: Maps) -> Any:
        size = _get_size(leaves, axes)
        if maps:
            return self._map(leaves, axes, size, static=static, tree=tree, maps=maps)
        operands = tree.unflatten(list(map(drop_axis, leaves, axes)))
        has_rows, results_of_one = _have_rows(operands), self._shapes(static, operands)
        only_rows = all(
            axis is None or rows for axis, rows in zip(axes, has_rows, strict=True)
        ) and all(_have_rows(results_of_one))
        if not (self._folds and only_rows):
            return self._map(leaves, axes, size, static=static, tree=tree, maps=())
        leaves = [
            _fold(leaf, axis, size) if rows else leaf
            for leaf, axis, rows in zip(leaves, axes, has_rows, strict=True)
        ]
        results = self._primitive.bind(*leaves, static=static, tree=tree, maps=())
        shapes = [leaf.shape for leaf in jax.tree.leaves(results_of_one)]
        results = [r.reshape(size, *shape) for r, shape in zip(results, shapes, strict=True)]
        return results, [0] * len(results)

    def _map(self, leaves: Any, axes: Any, size: int, *, maps: Maps, **static: Any) -> Any:
        maps = ((tuple(axes), size), *maps)
        results = self._primitive.bind(*leaves, maps=maps, **static)
        return results, [0] * len(results)

    def _transpose(
        self, transpose: Any, cts: Any, *leaves: Any, static: Any, tree: Any, maps: Maps
    ) -> Any:
        """`transpose(static, cotangents, operands)` gives what `d_shared` and `d_rows` are like.

        Of the linear operands those that JAX asks for are undefined; the others are given.
        """
        if maps:
            run = functools.partial(self._transpose, transpose, static=static, tree=tree)
            return transpose_map(run, cts, leaves, maps)
        operands = tree.unflatten(leaves)
        results = jax.tree.structure(self._shapes(static, operands))
        cts = results.unflatten([ad.instantiate_zeros(ct) for ct in cts])
        found = jax.tree.leaves(transpose(static, cts, operands))
        rest = [None] * (len(leaves) - len(found))
        asked = map(ad.is_undefined_primal, leaves[len(rest) :])
        return rest + [ct if is_asked else None for ct, is_asked in zip(found, asked, strict=True)]


def _lower(target: str | None, native: Any, definition: Any) -> Any:
    """The lowering for a platform: `native`, where there is one and it may stand."""

    def by(function: Any) -> Any:
        def run(*leaves: Any, static: Any, tree: Any, maps: Maps) -> list[Any]:
            return as_function_of_leaves(function, static, tree, maps)(*leaves)

        return mlir.lower_fun(run, multiple_results=True)

    by_kernel, by_xla = native and by(native), by(definition)

    def lower(ctx: mlir.LoweringRuleContext, *args: Any, maps: Maps, **static: Any) -> Any:
        for_export = ctx.module_context.lowering_parameters.for_export
        with lowering_for(target, takes_layouts=_is_whole(ctx) and not for_export):
            run = by_xla
            if by_kernel is not None and not maps and _takes_kernels(ctx, target):
                run = by_kernel
            return run(ctx, *args, maps=maps, **static)

    return lower


def _have_rows(operands: Operands) -> list[bool]:
    """For each leaf, whether its first axis is that of the rows."""
    marks = Operands(shared=False, rows=True, d_shared=False, d_rows=True)
    return [
        has_rows
        for has_rows, tree in zip(marks, operands, strict=True)
        for _ in jax.tree.leaves(tree)
    ]


def _get_size(leaves: Any, axes: Any) -> int:
    return next(x.shape[axis] for x, axis in zip(leaves, axes, strict=True) if axis is not None)


def _fold(leaf: jax.Array, axis: int | None, size: int) -> jax.Array:
    """More rows: `[B, ...]` for each of `size` as `[size * B, ...]`."""
    if axis is None:
        leaf = jnp.broadcast_to(leaf[None], (size, *leaf.shape))
    else:
        leaf = jnp.moveaxis(leaf, axis, 0)
    return leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:])


def _takes_kernels(ctx: mlir.LoweringRuleContext, platform: str | None) -> bool:
    """False if a program for CPUs is written by `jax.export`, which holds no native code of others.

    Nor if XLA is to cut it for several devices: it cannot look into native code.
    """
    if platform == "cpu" and ctx.module_context.lowering_parameters.for_export:
        return False
    return _is_whole(ctx)


def _is_whole(ctx: mlir.LoweringRuleContext) -> bool:
    """Whether a program is for each device as it is: XLA does not cut it for several of them."""
    context: Any = ctx.module_context.axis_context
    if hasattr(context, "manual_axes"):
        return set(context.manual_axes) == set(context.mesh.axis_names)
    return getattr(context, "num_devices", 1) == 1
