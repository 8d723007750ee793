"""The settings of a run on a made-up task."""

from typing import Literal

import jax

from birnn_jax import Cell, Layer
from birnn_jax.cells import elman
from experiments.runner.run.choices import CELLS, BasicCell, Direction
from experiments.runner.run.settings import Settings, require
from experiments.synthetic.tasks import TASKS, Task

ALL_CELLS = CELLS | {"relu": elman(jax.nn.relu)}


class SyntheticConfig(Settings):
    """All settings that determine the results of a run."""

    task: Literal["adding", "copy", "order", "parity", "xor"] = "adding"
    """Task; experiments/synthetic/tasks.py describes each."""
    length: int = 100
    """Steps T of a sequence; of "copy", those between the symbols and the sign to repeat them."""
    cell: BasicCell | Literal["relu", "mingru"] = "lstm"
    """Recurrent cell; "relu" is an Elman cell with that nonlinearity."""
    direction: Direction = "fwd"
    """Directions in which each layer reads the sequence."""
    layers: int = 1
    """Recurrent layers."""
    hidden_size: int = 32
    """Hidden units of each layer and direction."""

    w_h: str | None = None
    """Initialisation of recurrent weights, by a name that birnn_jax.cells knows, such as
    "orthogonal" or "glorot_uniform"; that of the cell if not given."""
    forget_bias: float | None = None
    """Initial bias of the forget gate of an LSTM; 1 if not given."""
    time_span: int | None = None
    """Chrono initialisation: gates start with time spans from 2 to this number of steps."""

    optimizer: Literal["adam", "sgd"] = "adam"
    """Optimiser."""
    learning_rate: float = 3e-3
    """Learning rate, constant over the run."""
    clip_norm: float | None = 1.0
    """Largest norm of the gradient; a larger gradient is scaled down. None leaves all as they
    are."""
    batch_size: int = 32
    """Sequences of a batch, new ones at every step."""
    steps: int = 2000
    """Training steps, at most: a task that is solved on held-out sequences ends the run."""
    steps_per_evaluation: int = 100
    """Steps between evaluations, which are one call of the device."""
    held_out: int = 512
    """Sequences of an evaluation; the test at the end has four times as many."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        self.require_positive("layers", "hidden_size", "batch_size", "steps", "held_out")
        self.require_positive("steps_per_evaluation", "learning_rate")
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
        return ALL_CELLS[self.cell].with_init(**given) if given else ALL_CELLS[self.cell]

    @property
    def stack(self) -> tuple[Layer, ...]:
        """The recurrent layers."""
        return (Layer(self.recurrent_cell, direction=self.direction),) * self.layers

    @property
    def what(self) -> Task:
        """The task itself."""
        return TASKS[self.task]
