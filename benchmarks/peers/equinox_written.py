"""equinox with a cell of the user's own: a module in `lax.scan` under `vmap`, row by row."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from benchmarks._points import Point
from benchmarks.peers import Layer, _steps, require
from benchmarks.peers._jax_steps import OPS, flip


class WrittenCell(eqx.Module):
    """Weights by the names of birnn_jax."""

    weights: dict[str, jax.Array]
    cell: str = eqx.field(static=True)

    def __call__(self, carry: Any, x: jax.Array) -> Any:
        """One step of one row."""
        step, w = _steps.WRITTEN[self.cell].step, self.weights
        return step(OPS, w, carry, x @ w["w_x"], _steps.Noise())


def make_layer(point: Point) -> Layer:
    """Rows are turned around for the second direction; what follows their end is not read."""
    require(point, "equinox with a cell written out", _steps.WRITTEN, ("segments", "gaps"))
    sizes = _steps.state_sizes(point.cell, point.shape[3])

    def to_params(pair):
        return tuple(pair)

    def scan(cell: WrittenCell, xs: jax.Array, starts: Any, valid: Any) -> jax.Array:
        zeros = tuple(jnp.zeros(size, xs.dtype) for size in sizes)

        def step(carry, at):
            x, is_start, is_valid = at
            if is_start is not None:
                carry = tuple(jnp.where(is_start, 0, leaf) for leaf in carry)
            new = cell(carry, x)
            if is_valid is not None:
                new = tuple(map(lambda a, b: jnp.where(is_valid, a, b), new, carry))
            return new, new[-1]

        return jax.lax.scan(step, zeros, (xs, starts, valid))[1]

    over_rows = jax.vmap(scan, in_axes=(None, 0, 0, 0))

    def run(direction, xs, lengths):
        starts = valid = None
        if point.option == "segments":
            starts = jnp.diff(lengths, axis=1, prepend=0) != 0
        if point.option == "gaps":
            valid = lengths
        return over_rows(WrittenCell(direction, point.cell), xs, starts, valid)

    def apply(params, xs, lengths):
        fwd = run(params[0], xs, lengths)
        if point.option:  # turned as a whole
            bwd = run(params[1], xs[:, ::-1], lengths[:, ::-1])[:, ::-1]
        else:
            bwd = flip(run(params[1], flip(xs, lengths), lengths), lengths)
        return jnp.concatenate([fwd, bwd], axis=-1)

    return Layer(to_params, apply)
