"""Recurrent cells, one file each."""

from ._elman import ELMAN as ELMAN
from ._elman import ElmanCarry as ElmanCarry
from ._elman import ElmanParams as ElmanParams
from ._gru import GRU as GRU
from ._gru import GRUCarry as GRUCarry
from ._gru import GRUParams as GRUParams
from ._lstm import LSTM as LSTM
from ._lstm import LSTMCarry as LSTMCarry
from ._lstm import LSTMParams as LSTMParams
