"""Training one tagger of a comparison, and how long that took."""

import dataclasses
import pathlib
import statistics
from typing import Any

from rich.console import Console

from birnn_jax import make_eval_step
from experiments.compare_cells.config import ComparisonConfig
from experiments.pos_tagging.data import read_data
from experiments.pos_tagging.model import make_loss
from experiments.pos_tagging.training import make_training
from experiments.runner.data.batches import Batches, bucket_lengths
from experiments.runner.run import loop
from experiments.runner.run.averaging import average_of
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.journal import read_journal
from experiments.runner.run.results import has_result, read_result, write_result
from experiments.words.data import Encoder, build_vocabulary

NAME = "compare_cells"
_EVALUATIONS = 4  # in a run: what they and the checkpoints take counts as training


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
    reading = config.reading()
    sentences = read_data(config.data, None, None, tags=tagging.tags, reading=reading)
    reading.tell()
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
