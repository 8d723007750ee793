"""The gates of one step, by their names."""

from typing import Any

import jax

from .._core.types import Carry, Params, StepFn
from ..cells._gated import GatedStep
from ..cells._linear import GatedCoefficients, LinearStep
from ..cells._lstm_peephole import PeepholeLSTMGates, open_output
from ..cells._noise import NoisyStep


def find_gates(step: StepFn, params: Params, carry: Carry, x: jax.Array) -> Any:
    """A NamedTuple of `[H]`; None for a step that does not say what its gates are."""
    if isinstance(step, NoisyStep):
        return find_gates(step.step, params, carry, x)
    if isinstance(step, LinearStep) and isinstance(step.coefficients, GatedCoefficients):
        return step.coefficients.gates(params, x)
    if not isinstance(step, GatedStep):
        return None
    gates = step.gates(params, carry, x)
    if isinstance(gates, PeepholeLSTMGates):
        new, _ = step.update(params, carry, gates)
        return open_output(params, gates, new.c)
    return gates
