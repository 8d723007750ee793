"""A layer by the kernels for TPUs: the operations of `kernels.xla.layer`, with launches of Pallas.

On a TPU forward and backward are one launch for all steps and the products before and after it.
Everywhere else, and where JAX asks for more (forward mode, derivatives of derivatives, maps over
parameters), each stands for the loops of XLA.
"""

import functools
from typing import Any

import jax

from ..moving import Moving
from ..operation import Operands
from ..xla.cell_rule import CellRule
from ..xla.derivative import scan_linear
from ..xla.lanes import Lanes
from ..xla.layer import LayerOperations, compute_backward, compute_forward


def launch_forward(keep_gates: bool | None, operands: Operands) -> Operands:
    """The forward operation on a TPU."""
    from . import loops  # and with it Pallas, for which others shall not wait

    return compute_forward(keep_gates, operands, loops.loop)


def launch_backward(wanted: tuple[Moving, ...], operands: Operands) -> Operands:
    """The backward operation on a TPU."""
    return compute_backward(wanted, operands, _in_one_launch)


def _in_one_launch(rule: CellRule, w_h: Any, d_carries: Any, d_starts: Any, steps: Any) -> Any:
    """As `scan_linear`, but its gradient is a launch of Pallas."""
    d_ins = tuple(step.d_in for step in steps)
    fixed = tuple(step._replace(d_in=None) for step in steps)
    return _linear(rule, (w_h, fixed), (d_carries, d_starts, d_ins))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _linear(rule: CellRule, fixed: Any, linear: Any) -> Any:
    (w_h, steps), (d_carries, d_starts, d_ins) = fixed, linear
    steps = tuple(step._replace(d_in=d_in) for step, d_in in zip(steps, d_ins, strict=True))
    lanes = Lanes(len(w_h), stacked=False)
    return scan_linear(lanes, rule, w_h, d_carries, d_starts, steps)


def _linear_forward(rule: CellRule, fixed: Any, linear: Any) -> Any:
    return _linear(rule, fixed, linear), (fixed, linear)


def _linear_backward(rule: CellRule, stored: Any, cts: Any) -> Any:
    from . import loops

    (w_h, steps), (_, d_starts, d_ins) = stored
    return None, loops.transposed_loop(rule, w_h, steps, d_starts, d_ins, cts)


_linear.defvjp(_linear_forward, _linear_backward)

run_on_tpu = LayerOperations(
    "birnn_tpu", forward=launch_forward, backward=launch_backward, platform="tpu"
).run
