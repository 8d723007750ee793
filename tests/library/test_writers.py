"""Writers of a training: lines in a file, a line on the terminal, the writers of others."""

import io

from birnn_jax.training import (
    JsonLines,
    TensorBoard,
    Terminal,
    WandB,
)
from tests.library._small_fit import run

# Writers.


def test_lines_after_the_checkpoint_and_torn_lines_are_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with JsonLines(path) as writer:
        writer.start(0, num_steps=9)
        for step in (1, 2, 3):
            writer.write(step, "train", {"loss": step / 2})
        writer.sync()
        writer.write(4, "dev", {"loss": 0.0})
    with path.open("a") as file:
        file.write('{"step": 5, "spl')
    assert [record["step"] for record in JsonLines.read(path)] == [1, 2, 3, 4]
    with JsonLines(path) as writer:
        writer.start(2, num_steps=9)
        writer.write(3, "train", {"loss": 7})
    assert [record["loss"] for record in JsonLines.read(path)] == [0.5, 1.0, 7]
    assert JsonLines.read(tmp_path / "nothing") == []


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_terminal_shows_a_line_that_moves_and_lines_that_stay(monkeypatch):
    clock = iter([100.0, 110.0, 110.1, 120.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    screen = Screen()
    with Terminal(screen) as writer:
        writer.start(20, num_steps=120)
        writer.write(30, "train", {"loss": 0.12345, "grad_norm": 2.0})
        writer.write(31, "train", {"loss": 0.5})  # too soon to be seen
        writer.write(40, "train", {"loss": 0.1})
        writer.write(40, "dev", {"loss": 0.25, "f1": 0.5})
    shown = screen.getvalue()
    assert "20 of 120 steps are done.\n" in shown
    assert "step 30/120, loss 0.1235, 1 steps/s, 1:30 left" in shown
    assert "0.5, " not in shown and "step 40/120, loss 0.1, 1 steps/s, 1:20 left" in shown
    assert shown.endswith("\rstep 40/120, dev: loss 0.25, f1 0.5\n")


def test_fit_shows_its_progress_unless_it_is_told_not_to(capsys):
    run(writers=None)
    assert "step 2/8, dev: loss " in capsys.readouterr().err
    run()
    assert capsys.readouterr().err == ""


def test_writers_of_others_get_every_metric_of_every_step():
    class Recorder:
        def __init__(self):
            self.seen, self.ended = [], 0

        def add_scalar(self, tag, value, step):
            self.seen.append((tag, step))

        def log(self, metrics, step):
            self.seen += [(tag, step) for tag in metrics]

        def flush(self):
            pass

        def close(self):
            self.ended += 1

        finish = close

    board, wandb = Recorder(), Recorder()
    run(epochs=1, writers=[TensorBoard(board), WandB(wandb)])
    names = ("train/clipped", "train/grad_norm", "train/loss")
    want = sorted([(name, step) for name in names for step in (1, 2)] + [("dev/loss", 2)])
    assert sorted(board.seen) == sorted(wandb.seen) == want
    assert board.ended == wandb.ended == 1
