"""Bidirectional recurrent networks for JAX: exact under padding, pure functions throughout.

`birnn_jax.cells` has more cells and what regularises them. `birnn_jax.heads` (CRF, CTC, attention),
`birnn_jax.inspection`, `birnn_jax.checkpoint` (Orbax), `birnn_jax.linen` and `birnn_jax.nnx` (Flax)
are imported by name.
"""

from importlib.metadata import version as _version

from ._affine import AffineParams as AffineParams
from ._backends import backends as backends
from ._bidirectional import bidirectional as bidirectional
from ._bidirectional import init_bidirectional as init_bidirectional
from ._dropout import drop_connect as drop_connect
from ._dropout import dropout as dropout
from ._dropout import locked_dropout as locked_dropout
from ._dropout import word_dropout as word_dropout
from ._layer import Layer as Layer
from ._layer import LayerParams as LayerParams
from ._layer import NormParams as NormParams
from ._losses import Total as Total
from ._losses import accuracy as accuracy
from ._losses import cross_entropy as cross_entropy
from ._models import ClassifierParams as ClassifierParams
from ._models import TaggerParams as TaggerParams
from ._models import classifier as classifier
from ._models import init_classifier as init_classifier
from ._models import init_tagger as init_tagger
from ._models import tagger as tagger
from ._readouts import AttentionPoolParams as AttentionPoolParams
from ._readouts import attention_pool as attention_pool
from ._readouts import final_states as final_states
from ._readouts import init_attention_pool as init_attention_pool
from ._readouts import max_pool as max_pool
from ._readouts import mean_pool as mean_pool
from ._scan import scan_cell as scan_cell
from ._stack import init_stack as init_stack
from ._stack import stack as stack
from ._stack import stack_lengths as stack_lengths
from ._states import stack_states as stack_states
from ._states import unstack_states as unstack_states
from ._train import TrainState as TrainState
from ._train import init_train_state as init_train_state
from ._train import make_eval_step as make_eval_step
from ._train import make_optimizer as make_optimizer
from ._train import make_train_step as make_train_step
from ._train import repeat_step as repeat_step
from ._train import require_finite as require_finite
from ._types import Bi as Bi
from ._types import Cell as Cell
from ._visits import Mask as Mask
from ._visits import Segments as Segments
from .cells import ELMAN as ELMAN
from .cells import GRU as GRU
from .cells import LSTM as LSTM
from .cells import ElmanCarry as ElmanCarry
from .cells import ElmanParams as ElmanParams
from .cells import GRUCarry as GRUCarry
from .cells import GRUParams as GRUParams
from .cells import LSTMCarry as LSTMCarry
from .cells import LSTMParams as LSTMParams

__version__ = _version("birnn-jax")
