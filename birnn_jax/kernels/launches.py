"""A layer by kernels that compute all steps in one launch: the operations of `kernels.xla.layer`.

On one platform forward and backward are a launch each, and the products before and after it.
Everywhere else, and where JAX asks for more (forward mode, derivatives of derivatives, maps over
parameters), each stands for the loops of XLA.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from .operation import Operands
from .xla.cell_rule import CellRule
from .xla.derivative import scan_linear
from .xla.lanes import Lanes
from .xla.layer import BackwardStatic, LayerOperations, compute_backward, compute_forward


class Loops(NamedTuple):
    """The two loops over time of a platform."""

    forward: Callable[..., Any]  # as `kernels.xla.loop.loop`
    # The transpose of a LinearLoop: (rule, w_h, steps, d_starts, d_ins, cts, *, dtype)
    transposed: Callable[..., Any]


class Launches:
    """The operations of a platform; `find_loops` imports them, with Pallas, when it is called."""

    def __init__(self, name: str, platform: str, find_loops: Callable[[], Loops]) -> None:
        self._find_loops = find_loops
        self.run = LayerOperations(
            name, forward=self.forward, backward=self.backward, platform=platform
        ).run

    def forward(self, keep_gates: bool | None, operands: Operands) -> Operands:
        """The forward operation on the platform."""
        return compute_forward(keep_gates, operands, self._find_loops().forward)

    def backward(self, static: BackwardStatic, operands: Operands) -> Operands:
        """The backward operation on the platform."""
        dtype = operands.shared[0][0].w_h.dtype
        transposed = functools.partial(self._find_loops().transposed, dtype=dtype)
        return compute_backward(static, operands, functools.partial(_linear_loop, transposed))


def _linear_loop(
    transposed: Callable[..., Any],
    rule: CellRule,
    w_h: Any,
    d_carries: Any,
    d_starts: Any,
    steps: Any,
) -> Any:
    """As `scan_linear`, but its gradient is a launch of Pallas."""
    d_ins = tuple(step.d_in for step in steps)
    fixed = tuple(step._replace(d_in=None) for step in steps)
    return _linear(transposed, rule, (w_h, fixed), (d_carries, d_starts, d_ins))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _linear(transposed: Callable[..., Any], rule: CellRule, fixed: Any, linear: Any) -> Any:
    (w_h, steps), (d_carries, d_starts, d_ins) = fixed, linear
    steps = tuple(step._replace(d_in=d_in) for step, d_in in zip(steps, d_ins, strict=True))
    lanes = Lanes(len(w_h), stacked=False)
    return scan_linear(lanes, rule, w_h, d_carries, d_starts, steps)


def _linear_forward(transposed: Any, rule: CellRule, fixed: Any, linear: Any) -> Any:
    return _linear(transposed, rule, fixed, linear), (fixed, linear)


def _linear_backward(transposed: Any, rule: CellRule, stored: Any, cts: Any) -> Any:
    (w_h, steps), (_, d_starts, d_ins) = stored
    return None, transposed(rule, w_h, steps, d_starts, d_ins, cts)


_linear.defvjp(_linear_forward, _linear_backward)
