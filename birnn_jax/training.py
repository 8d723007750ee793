"""Train steps, evaluation steps and what they take: a loss function, an optimiser, a state."""

from ._core.exporting import make_exportable as _make_exportable
from ._training.train_step import TrainState as TrainState
from ._training.train_step import init_train_state as init_train_state
from ._training.train_step import make_eval_step as make_eval_step
from ._training.train_step import make_optimizer as make_optimizer
from ._training.train_step import make_train_step as make_train_step
from ._training.train_step import repeat_step as repeat_step
from ._training.train_step import require_finite as require_finite

_make_exportable(globals())
