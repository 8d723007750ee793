"""The rule of the Elman cell."""

import jax

from ...cells import ElmanCarry, ElmanParams
from .cell_rule import CellRule
from .joint import JointWeights, activate, combine, finish, pack, project, recurrent


def _pack(params: ElmanParams) -> JointWeights:
    return pack(params, "t")


def _update(activations: jax.Array, carry: ElmanCarry) -> ElmanCarry:
    del carry
    return ElmanCarry(h=activations)


def _coefficients(activations: jax.Array, carry: ElmanCarry) -> jax.Array:
    del carry
    return 1 - activations * activations


def _inject(coefficients: jax.Array, d_a_x: jax.Array, d_a_h: jax.Array) -> ElmanCarry:
    return ElmanCarry(h=coefficients * (d_a_x + d_a_h))


def _advance(
    coefficients: jax.Array, d_carry: ElmanCarry, d_u: jax.Array, d_in: ElmanCarry
) -> ElmanCarry:
    del d_carry
    return ElmanCarry(h=coefficients * d_u + d_in.h)


ELMAN_RULE = CellRule(
    pack=_pack,
    project=project,
    finish=finish,
    activate=activate,
    recurrent=recurrent,
    combine=combine,
    update=_update,
    coefficients=_coefficients,
    inject=_inject,
    advance=_advance,
)
