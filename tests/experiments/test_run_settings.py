"""The settings that trainings share: each one changes what is done."""

import dataclasses

import jax.numpy as jnp
import optax
import pytest

from birnn_jax import TrainState
from experiments.runner.run.settings import RunSettings

CHANGES = {
    "epochs": 3,
    "epochs_per_evaluation": 2,
    "patience": 3,
    "learning_rate": 1e-2,
    "clip_norm": 1e-3,
    "average_decay": 0.0,
    "seed": 1,
}


def done(settings):
    """What a run with these settings says and how its optimiser moves parameters."""
    options = settings.training(4, 4 * settings.epochs)
    params = jnp.array([1.0, 2.0])
    state = options["optimizer"].init(params)
    for scale in (2.0, 0.5, 1.0):
        grads = scale * jnp.array([3.0, -1e-8])  # to Adam only what is small shows the clipping
        updates, state = options["optimizer"].update(grads, state, params)
        params = optax.apply_updates(params, updates)
    average = options["evaluated_params"](TrainState(jnp.array(3), params, state))
    names = ("steps_per_evaluation", "patience", "seed")
    return *params.tolist(), *average.tolist(), *(options[name] for name in names)


def test_every_setting_is_tested():
    assert {field.name for field in dataclasses.fields(RunSettings)} == CHANGES.keys()


@pytest.mark.parametrize(("name", "value"), CHANGES.items(), ids=CHANGES.keys())
def test_setting_changes_what_is_done(name, value):
    assert done(RunSettings(**{name: value})) != done(RunSettings())


def test_average_is_what_is_evaluated():
    params, average = done(RunSettings())[:2], done(RunSettings())[2:4]
    assert params != average
    assert done(RunSettings(average_decay=0.0))[2:4] == params


def test_same_settings_do_the_same():
    assert done(RunSettings()) == done(RunSettings())


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("patience", 0), ("clip_norm", -1.0), ("average_decay", 1.0)],
)
def test_impossible_settings_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*, got {value}"):
        RunSettings(**{name: value})
