"""Language experiments that take seconds: a few hundred characters, tiny models."""

import re
import sys

import jax
import numpy as np

from experiments.language.config import LanguageConfig
from experiments.runner import loop

TEXT = "the cat sat on the mat; the dog ate the cat. " * 8
OPTIONS = {
    "held_out": 0.25,
    "cell": "elman",
    "hidden_size": 6,
    "steps": 5,
    "batch_size": 4,
    "epochs": 3,
    "epochs_per_evaluation": 1,
}


def write_text(folder, text=TEXT, name="small.txt"):
    """Writes a text and returns its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def config(text, **changes):
    """The settings, with changes."""
    return LanguageConfig(text=text, **{**OPTIONS, **changes})


def arguments(text, run, **changes):
    """The settings as a command line."""
    options = {"text": text, **OPTIONS, **changes, "run": run}
    words = ["train"]
    for name, value in options.items():
        flag = name.replace("_", "-")
        words += [f"--{flag}"] if value is True else [f"--{flag}", str(value)]
    return words


def command(monkeypatch, module, *words):
    """Runs the command line of a module in this process; returns its exit status."""
    monkeypatch.setattr(sys, "argv", [module.NAME, *map(str, words)])
    try:
        module.main()
    except SystemExit as leaving:
        return leaving.code
    return 0


def computed(training, make_step):
    """All that a run computes, but for the numbers: its batches, first parameters, and step."""
    batches = [training.train[i] for i in range(len(training.train))]
    dev = [training.dev[i] for i in range(len(training.dev))]
    key = jax.random.key(0)
    state = jax.eval_shape(lambda: loop.initial_state(training))
    step = make_step(training.loss_fn, training.optimizer)
    programs = [
        jax.make_jaxpr(training.init_params)(key),
        jax.make_jaxpr(step)(state, batches[0], key),
    ]
    arrays = jax.tree.map(lambda leaf: np.asarray(leaf).tolist(), [batches, dev])
    return re.sub("0x[0-9a-f]+", "", str(programs)), arrays, training.seed
