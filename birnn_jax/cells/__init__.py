"""Recurrent cells, one file each, and functions from a cell to a cell.

Options of initialisation are given by `cell.with_init(...)`. Those of weights (`w_x`, `w_h`) are a
name, "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "orthogonal", "identity" or
"torch", or a function of a key and a shape, applied to every gate by itself. "torch" is uniform
within 1/sqrt(hidden_size); given for `b` too, the cell starts as a torch.nn layer does.
`time_span` is the chrono initialisation of Tallec and Ollivier, Can Recurrent Neural Networks
Warp Time?, 2018: gates that start with memories of 2 to `time_span` steps.
"""

from .._core.exporting import make_exportable as _make_exportable
from ._diagonal import DiagonalStep as DiagonalStep
from ._elman import ELMAN as ELMAN
from ._elman import ElmanCarry as ElmanCarry
from ._elman import ElmanGates as ElmanGates
from ._elman import ElmanParams as ElmanParams
from ._elman import elman as elman
from ._gated import GatedStep as GatedStep
from ._gru import GRU as GRU
from ._gru import GRUCarry as GRUCarry
from ._gru import GRUGates as GRUGates
from ._gru import GRUParams as GRUParams
from ._gru_reset_before import GRU_RESET_BEFORE as GRU_RESET_BEFORE
from ._gru_reset_before import GRUResetBeforeParams as GRUResetBeforeParams
from ._indrnn import INDRNN as INDRNN
from ._indrnn import IndRNNParams as IndRNNParams
from ._indrnn import indrnn as indrnn
from ._layer_norm import LAYER_NORM_GRU_BA as LAYER_NORM_GRU_BA
from ._layer_norm import LAYER_NORM_LSTM_BA as LAYER_NORM_LSTM_BA
from ._layer_norm import LAYER_NORM_LSTM_TFA as LAYER_NORM_LSTM_TFA
from ._layer_norm import LayerNormGRUParams as LayerNormGRUParams
from ._layer_norm import LayerNormLSTMParams as LayerNormLSTMParams
from ._linear import LinearCarry as LinearCarry
from ._linear import LinearStep as LinearStep
from ._linear import parallel as parallel
from ._lstm import LSTM as LSTM
from ._lstm import LSTMCarry as LSTMCarry
from ._lstm import LSTMGates as LSTMGates
from ._lstm import LSTMParams as LSTMParams
from ._lstm_coupled import COUPLED_LSTM as COUPLED_LSTM
from ._lstm_coupled import CoupledLSTMParams as CoupledLSTMParams
from ._lstm_peephole import PEEPHOLE_LSTM as PEEPHOLE_LSTM
from ._lstm_peephole import PeepholeLSTMGates as PeepholeLSTMGates
from ._lstm_peephole import PeepholeLSTMParams as PeepholeLSTMParams
from ._lstm_projected import PROJECTED_LSTM as PROJECTED_LSTM
from ._lstm_projected import ProjectedLSTMParams as ProjectedLSTMParams
from ._minimal import MINGRU as MINGRU
from ._minimal import MINLSTM as MINLSTM
from ._minimal import MinGRUParams as MinGRUParams
from ._minimal import MinLSTMParams as MinLSTMParams
from ._noise import candidate_dropout as candidate_dropout
from ._noise import recurrent_dropout as recurrent_dropout
from ._noise import zoneout as zoneout
from ._para import PARA_GRU as PARA_GRU
from ._para import PARA_LSTM as PARA_LSTM
from ._para import ParaGRUParams as ParaGRUParams
from ._para import ParaLSTMParams as ParaLSTMParams
from ._slstm import SLSTM as SLSTM
from ._slstm import SLSTMCarry as SLSTMCarry
from ._slstm import SLSTMGates as SLSTMGates
from ._slstm import SLSTMParams as SLSTMParams

_make_exportable(globals())
