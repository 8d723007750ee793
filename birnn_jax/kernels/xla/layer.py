"""A layer whose cell has a rule: three operations, whose derivative keeps weights out of loops.

`lax.scan` differentiates itself by adding to the gradient of the weights at every step. Here the
derivative is given: `forward` gives the outputs of a layer and what its derivative needs, `tangent`
is the derivative, a linear recurrence (`derivative`), and `backward` its transpose. Each stands for
the loops of XLA, arranged by the plan of the platform that a program is lowered for. A platform may
have kernels of its own in place of the loops of `forward` and `backward`.

Forward mode, reverse mode, their compositions and `vmap` all work, which `jax.custom_vjp` would not
allow. Everything has rows first, so that `vmap` over rows is more rows.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..._core.direction import Direction, Outputs
from ..._core.meshes import vary
from ..moving import (
    Moving,
    find_wanted,
    join,
    join_directions,
    parts_of,
    split,
    split_directions,
    split_tangents,
    where_moving,
)
from ..operation import Operands, Operation
from .derivative import LinearLoop, layer_tangent
from .loop import Results, make_store, run_loops, sizes_of, store_nothing
from .plan import keeps_gates
from .rules import get_rule
from .time_order import clear

Directions = tuple[Direction, ...]
Launch = Callable[[Any, Operands], Operands]
BackwardStatic = tuple[bool, tuple[Moving, ...]]  # (whether residuals="auto", what is wanted)


class LayerOperations:
    """The three operations, and what is run by them."""

    def __init__(
        self,
        name: str,
        *,
        forward: Launch | None = None,
        backward: Launch | None = None,
        platform: str = "cpu",
    ) -> None:
        self._forward = Operation(
            f"{name}_forward",
            compute_forward,
            _shapes_of_forward,
            native=forward,
            platform=platform,
        )
        self._tangent = Operation(
            f"{name}_tangent", _compute_tangent, _shapes_of_tangent, transpose=self._transpose
        )
        self._backward = Operation(
            f"{name}_backward",
            compute_backward,
            _shapes_of_backward,
            native=backward,
            platform=platform,
        )
        self._run = jax.custom_jvp(self._compute, nondiff_argnums=(0, 1))
        self._run.defjvp(self._jvp, symbolic_zeros=True)

    def run(self, directions: Directions, keep_gates: bool, auto: bool = False) -> Outputs:
        """Runs every direction of a layer.

        With `keep_gates` the gradient finds the activations of every step, otherwise it computes
        them again from the states, in one product. With `auto` it computes them again wherever the
        plan of a platform says so, and XLA does not store what nobody reads. Carries, activations
        and the derivative are of the `sum_dtype` of params and xs, outputs of their own dtype.
        """
        directions = tuple(direction.replace(packed=None) for direction in directions)
        carries, ys = self._run(keep_gates, auto, directions)
        return Outputs(carries, (ys,), sizes_of(directions))

    def _compute(self, keep_gates: bool, auto: bool, directions: Directions) -> Results:
        del keep_gates, auto  # of the derivative
        results, _ = self._forward.bind(None, split_directions(directions)).rows
        return results

    def _jvp(self, keep_gates: bool, auto: bool, primals: Any, tangents: Any) -> Any:
        (directions,), (d_directions,) = primals, tangents
        shared, rows, *_ = split_directions(directions)
        results, stored = self._forward.bind(keep_gates, Operands(shared, rows)).rows
        moving = split_tangents(d_directions)
        operands = Operands(
            shared, (rows, results[1], stored), d_shared=moving.shared, d_rows=moving.rows
        )
        return results, self._tangent.bind(auto, operands).rows

    def _transpose(self, auto: bool, cotangents: Operands, operands: Operands) -> Any:
        backward = Operands(operands.shared, operands.rows, d_rows=cotangents.rows)
        grads = self._backward.bind((auto, find_wanted(operands)), backward)
        return grads.shared, grads.rows


def compute_forward(
    keep_gates: bool | None, operands: Operands, loop: Callable[..., Any] = run_loops
) -> Operands:
    """Results, and what is stored: nothing if `keep_gates` is None."""
    directions = join_directions(operands.shared, operands.rows)
    store = store_nothing if keep_gates is None else make_store(directions, keep_gates)
    results, stored = loop(directions, store)
    return Operands(rows=(results, _swap(stored)))


def compute_backward(
    static: BackwardStatic, operands: Operands, linear_loop: LinearLoop | None = None
) -> Operands:
    """The cotangents of the parts that are wanted, from those of the results."""
    auto, wanted = static
    directions = join_directions(operands.shared, operands.rows[0])
    parts = where_moving(wanted, list(map(parts_of, directions)))

    def run(moving: Any) -> Any:
        d = split(moving)
        tangents = operands._replace(d_shared=d.shared, d_rows=d.rows)
        return _compute_tangent(auto, tangents, linear_loop).rows

    if linear_loop is None:
        (grads,) = jax.linear_transpose(run, parts)(operands.d_rows)
    else:  # at zero, as good as anywhere; what only the value needs, XLA leaves out
        (grads,) = jax.vjp(run, jax.tree.map(jnp.zeros_like, parts))[1](operands.d_rows)
    return split(grads)


def _compute_tangent(
    auto: bool, operands: Operands, linear_loop: LinearLoop | None = None
) -> Operands:
    rows, ys, stored = operands.rows
    directions = join_directions(operands.shared, rows)
    moving = join(operands.d_shared, operands.d_rows)
    stored = _swap(stored)
    if auto and not keeps_gates(directions):
        stored = tuple(of_direction._replace(activations=None) for of_direction in stored)
    parts = layer_tangent(directions, ys, stored, moving, linear_loop)
    d_carries, d_hs = zip(*parts, strict=True)
    d_ys = [clear(d_h, direction.valid) for d_h, direction in zip(d_hs, directions, strict=True)]
    return Operands(rows=(d_carries, jnp.concatenate(d_ys, axis=-1)))


def _swap(stored: Any) -> Any:
    """Of every step, `[T, B, ...]`, with rows first, `[B, T, ...]`; and back."""
    return jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), stored)


def _shapes_of_forward(keep_gates: bool | None, operands: Operands) -> Operands:
    directions = join_directions(operands.shared, operands.rows)
    batch_size, num_steps, _ = directions[0].xs.shape
    ys = (batch_size, num_steps, sum(sizes_of(directions)))
    carries = tuple(direction.carry for direction in directions)
    results = carries, jax.ShapeDtypeStruct(ys, directions[0].params.w_h.dtype)
    return Operands(rows=(results, _shapes_of_stored(directions, keep_gates)))


def _shapes_of_stored(directions: Directions, keep_gates: bool | None) -> Any:
    """From one step, which is soon traced."""
    if keep_gates is None:
        return (None,) * len(directions)
    rule, store = get_rule(directions), make_store(directions, keep_gates)
    batch_size, num_steps, input_size = directions[0].xs.shape

    def step(direction: Direction) -> Any:
        zeros = jnp.zeros([batch_size, input_size], direction.xs.dtype)
        x, direction = vary((zeros, direction))
        activations = rule.activate(rule.pack(direction.params), x, direction.carry.h)
        return store(activations, direction.carry, direction.carry)

    def over_time(leaf: Any) -> Any:
        return jax.ShapeDtypeStruct((batch_size, num_steps, *leaf.shape[1:]), leaf.dtype)

    return tuple(jax.tree.map(over_time, jax.eval_shape(step, d)) for d in directions)


def _shapes_of_tangent(auto: bool, operands: Operands) -> Operands:
    del auto
    rows, ys, _ = operands.rows
    return Operands(rows=(tuple(direction.carry for direction in rows), ys))


def _shapes_of_backward(static: BackwardStatic, operands: Operands) -> Operands:
    _, wanted = static
    directions = join_directions(operands.shared, operands.rows[0])
    return split(where_moving(wanted, list(map(parts_of, directions))))


run_layer = LayerOperations("birnn_xla").run
