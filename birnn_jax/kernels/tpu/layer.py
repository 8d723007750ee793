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
from ..xla.layer import LayerOperations, compute_backward, compute_forward


def launch_forward(keep_gates: bool | None, operands: Operands) -> Operands:
    """The forward operation on a TPU."""
    from . import loops  # and with it Pallas, for which others shall not wait

    return compute_forward(keep_gates, operands, loops.loop)


def launch_backward(wanted: tuple[Moving, ...], operands: Operands) -> Operands:
    """The backward operation on a TPU."""
    return compute_backward(wanted, operands, _in_one_launch)


def _in_one_launch(rule: CellRule, w_h: Any, d_carries: Any, inputs: Any) -> Any:
    """As `scan_linear`, but its gradient is a launch of Pallas."""
    coefficients, d_ins, masks = zip(*inputs, strict=True)
    return _linear(rule, (w_h, coefficients, masks), (d_carries, d_ins))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _linear(rule: CellRule, fixed: Any, linear: Any) -> Any:
    (w_h, coefficients, masks), (d_carries, d_ins) = fixed, linear
    return scan_linear(rule, w_h, d_carries, tuple(zip(coefficients, d_ins, masks, strict=True)))


def _linear_forward(rule: CellRule, fixed: Any, linear: Any) -> Any:
    return _linear(rule, fixed, linear), (fixed, linear[1])


def _linear_backward(rule: CellRule, stored: Any, cts: Any) -> Any:
    from . import loops

    (w_h, coefficients, masks), d_ins = stored
    steps = tuple(zip(coefficients, d_ins, masks, strict=True))
    return None, loops.transposed_loop(rule, w_h, steps, cts)


_linear.defvjp(_linear_forward, _linear_backward)

run_on_tpu = LayerOperations(
    "birnn_tpu", forward=launch_forward, backward=launch_backward, platform="tpu"
).run
