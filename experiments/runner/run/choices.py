"""What several experiments let choose from: recurrent cells, directions, readouts, optimisers."""

from typing import Literal

import optax

import birnn_jax
from birnn_jax import cells

CELLS = {
    "elman": birnn_jax.ELMAN,
    "indrnn": cells.INDRNN,
    "gru": birnn_jax.GRU,
    "gru_reset_before": cells.GRU_RESET_BEFORE,
    "layer_norm_gru": cells.LAYER_NORM_GRU_BA,
    "mingru": cells.MINGRU,
    "lstm": birnn_jax.LSTM,
    "peephole_lstm": cells.PEEPHOLE_LSTM,
    "coupled_lstm": cells.COUPLED_LSTM,
    "layer_norm_lstm": cells.LAYER_NORM_LSTM_BA,
    "minlstm": cells.MINLSTM,
}
BasicCell = Literal["elman", "gru", "lstm"]
CellName = (
    BasicCell
    | Literal["indrnn", "gru_reset_before", "layer_norm_gru", "mingru"]
    | Literal["peephole_lstm", "coupled_lstm", "layer_norm_lstm", "minlstm"]
)
METHODS = {"adam": optax.adam, "sgd": optax.sgd}
Direction = Literal["both", "fwd", "bwd"]
Readout = Literal["final", "mean", "max", "attention"]
