"""Ourselves. The variants of the plan are the one place where a private name is used."""

import functools
from typing import Literal

import jax

from benchmarks import _cells
from benchmarks._points import Point
from benchmarks.peers import Layer, Unsupported
from birnn_jax import ELMAN, GRU, LSTM, Bi, Mask, Segments, bidirectional, cells, serving
from birnn_jax.kernels.xla import plan as _plan

CELLS = {
    "elman": (ELMAN, cells.ElmanParams),
    "relu_elman": (cells.elman(jax.nn.relu), cells.ElmanParams),
    "indrnn": (cells.INDRNN, cells.IndRNNParams),
    "gru": (GRU, cells.GRUParams),
    "gru_heads": (GRU, cells.GRUParams),
    "gru_reset_before": (cells.GRU_RESET_BEFORE, cells.GRUResetBeforeParams),
    "layer_norm_gru_ba": (cells.LAYER_NORM_GRU_BA, cells.LayerNormGRUParams),
    "lstm": (LSTM, cells.LSTMParams),
    "lstm_heads": (LSTM, cells.LSTMParams),
    "peephole_lstm": (cells.PEEPHOLE_LSTM, cells.PeepholeLSTMParams),
    "coupled_lstm": (cells.COUPLED_LSTM, cells.CoupledLSTMParams),
    "projected_lstm": (cells.PROJECTED_LSTM, cells.ProjectedLSTMParams),
    "layer_norm_lstm_ba": (cells.LAYER_NORM_LSTM_BA, cells.LayerNormLSTMParams),
    "layer_norm_lstm_tfa": (cells.LAYER_NORM_LSTM_TFA, cells.LayerNormLSTMParams),
    "slstm": (cells.SLSTM, cells.SLSTMParams),
    "slstm_heads": (cells.SLSTM, cells.SLSTMParams),
    "mingru": (cells.MINGRU, cells.MinGRUParams),
    "minlstm": (cells.MINLSTM, cells.MinLSTMParams),
    "para_gru": (cells.PARA_GRU, cells.ParaGRUParams),
    "para_lstm": (cells.PARA_LSTM, cells.ParaLSTMParams),
}
NOISES = {
    "recurrent-dropout": functools.partial(cells.recurrent_dropout, rate=_cells.RATE),
    "candidate-dropout": functools.partial(cells.candidate_dropout, rate=_cells.RATE),
    "zoneout": functools.partial(cells.zoneout, h=_cells.RATE, c=_cells.RATE),
}
LENGTHS = {"segments": Segments, "gaps": Mask}


def make_layer(
    point: Point,
    *,
    residuals: Literal["auto", "gates", "states", "chunked"] = "auto",
    backend: Literal["auto", "tpu_kernel", "gpu_kernel", "xla", "reference"] = "auto",
    plain: bool = False,
    in_parallel: bool = False,
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
    if in_parallel:
        cell = cells.parallel(cell)
    cell = NOISES.get(point.option, _as_it_is)(cell)
    if plan:
        _plan.PLANS[jax.default_backend()] = _plan.get_plan()._replace(**plan)

    def to_params(pair):
        params = Bi(*(container(**_with_b_hn(point, direction)) for direction in pair))
        params = serving.quantize(cell, params) if int8 else params
        return serving.prepare(cell, params) if prepared else params

    def apply(params, xs, lengths, key=None):
        steps = LENGTHS.get(point.option, _as_it_is)(lengths)
        options = {"key": key, "residuals": residuals, "backend": backend}
        try:
            return bidirectional(cell, params, xs, steps, **options)[1]
        except ValueError as error:
            if backend not in ("tpu_kernel", "gpu_kernel"):
                raise
            raise Unsupported(str(error)) from error  # sizes that the kernel does not take

    return Layer(to_params, apply, holds_params=prepared)


def _as_it_is(value):
    return value


def _with_b_hn(point: Point, direction: dict) -> dict:
    if point.cell not in ("gru", "gru_heads"):
        return direction
    hidden_size = point.shape[3]
    return direction | {"b_hn": 0 * direction["b"][:hidden_size]}
