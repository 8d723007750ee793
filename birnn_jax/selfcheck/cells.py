"""The cells that are compared, their equations, and which backends have a fast path for each."""

import jax

from ..cells import (
    COUPLED_LSTM,
    ELMAN,
    GRU,
    GRU_RESET_BEFORE,
    INDRNN,
    LAYER_NORM_GRU_BA,
    LAYER_NORM_LSTM_BA,
    LAYER_NORM_LSTM_TFA,
    LSTM,
    MINGRU,
    MINLSTM,
    PARA_GRU,
    PARA_LSTM,
    PEEPHOLE_LSTM,
    PROJECTED_LSTM,
    SLSTM,
    elman,
    parallel,
)
from . import loops, variants

CELLS = {
    "elman": ELMAN,
    "relu_elman": elman(jax.nn.relu),
    "indrnn": INDRNN,
    "gru": GRU,
    "gru_reset_before": GRU_RESET_BEFORE,
    "lstm": LSTM,
    "peephole_lstm": PEEPHOLE_LSTM,
    "coupled_lstm": COUPLED_LSTM,
    "projected_lstm": PROJECTED_LSTM,
    "layer_norm_lstm_ba": LAYER_NORM_LSTM_BA,
    "layer_norm_lstm_tfa": LAYER_NORM_LSTM_TFA,
    "layer_norm_gru_ba": LAYER_NORM_GRU_BA,
    "slstm": SLSTM,
    "lstm_heads": LSTM,
    "gru_heads": GRU,
    "para_gru": PARA_GRU,
    "para_lstm": PARA_LSTM,
    "mingru": MINGRU,
    "minlstm": MINLSTM,
    "parallel_mingru": parallel(MINGRU),
    "parallel_para_gru": parallel(PARA_GRU),
    "parallel_para_lstm": parallel(PARA_LSTM),
}
STEPS = {
    "elman": loops.elman_step,
    "relu_elman": variants.relu_elman_step,
    "indrnn": variants.indrnn_step,
    "gru": loops.gru_step,
    "gru_reset_before": variants.gru_reset_before_step,
    "lstm": loops.lstm_step,
    "peephole_lstm": variants.peephole_lstm_step,
    "coupled_lstm": variants.coupled_lstm_step,
    "projected_lstm": variants.projected_lstm_step,
    "layer_norm_lstm_ba": variants.layer_norm_lstm_ba_step,
    "layer_norm_lstm_tfa": variants.layer_norm_lstm_tfa_step,
    "layer_norm_gru_ba": variants.layer_norm_gru_ba_step,
    "slstm": variants.slstm_step,
    "lstm_heads": variants.headed(loops.lstm_step),
    "gru_heads": variants.headed(loops.gru_step),
    "para_gru": variants.para_gru_step,
    "para_lstm": variants.para_lstm_step,
    "mingru": variants.mingru_step,
    "minlstm": variants.minlstm_step,
    "parallel_mingru": variants.mingru_step,
    "parallel_para_gru": variants.para_gru_step,
    "parallel_para_lstm": variants.para_lstm_step,
}
HEADS = ("slstm", "lstm_heads", "gru_heads")
NORMED = ("layer_norm_lstm_ba", "layer_norm_lstm_tfa", "layer_norm_gru_ba")
_BY_NEWTON = ("parallel_para_gru", "parallel_para_lstm")
# Cells of which a backend has a fast path of its own; of the others "xla" is the reference.
FAST = {
    "xla": ("elman", "gru", "lstm", *HEADS),
    "tpu_kernel": ("elman", "gru", "lstm"),
    "gpu_kernel": ("elman", "gru", "lstm"),
    "cpu_kernel": [name for name in CELLS if name not in _BY_NEWTON],
    "reference": list(CELLS),
}
