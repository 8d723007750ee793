"""Every cell on real text with as many parameters each: accuracy against time of training.

    python -m experiments.compare_cells train --cell gru --direction fwd
    python -m experiments.compare_cells sweep

Question: what does GRU save against LSTM, what do the other cells give up or win, and what does the
second direction buy at the same number of parameters? The task is that of experiments.pos_tagging,
on its bundled text. The results are in experiments/README.md.
"""

import dataclasses
import pathlib
import statistics
from typing import Annotated, Any

import tyro
from rich.console import Console

from birnn_jax import make_eval_step
from experiments.comparison.config import ComparisonConfig
from experiments.comparison.pictures import plot_cells, print_table
from experiments.pos_tagging import make_training
from experiments.runner import loop
from experiments.runner.averaging import average_of
from experiments.runner.batches import Batches, bucket_lengths
from experiments.runner.command import run_command
from experiments.runner.folder import RunFolder
from experiments.runner.journal import read_journal
from experiments.runner.machines import OnDevices, OnMachines
from experiments.runner.results import has_result, read_result, write_result
from experiments.runner.sweep import train_all
from experiments.tagging.columns import read_sentences
from experiments.tagging.config import make_loss
from experiments.tagging.model import CELLS
from experiments.tagging.vocabulary import Encoder, build_vocabulary

NAME = "compare_cells"
RUNS = pathlib.Path("runs") / NAME
DIRECTIONS = ("both", "fwd")
_EVALUATIONS = 4  # in a run: what they and the checkpoints take counts as training


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(OnMachines):
    """Train one tagger, or go on with a training that was stopped.

    The run folder gets config.json, environment.json, metrics.jsonl, checkpoints and result.json,
    with the accuracy on test and the processor time of training. A training that was killed or
    interrupted goes on with the same command, and ends exactly as if it had not been.
    """

    config: tyro.conf.OmitArgPrefixes[ComparisonConfig]
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUNS / "one"
    """Run folder: made, or, if it holds an unfinished run with the same settings, gone on with."""

    def run(self) -> None:
        """Trains and tests."""
        train_run(self.config, self.run_folder)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep(OnDevices):
    """Train every tagger of the picture that is not trained yet, and draw it."""

    cells: tuple[str, ...] = tuple(CELLS)
    """Cells to compare."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the runs of each."""
    config: tyro.conf.OmitArgPrefixes[ComparisonConfig]
    """What all have in common; --cell, --direction and --seed are those of the sweep."""
    runs: pathlib.Path = RUNS
    """Folder of the run folders."""
    picture: pathlib.Path = RUNS / "cells.png"
    """Where to draw accuracy against time."""

    def run(self) -> None:
        """Trains, prints and draws."""
        unknown = [name for name in self.cells if name not in CELLS]
        if unknown:
            raise ValueError(f"There is no cell {unknown[0]!r}; there are {', '.join(CELLS)}.")
        configs = {
            f"{cell}-{direction}": dataclasses.replace(self.config, cell=cell, direction=direction)
            for cell in self.cells
            for direction in DIRECTIONS
        }
        folders = train_all(self.runs, configs, self.seeds, train_run)
        results = {
            name: [read_result(folder)["metrics"] for folder in runs]
            for name, runs in folders.items()
        }
        print_table(results)
        self.picture.parent.mkdir(parents=True, exist_ok=True)
        plot_cells(self.picture, results)
        print(f"The picture is {self.picture}.")


def train_run(config: ComparisonConfig, path: pathlib.Path) -> None:
    """Trains and tests one tagger, if its folder has no result yet."""
    console = Console()
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k != "data"}
    folder = RunFolder.start(path, experiment=NAME, settings=settings, data={"data": config.data})
    if not has_result(folder):
        metrics = train_and_test(folder, config, console)
        write_result(folder, metrics)
    accuracy = read_result(folder)["metrics"]["accuracy"]
    console.print(f"{path}: {accuracy:.2%} of the words of test right", highlight=False)


def train_and_test(
    folder: RunFolder, config: ComparisonConfig, console: Console
) -> dict[str, float]:
    """Trains to the end, and gives the numbers of result.json."""
    tagging = config.tagging
    sentences = {
        part: read_sentences(config.data, tagging.tags, part) for part in ("train", "dev", "test")
    }
    vocabulary = build_vocabulary(sentences["train"])
    training = make_training(tagging, vocabulary, sentences["train"], sentences["dev"])
    every = -(-training.num_steps // _EVALUATIONS)
    training = dataclasses.replace(training, steps_per_evaluation=every)
    loop.fit(folder, training, console)
    params = average_of(loop.best_state(folder, loop.initial_state(training)))
    encoded = Encoder(vocabulary, tagging.word_width).encode_all(sentences["test"])
    batches = Batches(
        encoded,
        buckets=bucket_lengths([len(one.words) for one in sentences["test"]], 1),
        tokens_per_batch=tagging.tokens_per_batch,
    )
    means = loop.evaluate(make_eval_step(make_loss(tagging.tagger)), params, batches)
    usual = [
        vocabulary.guess(word) == tag
        for one in sentences["test"]
        for word, tag in zip(one.words, one.tags, strict=True)
    ]
    return {
        "accuracy": means["accuracy"],
        "most_frequent_tag": statistics.mean(usual),
        "cpu_seconds": cpu_seconds(read_journal(folder.path / "clock.jsonl")),
        "parameters": config.parameters,
        "hidden_size": config.sizes[1],
    }


def cpu_seconds(clock: list[dict[str, Any]]) -> float:
    """Processor time of a whole training without its compilation.

    The first stretch after a start compiles, and is taken to need for a step what the others do.

    Example:
      >>> cpu_seconds([{"step": 10, "cpu_seconds": 7.0}, {"step": 20, "cpu_seconds": 2.0}])
      4.0
    """
    before = [0, *(record["step"] for record in clock)]
    per_step = [
        record["cpu_seconds"] / (record["step"] - start)
        for start, record in zip(before, clock, strict=False)
    ]
    return round(clock[-1]["step"] * statistics.median(per_step[1:] or per_step), 2)


def main() -> None:
    """The command line."""
    run_command(
        Train | Sweep,
        program=f"python -m experiments.{NAME}",
        description="All cells on one task, with equal numbers of parameters.",
    )


if __name__ == "__main__":
    main()
