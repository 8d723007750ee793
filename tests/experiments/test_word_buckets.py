"""How many padded lengths a training on words has: chosen, said, stored, taken up again."""

import dataclasses

import pytest
from rich.console import Console

from birnn_jax.data import choose_buckets
from experiments.pos_tagging.__main__ import EXPERIMENT
from experiments.pos_tagging.data import read_data
from experiments.runner.run.experiment import Experiment
from tests.experiments import _small_tagging


def prepared(config, path):
    """The padded lengths of an epoch, what is stored of the settings, and what is said."""
    console = Console(record=True, width=200)
    made = EXPERIMENT.prepare(config, path, console, None)
    batches = [made.training.train[i] for i in range(made.training.steps_per_evaluation)]
    lengths = {batch["words"].shape[1] for batch in batches}
    return lengths, made.learned["buckets"], console.export_text()


def test_number_of_lengths_follows_from_the_data_and_the_epochs(tmp_path):
    data = _small_tagging.write_data(tmp_path)
    files, reading = _small_tagging.config(data).files, _small_tagging.config(data).reading()
    train = read_data(**files, tags="upos", reading=reading)["train"]
    numbers = []
    for epochs in (3, 9000):
        buckets = choose_buckets([len(item.words) for item in train], epochs=epochs)
        config = _small_tagging.config(data, buckets=None, epochs=epochs)
        lengths, number, said = prepared(config, tmp_path)
        assert lengths == {*buckets} and number == len(buckets)
        assert f"{buckets[-1]} words; --buckets sets" in said
        numbers.append(number)
    assert numbers[0] == 1 < numbers[1]
    lengths, number, said = prepared(_small_tagging.config(data, buckets=2), tmp_path)
    assert len(lengths) == number == 2 and "--buckets" not in said


def test_run_keeps_the_number_that_it_began_with(tmp_path):
    began = _small_tagging.config(_small_tagging.write_data(tmp_path), buckets=3)
    EXPERIMENT.start(began, tmp_path / "run", {})
    seen = []

    def prepare(settings, *_):
        seen.append(settings)
        raise InterruptedError

    for given, kept in ((None, 3), (2, 2)):
        settings = dataclasses.replace(began, buckets=given)
        with pytest.raises(InterruptedError):
            Experiment(EXPERIMENT.name, prepare).train(settings, tmp_path / "run")
        assert seen.pop() == dataclasses.replace(began, buckets=kept)
