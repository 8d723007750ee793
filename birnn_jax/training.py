"""Train steps, evaluation, averages, writers of metrics, and a whole training: `fit`.

`fit` is the plain case. A loop of one's own is made of the same pieces:

    state = init_train_state(params, optimizer)
    train_step, eval_step = make_train_step(loss_fn, optimizer), make_eval_step(loss_fn)
    for step in range(num_steps):
        state, metrics = train_step(state, batches[step], key)
        if (step + 1) % steps_per_evaluation == 0:
            scores.append(-evaluate(eval_step, state.params, dev)["loss"])
            checkpoints.save(state, position={"scores": scores}, score=scores[-1])
            if should_stop(scores, patience=5):
                break
"""

from ._core.exporting import make_exportable as _make_exportable
from ._training.averaging import average_of as average_of
from ._training.averaging import with_average as with_average
from ._training.evaluation import Batches as Batches
from ._training.evaluation import evaluate as evaluate
from ._training.evaluation import means_of as means_of
from ._training.evaluation import should_stop as should_stop
from ._training.fit import Fitted as Fitted
from ._training.fit import fit as fit
from ._training.json_lines import JsonLines as JsonLines
from ._training.optimizer import make_optimizer as make_optimizer
from ._training.state import TrainState as TrainState
from ._training.state import init_train_state as init_train_state
from ._training.train_step import make_eval_step as make_eval_step
from ._training.train_step import make_train_step as make_train_step
from ._training.train_step import quick_compilation as quick_compilation
from ._training.train_step import repeat_step as repeat_step
from ._training.train_step import require_finite as require_finite
from ._training.writers import TensorBoard as TensorBoard
from ._training.writers import Terminal as Terminal
from ._training.writers import WandB as WandB
from ._training.writers import Writer as Writer

_make_exportable(globals())
