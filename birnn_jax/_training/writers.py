"""Where the metrics of a training go: what a writer is, the terminal, TensorBoard, W&B."""

import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol, Self, TextIO


class Writer(Protocol):
    """Takes the metrics of a training; `write` is all that a writer must have.

    Example:
      >>> from birnn_jax.training import Writer
      >>> class Printer(Writer):
      ...     def write(self, step, split, metrics):
      ...         print(step, split, metrics)
      >>> Printer().write(3, "dev", {"loss": 0.5})
      3 dev {'loss': 0.5}
    """

    def start(self, step: int, *, num_steps: int) -> None:
        """Begins after `step` of `num_steps` steps: what was written of later ones is void."""

    def write(self, step: int, split: str, metrics: Mapping[str, Any]) -> None:
        """Takes the metrics of a step as numbers; `split` is "train" or "dev"."""
        ...

    def sync(self) -> None:
        """Returns once all is safe: a checkpoint of the last step is written next."""

    def close(self) -> None:
        """Ends."""

    def __enter__(self) -> Self:
        """Gives the writer itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes it."""
        self.close()


class Terminal(Writer):
    """Shows the progress: a line that moves, and one that stays for each evaluation.

    Where the stream is no terminal, only the lines that stay are printed.

    Args:
      stream: where to; None is the standard error.

    Example:
      >>> import io
      >>> from birnn_jax.training import Terminal
      >>> stream = io.StringIO()
      >>> with Terminal(stream) as writer:
      ...     writer.start(0, num_steps=200)
      ...     writer.write(100, "dev", {"loss": 0.25, "accuracy": 0.875})
      >>> print(stream.getvalue(), end="")
      step 100/200, dev: loss 0.25, accuracy 0.875
    """

    _SECONDS = 0.2  # from one change of the line that moves to the next

    def __init__(self, stream: TextIO | None = None):
        """Prints nothing yet."""
        self._stream = sys.stderr if stream is None else stream
        self._moves = self._stream.isatty()
        self._width = 0  # of the line that moves
        self._num_steps = 0
        self._first = self._begun = self._shown = 0.0

    def start(self, step: int, *, num_steps: int) -> None:
        """Says from where a training goes on."""
        self._first, self._num_steps = step, num_steps
        self._begun = self._shown = time.monotonic()
        if 0 < step:
            self._print(f"{step} of {num_steps} steps are done.")

    def write(self, step: int, split: str, metrics: Mapping[str, Any]) -> None:
        """Moves the line, or prints one that stays."""
        text = f"step {step}/{self._num_steps}"
        if split != "train":
            self._print(f"{text}, {split}: {_words(metrics)}")
            return
        now = time.monotonic()
        if not self._moves or now - self._shown < self._SECONDS:
            return
        self._shown = now
        rate = (step - self._first) / (now - self._begun)
        left = int((self._num_steps - step) / rate)
        shown = {name: metrics[name] for name in ("loss",) if name in metrics}
        text = f"{text}, {_words(shown)}, {rate:.3g} steps/s, {left // 60}:{left % 60:02} left"
        self._stream.write("\r" + text.ljust(self._width))
        self._stream.flush()
        self._width = len(text)

    def close(self) -> None:
        """Removes the line that moves."""
        self._clear()

    def _clear(self) -> None:
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._width = 0
            self._stream.flush()

    def _print(self, text: str) -> None:
        self._clear()
        self._stream.write(text + "\n")
        self._stream.flush()


class TensorBoard(Writer):
    """Writes scalars by a writer of TensorBoard, called "train/loss", "dev/accuracy", ...

    Args:
      writer: what has `add_scalar(tag, value, step)`, `flush` and `close`:
        `tensorboard.summary.Writer`, `torch.utils.tensorboard.SummaryWriter`, `tensorboardX`'s. A
        training that is resumed writes some steps again, with the same values.

    Example:
      >>> from birnn_jax.training import TensorBoard
      >>> class Recorder:
      ...     def add_scalar(self, tag, value, step):
      ...         print(tag, value, step)
      >>> TensorBoard(Recorder()).write(100, "dev", {"loss": 0.25})
      dev/loss 0.25 100
    """

    def __init__(self, writer: Any):
        """Takes a writer, and closes it in the end."""
        self._writer = writer

    def write(self, step: int, split: str, metrics: Mapping[str, Any]) -> None:
        """Adds a scalar for each metric."""
        for name, value in metrics.items():
            self._writer.add_scalar(f"{split}/{name}", float(value), step)

    def sync(self) -> None:
        """Writes what is in memory."""
        self._writer.flush()

    def close(self) -> None:
        """Closes the writer."""
        self._writer.close()


class WandB(Writer):
    """Logs metrics to a run of Weights & Biases, called "train/loss", "dev/accuracy", ...

    Args:
      run: from `wandb.init`; give that an `id` and `resume="allow"`, so that a training that is
        resumed goes on in the same run, which keeps the steps that it has.

    Example:
      >>> from birnn_jax.training import WandB
      >>> class Run:
      ...     def log(self, metrics, step):
      ...         print(metrics, step)
      >>> WandB(Run()).write(100, "dev", {"loss": 0.25})
      {'dev/loss': 0.25} 100
    """

    def __init__(self, run: Any):
        """Takes a run, and finishes it in the end."""
        self._run = run

    def write(self, step: int, split: str, metrics: Mapping[str, Any]) -> None:
        """Logs all metrics at once."""
        named = {f"{split}/{name}": value for name, value in metrics.items()}
        self._run.log(named, step=step)

    def close(self) -> None:
        """Finishes the run."""
        self._run.finish()


def _words(metrics: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
