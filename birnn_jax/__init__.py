"""Bidirectional recurrent networks for JAX: exact under padding, pure functions throughout.

Here are the names that most scripts type: cells, the functions that make and run layers and models,
what says which steps are valid, losses, train steps. The sub-packages have everything by theme,
these names too, and are attributes that are imported when they are first used, as are the names
for training, which need Optax:

| sub-package | what |
| --- | --- |
| `cells` | all cells, their parameters and carries, zoneout and recurrent dropout |
| `stacks` | layers and stacks, their parameters, dropout, states as torch.nn has them |
| `models` | taggers, classifier, recogniser, readouts, losses |
| `metrics` | accuracy, F1 of entities, label error rate, BLEU |
| `training` | train and evaluation steps |
| `heads` | CRF, CTC, attention, a bridge from an encoder to a decoder |
| `streaming` | sequences that arrive piece by piece |
| `serving` | parameters made ready for many forward runs |
| `inspection` | states, gates and gradients of a run, tables of parameters |
| `interop` | weights to and from other frameworks, ONNX, StableHLO, safetensors |
| `text` | vocabularies, CoNLL files, vectors of words, tag schemes |
| `data` | ragged sequences to batches: padded, packed, windows (needs grain) |
| `checkpoint` | checkpoints of a training (Orbax) |
| `linen`, `nnx` | layers for Flax |
| `selfcheck` | compares every backend with the equations in float64 |

A container (`LSTMParams`, `LayerParams`, ...) stands in the sub-package of what makes it, since
its fields are read more often than its name is typed.
"""

from importlib.metadata import version as _version
from typing import TYPE_CHECKING as _TYPE_CHECKING

from . import cells as cells
from . import heads as heads
from . import models as models
from . import stacks as stacks
from ._core.deprecated import module_getattr as _module_getattr
from ._core.exporting import make_exportable as _make_exportable
from ._core.masks import Mask as Mask
from ._core.masks import Segments as Segments
from ._core.masks import valid_steps as valid_steps
from ._core.types import Bi as Bi
from ._core.types import Cell as Cell
from ._losses import Total as Total
from ._losses import accuracy as accuracy
from ._losses import cross_entropy as cross_entropy
from ._models.classifier import classifier as classifier
from ._models.classifier import init_classifier as init_classifier
from ._models.readouts import final_states as final_states
from ._models.readouts import max_pool as max_pool
from ._models.readouts import mean_pool as mean_pool
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
from ._stacks.stack import init_stack as init_stack
from ._stacks.stack import stack as stack
from ._stacks.stack import stack_lengths as stack_lengths
from .cells import ELMAN as ELMAN
from .cells import GRU as GRU
from .cells import LSTM as LSTM

if _TYPE_CHECKING:
    from . import checkpoint as checkpoint
    from . import data as data
    from . import inspection as inspection
    from . import interop as interop
    from . import linen as linen
    from . import metrics as metrics
    from . import nnx as nnx
    from . import selfcheck as selfcheck
    from . import serving as serving
    from . import streaming as streaming
    from . import text as text
    from . import training as training
    from ._training.optimizer import make_optimizer as make_optimizer
    from ._training.state import TrainState as TrainState
    from ._training.state import init_train_state as init_train_state
    from ._training.train_step import make_eval_step as make_eval_step
    from ._training.train_step import make_train_step as make_train_step
else:
    __getattr__, __dir__, __all__ = _module_getattr(
        __name__,
        """
            checkpoint data inspection interop linen metrics nnx selfcheck serving streaming text
            training
        """.split(),
        {
            "cells": "ElmanCarry ElmanParams GRUCarry GRUParams LSTMCarry LSTMParams".split(),
            "stacks": "AffineParams LayerParams NormParams stack_states unstack_states".split(),
            "models": """
                AttentionPoolParams ClassifierParams TaggerParams attention_pool init_attention_pool
            """.split(),
            "training": "repeat_step require_finite".split(),
        },
        {
            "training": """
                TrainState init_train_state make_eval_step make_optimizer make_train_step
            """.split()
        },
    )

__version__ = _version("birnn-jax")
_make_exportable(globals())
