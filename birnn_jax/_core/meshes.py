"""Functions of rows in programs over several devices, where types say which device has what.

A type can say two things. In a mesh with explicit axes, which `jax.make_mesh` makes, it has the
sharding of an array, and an operation whose result could be spread in several ways is refused.
Inside `jax.shard_map` it has the axes over which an array varies, and a loop is refused whose carry
begins the same on all devices and does not stay so. Both are settled here: rows are independent, so
that results are spread over the devices as the rows of the arguments are.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import jax
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

from .jax_modes import refuse_taylor_mode

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def over_rows(*names: str) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Makes a function take arrays of a mesh with explicit axes, spread in any way.

    Inside, the compiler divides the work, as for `AxisType.Auto`. An array of the result has its
    first axis spread as that of the arguments `names`, and the others whole; a scalar is whole.
    """

    def decorate(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        signature = inspect.signature(function)
        assert set(names) <= set(signature.parameters), names

        @functools.wraps(function)
        def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            leaves, tree = jax.tree.flatten((args, kwargs))
            is_array = [isinstance(leaf, jax.Array) for leaf in leaves]
            arrays = [leaf for leaf, has in zip(leaves, is_array, strict=True) if has]
            mesh = _find_explicit_mesh(arrays)
            if mesh is None:
                return function(*args, **kwargs)

            def run_arrays(arrays: list[jax.Array]) -> Result:
                rest, call = iter(arrays), cast(Callable[..., Result], function)
                inside = [
                    next(rest) if has else leaf for leaf, has in zip(leaves, is_array, strict=True)
                ]
                args, kwargs = jax.tree.unflatten(tree, inside)
                return call(*args, **kwargs)

            given = signature.bind(*args, **kwargs).arguments
            rows = _find_axes_of_rows([given.get(name) for name in names])
            return _run_auto(run_arrays, arrays, mesh, rows)

        return run

    return decorate


def _find_explicit_mesh(arrays: list[jax.Array]) -> AbstractMesh | None:
    meshes = [jax.sharding.get_abstract_mesh()]
    meshes += [jax.typeof(array).sharding.mesh for array in arrays]
    return next((mesh for mesh in meshes if AxisType.Explicit in mesh.axis_types), None)


def _find_axes_of_rows(arguments: Any) -> Any:
    """The axes of the mesh over which the first axis of the first array that is spread lies."""
    arrays = [leaf for leaf in jax.tree.leaves(arguments) if isinstance(leaf, jax.Array)]
    specs = [jax.typeof(array).sharding.spec for array in arrays]
    return next((spec[0] for spec in specs if spec and spec[0] is not None), None)


def _run_auto(
    run: Callable[[list[jax.Array]], Result], arrays: list[jax.Array], mesh: AbstractMesh, rows: Any
) -> Result:
    axes = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    explicit = tuple(name for name, kind in axes.items() if kind is AxisType.Explicit)
    by_rows, whole = (NamedSharding(mesh, spec) for spec in (PartitionSpec(rows), PartitionSpec()))
    structure = []

    def run_leaves(arrays: list[jax.Array]) -> tuple[list[jax.Array], list[jax.Array]]:
        leaves, tree = jax.tree.flatten(run(arrays))
        structure.append((tree, [leaf.ndim > 0 for leaf in leaves]))
        return [leaf for leaf in leaves if leaf.ndim], [leaf for leaf in leaves if not leaf.ndim]

    # As one program: what is differentiated step by step would be transposed outside.
    run_inside: Any = jax.sharding.auto_axes(
        jax.jit(run_leaves), axes=explicit, out_sharding=(by_rows, whole)
    )
    parts = run_inside(arrays)
    (tree, is_row), (with_rows, scalars) = structure[-1], map(iter, parts)
    return jax.tree.unflatten(tree, [next(with_rows if rows else scalars) for rows in is_row])


def scan(
    body: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, **options: Any
) -> tuple[Any, Any]:
    """`jax.lax.scan`; inside `jax.shard_map` the carry varies over all axes that a step adds."""
    refuse_taylor_mode((carry, xs))
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return jax.lax.scan(body, carry, xs, **options)

    def first_step(carry: Any, xs: Any) -> Any:
        return body(carry, jax.tree.map(lambda leaf: leaf.sum(axis=0).astype(leaf.dtype), xs))[0]

    after = jax.make_jaxpr(first_step)(carry, xs).out_avals
    axes = frozenset().union(
        *(aval.mat.varying for aval in after), *map(_varying, jax.tree.leaves(carry))
    )

    def step(carry: Any, x: Any) -> tuple[Any, Any]:
        carry, y = body(carry, x)
        return vary(carry, axes), y

    return jax.lax.scan(step, vary(carry, axes), xs, **options)


def vary(tree: Any, axes: frozenset[str] | None = None) -> Any:
    """Inside `jax.shard_map`: every leaf varies over `axes`, or those over which any leaf does."""
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    axes = frozenset().union(*map(_varying, leaves)) if axes is None else axes
    return jax.tree.unflatten(structure, [_cast(leaf, axes - _varying(leaf)) for leaf in leaves])


def _varying(leaf: Any) -> frozenset[str]:
    return jax.typeof(leaf).mat.varying


def _cast(leaf: Any, missing: frozenset[str]) -> Any:
    return jax.lax.pcast(leaf, tuple(missing), to="varying") if missing else leaf
