"""Ourselves. The variants of the plan are the one place where a private name is used."""

from typing import Literal

import jax

from benchmarks._points import Point
from benchmarks.peers import Layer
from birnn_jax import ELMAN, GRU, LSTM, Bi, bidirectional, serving
from birnn_jax.cells import SLSTM, ElmanParams, GRUParams, LSTMParams, SLSTMParams
from birnn_jax.kernels.xla import plan as _plan

CELLS = {
    "elman": (ELMAN, ElmanParams),
    "gru": (GRU, GRUParams),
    "lstm": (LSTM, LSTMParams),
    "slstm": (SLSTM, SLSTMParams),
}


def make_layer(
    point: Point,
    *,
    residuals: Literal["auto", "gates", "states", "chunked"] = "auto",
    backend: Literal["auto", "xla"] = "auto",
    plain: bool = False,
    prepared: bool = False,
    int8: bool = False,
    plan: dict | None = None,
) -> Layer:
    """One call of `bidirectional`; `plain` takes the scan that users' own cells take.

    With `prepared`, weights are packed before and held by the program; with `int8` they are rounded
    before that.
    """
    cell, container = CELLS[point.cell]
    if plain:
        step = cell.step
        cell = cell._replace(step=lambda params, carry, x: step(params, carry, x))
    if plan:
        _plan.PLANS[jax.default_backend()] = _plan.get_plan()._replace(**plan)

    def to_params(pair):
        params = Bi(*(container(**_with_b_hn(point, direction)) for direction in pair))
        params = serving.quantize(cell, params) if int8 else params
        return serving.prepare(cell, params) if prepared else params

    def apply(params, xs, lengths):
        return bidirectional(cell, params, xs, lengths, residuals=residuals, backend=backend)[1]

    return Layer(to_params, apply, holds_params=prepared)


def _with_b_hn(point: Point, direction: dict) -> dict:
    if point.cell != "gru":
        return direction
    hidden_size = direction["w_h"].shape[0]
    return direction | {"b_hn": 0 * direction["b"][:hidden_size]}
