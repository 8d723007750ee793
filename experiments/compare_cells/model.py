"""A tagger of a comparison: its training, its test, and how long the training took."""

import dataclasses
import functools
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from birnn_jax import make_eval_step
from birnn_jax.data import choose_buckets
from birnn_jax.training import average_of, evaluate
from experiments.compare_cells.config import ComparisonConfig
from experiments.pos_tagging.data import read_data, tags_of
from experiments.pos_tagging.model import TrainedTagger, init_params, make_loss, make_training
from experiments.runner.data.batches import Batches
from experiments.runner.data.measures import require_labels, share
from experiments.runner.run import loop
from experiments.runner.run.best import best_params
from experiments.runner.run.experiment import Prepared
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.journal import read_journal
from experiments.words.data import Encoder, Sentence, Vocabulary, build_vocabulary
from experiments.words.model import GROWING, VOCABULARY, extended

_EVALUATIONS = 4  # in a run: what they and the checkpoints take counts as training


def prepare(
    config: ComparisonConfig, path: pathlib.Path, console: Console, origin: RunFolder | None = None
) -> Prepared:
    """Reads the data of a run, and says what to train and to test."""
    tagging = config.tagging
    reading = config.reading()
    parts = read_data(config.data, None, None, tags=tagging.tags, reading=reading)
    reading.tell()
    require_labels(tags_of(parts["train"]), tags_of(parts["dev"]), "tag")
    vocabulary = extended(build_vocabulary(parts["train"]), origin)
    training = make_training(tagging, vocabulary, parts["train"], parts["dev"])
    every = -(-training.num_steps // _EVALUATIONS)
    training = dataclasses.replace(training, steps_per_evaluation=every)

    def finish(folder: RunFolder, console: Console) -> dict[str, float]:
        params = average_of(loop.best_state(folder, loop.shapes_of(training)))
        metrics = measure(config, params, vocabulary, parts["test"]) | {
            "cpu_seconds": cpu_seconds(read_journal(folder.path / "clock.jsonl"))
        }
        accuracy = metrics["accuracy"]
        console.print(f"{path}: {accuracy:.2%} accuracy on test", highlight=False)
        return metrics

    files = {VOCABULARY: vocabulary.save}
    return Prepared(training, finish, files=files, grows=(*GROWING, "tagger.w", "tagger.b"))


def load_tagger(folder: RunFolder) -> TrainedTagger:
    """The best checkpoint of a run, from its folder alone."""
    vocabulary = Vocabulary.load(folder.path / VOCABULARY)
    tagging = ComparisonConfig.of(folder).tagging
    params = best_params(folder, tagging, functools.partial(init_params, tagging, vocabulary))
    return TrainedTagger(tagging, params, vocabulary)


def measure(
    config: ComparisonConfig, params: Any, vocabulary: Vocabulary, test: Sequence[Sentence]
) -> dict[str, float]:
    """Accuracy on test, beside that of the most frequent tag, and the size of the model."""
    tagging = config.tagging
    encoded = Encoder(vocabulary, tagging.word_width).encode_all(test)
    batches = Batches(
        encoded,
        buckets=choose_buckets([len(sentence.words) for sentence in test], 1),
        tokens_per_batch=tagging.tokens_per_batch,
    )
    means = evaluate(make_eval_step(make_loss(tagging.tagger)), params, batches)
    usual = [
        vocabulary.guess(word) == tag
        for sentence in test
        for word, tag in zip(sentence.words, sentence.tags, strict=True)
    ]
    return {
        "accuracy": means["accuracy"],
        "most_frequent_tag": share(usual, "words"),
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
