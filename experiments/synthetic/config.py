"""The settings of a run on a made-up task, and what the runner makes of them."""

import dataclasses
import functools
from typing import Any, Literal

import jax
import numpy as np
import optax

import birnn_jax
from birnn_jax import Cell, Layer, Total, make_optimizer
from birnn_jax.cells import MINGRU, elman
from experiments.runner import loop
from experiments.runner.settings import require
from experiments.synthetic.tasks import TASKS, Examples, Task

CELLS = {
    "elman": birnn_jax.ELMAN,
    "relu": elman(jax.nn.relu),
    "gru": birnn_jax.GRU,
    "lstm": birnn_jax.LSTM,
    "mingru": MINGRU,
}
METHODS = {"adam": optax.adam, "sgd": optax.sgd}
TRAIN, DEV, TEST = range(3)
_POSITIVE = (
    *("layers", "hidden_size", "batch_size", "steps", "steps_per_evaluation"),
    *("held_out", "learning_rate"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """Everything that decides the outcome of a run."""

    task: Literal["adding", "copy", "order", "parity", "xor"] = "adding"
    """What to learn; experiments/synthetic/tasks.py says what each is."""
    length: int = 100
    """Steps T of a sequence; of "copy", those between the symbols and the sign to repeat them."""
    cell: Literal["elman", "relu", "gru", "lstm", "mingru"] = "lstm"
    """Recurrent cell; "relu" is an Elman cell with that nonlinearity."""
    direction: Literal["both", "fwd", "bwd"] = "fwd"
    """Directions in which each layer reads the sequence."""
    layers: int = 1
    """Recurrent layers."""
    hidden_size: int = 32
    """Hidden units of each layer and direction."""

    w_h: str | None = None
    """How recurrent weights start, by a name that birnn_jax.cells knows, such as "orthogonal" or
    "glorot_uniform"; the cell's own way if not given."""
    forget_bias: float | None = None
    """How the forget gate of an LSTM is biased at the start; 1 if not given."""
    time_span: int | None = None
    """Gates start with memories of 2 to so many steps (chrono initialisation)."""

    optimizer: Literal["adam", "sgd"] = "adam"
    """Method of descent."""
    learning_rate: float = 3e-3
    """Its learning rate, from the first step to the last."""
    clip_norm: float | None = 1.0
    """Longest gradient; a longer one is scaled down. None leaves all as they are."""
    batch_size: int = 32
    """Sequences of a batch, new ones at every step."""
    steps: int = 2000
    """Training steps, at most: a task that is solved on held-out sequences ends the run."""
    steps_per_evaluation: int = 100
    """Steps between evaluations; as many are one call of the device."""
    held_out: int = 512
    """Sequences of an evaluation; the test at the end has four times as many."""
    seed: int = 0
    """Seed of parameters and sequences. The same seed gives the same run."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        for name in _POSITIVE:
            value = getattr(self, name)
            require(value > 0, f"{name} must be positive, got {value}")
        require(
            self.steps % self.steps_per_evaluation == 0,
            f"steps must be a multiple of steps_per_evaluation, got {self.steps} and "
            f"{self.steps_per_evaluation}",
        )
        shortest = TASKS[self.task].shortest
        require(
            self.length >= shortest,
            f"The task {self.task} needs a length of at least {shortest}, got {self.length}",
        )
        _ = self.recurrent_cell  # refuses options that the cell does not have

    @property
    def recurrent_cell(self) -> Cell:
        """The cell with its options of initialisation."""
        names = ("w_h", "forget_bias", "time_span")
        options = {name: getattr(self, name) for name in names}
        given = {name: value for name, value in options.items() if value is not None}
        return CELLS[self.cell].with_init(**given) if given else CELLS[self.cell]

    @property
    def stack(self) -> tuple[Layer, ...]:
        """The recurrent layers."""
        return (Layer(self.recurrent_cell, direction=self.direction),) * self.layers

    @property
    def what(self) -> Task:
        """The task itself."""
        return TASKS[self.task]


def make_training(config: SyntheticConfig) -> loop.Training:
    """Says to the runner what to train."""
    sign = -1 if config.what.measure == "loss" else 1
    return loop.Training(
        loss_fn=make_loss(config),
        optimizer=make_optimizer(
            config.learning_rate,
            clip_norm=config.clip_norm,
            method=METHODS[config.optimizer],
        ),
        init_params=functools.partial(init_params, config),
        train=Numbers(config, TRAIN, config.steps, per_item=config.steps_per_evaluation),
        dev=Numbers(config, DEV, -(-config.held_out // config.batch_size)),
        steps_per_evaluation=config.steps_per_evaluation,
        patience=config.steps,
        seed=config.seed,
        score=lambda means: sign * means[config.what.measure],
        enough=sign * config.what.solved,
        steps_per_dispatch=config.steps_per_evaluation,
    )


class Numbers:
    """The numbers of batches that the loss makes for itself, `per_item` of them stacked.

    The seed travels with them, so that runs of every seed are one program, compiled once.
    """

    def __init__(self, config: SyntheticConfig, part: int, total: int, *, per_item: int = 1):
        """Of one part: training, development or test."""
        self._seed, self._batch_size = config.seed, config.batch_size
        self._part, self._total, self._per_item = part, total, per_item

    def __len__(self) -> int:
        return self._total // self._per_item

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """Numbers `[]`, rows `[B]`; or a `per_item` of each."""
        first = index * self._per_item
        batches = [self._batch(first + i) for i in range(self._per_item)]
        stacked = {name: np.stack([one[name] for one in batches]) for name in batches[0]}
        return stacked if self._per_item > 1 else batches[0]

    def _batch(self, number: int) -> dict[str, np.ndarray]:
        numbers = {"seed": self._seed, "part": self._part, "number": number}
        rows = np.arange(self._batch_size, dtype=np.int32)
        return {name: np.array(n, np.uint32) for name, n in numbers.items()} | {"rows": rows}


def examples_of(config: SyntheticConfig, batch: Any) -> Examples:
    """Makes the rows `batch["rows"]` of the batch of a seed, a part and a number."""
    key = jax.random.fold_in(jax.random.key(batch["seed"]), 1 + batch["part"])
    key = jax.random.fold_in(key, batch["number"])
    examples = config.what.make(key, config.batch_size, config.length)
    return jax.tree.map(lambda leaf: leaf[batch["rows"]], examples)


def make_loss(config: SyntheticConfig) -> loop.LossFn:
    """The loss of training, evaluation and tests; beside it the accuracy, where there is one."""

    def loss_fn(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Total]:
        del key
        examples = examples_of(config, batch)
        return totals_of(birnn_jax.tagger(config.stack, params, examples.xs), examples)

    return loss_fn


def totals_of(outputs: jax.Array, examples: Examples) -> dict[str, Total]:
    """Squared error of numbers, cross entropy in nats and accuracy of classes."""
    answers, mask = examples.answers, examples.mask
    if jax.numpy.issubdtype(answers.dtype, jax.numpy.integer):
        return {
            "loss": birnn_jax.cross_entropy(outputs, answers, mask),
            "accuracy": birnn_jax.accuracy(outputs, answers, mask),
        }
    errors = jax.numpy.where(mask, outputs[..., 0] - answers, 0)
    return {"loss": Total((errors**2).sum(), mask.sum(dtype=errors.dtype))}


def init_params(config: SyntheticConfig, key: jax.Array) -> Any:
    """The parameters before training; consumes `key`."""
    input_size = jax.eval_shape(lambda: config.what.make(jax.random.key(0), 1, config.length))
    return birnn_jax.init_tagger(
        config.stack,
        key,
        input_size=input_size.xs.shape[-1],
        hidden_size=config.hidden_size,
        num_classes=config.what.num_outputs,
    )
