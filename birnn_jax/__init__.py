"""Bidirectional recurrent networks for JAX: exact under padding, pure functions throughout.

`birnn_jax.cells` has more cells and what regularises them. `birnn_jax.heads` (CRF, CTC, attention),
`birnn_jax.inspection`, `birnn_jax.checkpoint` (Orbax), `birnn_jax.linen` and `birnn_jax.nnx` (Flax)
are imported by name.
"""

from importlib.metadata import version as _version

from ._core.affine import AffineParams as AffineParams
from ._core.exporting import make_exportable as _make_exportable
from ._core.masks import Mask as Mask
from ._core.masks import Segments as Segments
from ._core.types import Bi as Bi
from ._core.types import Cell as Cell
from ._models.classifier import ClassifierParams as ClassifierParams
from ._models.classifier import classifier as classifier
from ._models.classifier import init_classifier as init_classifier
from ._models.losses import Total as Total
from ._models.losses import accuracy as accuracy
from ._models.losses import cross_entropy as cross_entropy
from ._models.readouts import AttentionPoolParams as AttentionPoolParams
from ._models.readouts import attention_pool as attention_pool
from ._models.readouts import final_states as final_states
from ._models.readouts import init_attention_pool as init_attention_pool
from ._models.readouts import max_pool as max_pool
from ._models.readouts import mean_pool as mean_pool
from ._models.tagger import TaggerParams as TaggerParams
from ._models.tagger import init_tagger as init_tagger
from ._models.tagger import tagger as tagger
from ._recurrence.backends import backends as backends
from ._recurrence.bidirectional import bidirectional as bidirectional
from ._recurrence.bidirectional import init_bidirectional as init_bidirectional
from ._recurrence.scan_cell import scan_cell as scan_cell
from ._stacks.dropout import drop_connect as drop_connect
from ._stacks.dropout import dropout as dropout
from ._stacks.dropout import locked_dropout as locked_dropout
from ._stacks.dropout import word_dropout as word_dropout
from ._stacks.layer import Layer as Layer
from ._stacks.layer import LayerParams as LayerParams
from ._stacks.layer import NormParams as NormParams
from ._stacks.stack import init_stack as init_stack
from ._stacks.stack import stack as stack
from ._stacks.stack import stack_lengths as stack_lengths
from ._stacks.states import stack_states as stack_states
from ._stacks.states import unstack_states as unstack_states
from ._training.train_step import TrainState as TrainState
from ._training.train_step import init_train_state as init_train_state
from ._training.train_step import make_eval_step as make_eval_step
from ._training.train_step import make_optimizer as make_optimizer
from ._training.train_step import make_train_step as make_train_step
from ._training.train_step import repeat_step as repeat_step
from ._training.train_step import require_finite as require_finite
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
_make_exportable(globals())
