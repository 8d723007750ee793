"""A language model over the characters of any text: trained, measured, and made to write.

    python -m experiments.char_lm train
    python -m experiments.char_lm generate 你好 --temperature 0.8

Question: how do cell, depth, optimiser and direction change what a recurrent network learns of
10,000 characters, and how well does one predict text that it has not read? The results are in
experiments/README.md.
"""

import dataclasses
import pathlib
from typing import Annotated

import jax
import tyro
from rich.console import Console

from experiments.char_lm.config import ROWS, row_config
from experiments.char_lm.report import plot_rows, print_rows
from experiments.characters.config import LanguageConfig
from experiments.characters.data import read_corpus, read_text
from experiments.characters.generate import Drawing
from experiments.characters.report import finish, parts_of, print_measures, train_and_finish
from experiments.characters.training import config_of, load_model, make_training, start_run
from experiments.runner.devices.machines import OnDevices, OnMachines
from experiments.runner.run import loop
from experiments.runner.run.command import run_command
from experiments.runner.run.folder import RunFolder

NAME = "char_lm"
RUN = pathlib.Path("runs") / NAME
TABLE = pathlib.Path("runs") / f"{NAME}_table"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(OnMachines):
    """Train a model, or go on with a training that was stopped, and look at what it learned.

    The run folder gets config.json, environment.json, metrics.jsonl, checkpoints, vocabulary.json,
    result.json, sample.txt and curves.png. A training that was killed or interrupted goes on with
    the same command, and ends exactly as if it had not been.
    """

    config: tyro.conf.OmitArgPrefixes[LanguageConfig]
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder: made, or, if it holds an unfinished run with the same settings, gone on with."""

    def run(self) -> None:
        """Trains and reports."""
        console = Console()
        folder, corpus = start_run(self.run_folder, self.config, experiment=NAME)
        loop.fit(folder, make_training(self.config, corpus), console)
        finish(folder, corpus, console)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a trained model: perplexity, bits per character, and how often it is right."""

    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the model."""
    text: pathlib.Path | None = None
    """A text of the characters that the model knows; both parts of the text of the run if not
    given."""

    def run(self) -> None:
        """Measures and prints."""
        folder = RunFolder.open(self.run_folder, experiment=NAME)
        trained = load_model(folder)
        if self.text is not None:
            tokens = trained.vocabulary.encode(read_text(self.text), str(self.text))
            parts = {self.text.name: tokens}
        else:
            config = config_of(folder)
            parts = parts_of(
                read_corpus(config.text, characters=config.characters, held_out=config.held_out)
            )
        measured = {name: trained.measure(tokens) for name, tokens in parts.items()}
        print_measures(measured, Console())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generate:
    """Let a trained model go on from one or more beginnings; each character is shown as it is made.

    The same seed gives the same text.
    """

    prefixes: tyro.conf.Positional[tuple[str, ...]]
    """Beginnings, of characters that the model knows."""
    drawing: tyro.conf.OmitArgPrefixes[Drawing]
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the model. Nothing else is read."""
    length: int = 100
    """Characters to make."""
    seed: int = 0
    """Seed of the draws."""

    def run(self) -> None:
        """Writes."""
        if not self.prefixes:
            raise ValueError("There is no prefix: give the first characters to go on from.")
        trained = load_model(RunFolder.open(self.run_folder, experiment=NAME))
        for number, prefix in enumerate(self.prefixes):
            key = jax.random.fold_in(jax.random.key(self.seed), number)
            characters = trained.continue_text(
                prefix, length=self.length, drawing=self.drawing, key=key
            )
            for position, character in enumerate(characters):
                print(character if position else prefix + character, end="", flush=True)
            print()


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceTable(OnDevices):
    """Train every row of the table that this project starts from, and print both side by side.

    What was stopped goes on with the same command; what has ended is not trained again.
    """

    text: pathlib.Path = LanguageConfig.text
    """The text: its first 10,000 characters are learned."""
    rows: tuple[str, ...] = tuple(ROWS)
    """Which rows."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of each row."""
    epochs: int = 160
    """Passes over the text."""
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = TABLE
    """Folder of the run folders ROW/SEED."""
    picture: pathlib.Path | None = None
    """Where to draw how the perplexity of every row falls, beside the numbers of the source."""

    def run(self) -> None:
        """Trains, prints and draws."""
        console = Console()
        runs: dict[str, list[RunFolder]] = {row: [] for row in self.rows}
        for seed in self.seeds:
            for row in self.rows:
                config = row_config(row, self.text, epochs=self.epochs, seed=seed)
                path = self.run_folder / row / str(seed)
                console.print(f"{row}, seed {seed}", highlight=False)
                runs[row].append(train_and_finish(path, config, console, experiment=NAME))
        print_rows(runs, console)
        if self.picture:
            plot_rows(self.picture, runs)


def main() -> None:
    """The command line."""
    run_command(
        Train | Evaluate | Generate | SourceTable,
        program=f"python -m experiments.{NAME}",
        description="A recurrent language model over the characters of a text.",
    )


if __name__ == "__main__":
    main()
