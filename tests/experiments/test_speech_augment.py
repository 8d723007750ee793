"""What is changed of recordings in training, against NumPy, and when which of it is chosen."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from experiments.report import HERE
from experiments.runner.run import loop
from experiments.runner.run.folder import RunFolder
from experiments.speech import __main__ as speech
from experiments.speech.augment import Change, Masks, Perturbation, mask_spectrum, perturb
from experiments.speech.config import SpeechConfig
from experiments.speech.data import Parts, labels_of, read_parts
from experiments.speech.features import Features, cepstra, log_mel
from experiments.speech.model import make_training
from experiments.speech.recipes import LARGE, SMALL, recipe_for
from experiments.speech.sounds import Recording
from experiments.speech.utterances import make_batches, make_draw, num_copies
from tests.experiments import _small_speech

T, F, VALID, DRAWS = 41, 26, 23, 300
CHANGED = {
    "speeds": (0.8, 1.25),
    "cut": 0.02,
    "silence": 0.05,
    "frequency_masks": (2, 6),
    "time_masks": (1, 4),
}


def masked(frequency, time):
    """A random spectrum, and what is left of it in many draws."""
    spectrum = np.random.default_rng(5).normal(size=[T, F]).astype("f")
    keys = jax.random.split(jax.random.key(2), DRAWS)
    masks, inputs, length = Masks(frequency, time), jnp.asarray(spectrum), jnp.asarray(VALID)
    mask = jax.jit(jax.vmap(lambda key: mask_spectrum(masks, inputs, length, key)))
    return spectrum, np.asarray(mask(keys))


@pytest.mark.parametrize(
    ("frequency", "time", "widest"), [((1, 5), (0, 9), 5), ((0, 5), (1, 9), VALID // 5)]
)
def test_one_stretch_is_hidden_anywhere_within_what_is_valid(frequency, time, widest):
    spectrum, outputs = masked(frequency, time)
    np.testing.assert_array_equal(outputs[:, VALID:], np.tile(spectrum[VALID:], [DRAWS, 1, 1]))
    changed = (outputs != spectrum)[:, :VALID]
    across = changed.all(axis=1 if frequency[0] else 2)  # [DRAWS, bands or valid frames]
    np.testing.assert_array_equal(changed.sum(), across.sum() * (VALID if frequency[0] else F))
    edges = np.abs(np.diff(np.pad(across, [(0, 0), (1, 1)]).astype(int))).sum(axis=1)
    assert {*edges} == {0, 2}  # nothing, or places side by side
    assert {*across.sum(axis=1)} == {*range(widest + 1)}
    assert across[:, 0].any() and across[:, -1].any()


def test_hidden_places_have_the_mean_of_the_valid_ones_and_others_stay():
    spectrum, outputs = masked((2, 4), (3, 3))
    changed = (outputs != spectrum)[:, :VALID]
    bands, frames = changed.all(axis=1), changed.all(axis=2)
    np.testing.assert_array_equal(changed, bands[:, None] | frames[:, :, None])
    assert bands.sum(axis=1).max() > 4 and frames.sum(axis=1).max() > 6  # more than one of each
    mean = spectrum[:VALID].astype(np.float64).mean(axis=0)
    for draw in range(0, DRAWS, 30):
        want = np.where(changed[draw], mean, spectrum[:VALID])
        np.testing.assert_allclose(outputs[draw, :VALID], want, atol=1e-5)


@pytest.mark.parametrize("speed", [0.9, 1.1, 1.25])
def test_speed_changes_pitch_and_length_of_a_tone_and_not_how_loud_it_is(speed):
    rate, hertz, number = 8000, 440, 7001
    tone = (3000 * np.sin(2 * np.pi * hertz * np.arange(number) / rate)).astype("f")
    faster = perturb(tone, Change(speed=speed))
    assert len(faster) == Change(speed=speed).length(number) == int(np.ceil(number / speed))
    power = np.abs(np.fft.rfft(faster * np.hanning(len(faster)), 8 * rate))
    assert abs(power.argmax() / 8 - hertz * speed) < 0.5
    middle = slice(500, 5000)
    np.testing.assert_allclose(faster[middle].std(), tone[middle].std(), rtol=0.01)


def mfcc_of(samples):
    plain = Features("mfcc", deltas=0, normalise=False)
    lengths = jnp.array([len(samples)])
    return np.asarray(cepstra(log_mel(plain, jnp.asarray(samples)[None], lengths))[0])


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_faster_mfcc_are_near_those_of_the_faster_sound(speed):
    times = np.arange(8000) / 8000
    rng = np.random.default_rng(0)
    pitch = 2 * np.pi * np.cumsum(110 + 20 * np.sin(3 * times)) / 8000
    formants = np.array([[500, 1500, 2500]]) + 300 * np.sin(5 * times)[:, None]
    sound = sum(
        np.exp(-(((k * 110 - formants) / 150) ** 2)).sum(axis=1) * np.sin(k * pitch)
        for k in range(1, 36)
    )
    sound = (2000 * sound + 5 * rng.normal(size=8000)).astype("f")
    want = mfcc_of(perturb(sound, Change(speed=speed)))
    got = perturb(mfcc_of(sound), Change(speed=speed))
    places = np.minimum((np.arange(len(got)) * speed).astype(int), len(mfcc_of(sound)) - 1)
    tempo = mfcc_of(sound)[places]  # the same without a change of frequencies
    steps = min(len(want), len(got))
    far, near = (np.square(xs[:steps, 1:] - want[:steps, 1:]).mean() for xs in (tempo, got))
    assert abs(len(want) - len(got)) <= 2 and near < 0.5 * far


@pytest.mark.parametrize("shape", [[731], [67, 13]], ids=["samples", "MFCC"])
def test_changes_have_the_length_they_say_and_keep_what_is_between_the_silences(shape):
    rng = np.random.default_rng(1)
    signal = rng.normal(size=shape).astype("f") * np.linspace(1, 9, shape[0]).reshape(
        [-1] + [1] * (len(shape) - 1)
    ).astype("f")
    settings = Perturbation(speeds=(0.9, 1.0, 1.1), cut=50, silence=40)
    for _ in range(60):
        change = settings.draw(rng, len(signal))
        assert max(change.cut) <= min(50, shape[0] // 10) and max(change.silence) <= 40
        output = perturb(signal, change)
        assert len(output) == change.length(len(signal)) and output.dtype == signal.dtype
        (a, b), (before, behind) = change.cut, change.silence
        inner = output[before : len(output) - behind]
        want = perturb(signal[a : len(signal) - b], Change(speed=change.speed))
        np.testing.assert_array_equal(inner, want)
        np.testing.assert_array_equal(output, perturb(signal, change))
    assert {settings.draw(rng, 700).speed for _ in range(40)} == {0.9, 1.0, 1.1}


def test_silence_is_as_quiet_as_the_quietest_part():
    rng = np.random.default_rng(2)
    samples = (rng.normal(size=4000) * np.repeat([30, 2, 30, 30], 1000)).astype("f")
    silence = perturb(samples, Change(silence=(3000, 0)))[:3000]
    assert 1.5 < silence.std() < 2.2
    frames = rng.normal(size=[60, 13]).astype("f")
    silent = perturb(frames, Change(silence=(0, 50)))[60:]
    quiet = frames[np.argsort(frames[:, 0])[:3]]
    assert {*map(bytes, silent)} == {*map(bytes, quiet)}


def recordings(number, seconds=0.25, part="train"):
    rng = np.random.default_rng(number)
    size = int(seconds * _small_speech.RATE)
    return [
        Recording(f"{i}", rng.normal(size=[size + i]).astype("f"), ("ab"[i % 2],), "", part)
        for i in range(number)
    ]


def settings(**changes):
    return SpeechConfig(rate=_small_speech.RATE, batch_size=4, epochs=5, **changes)


def batch(index, **changes):
    return make_batches(
        settings(**changes), recordings(7), ["a", "b"], seed=changes.get("seed", 0)
    )[index]


@pytest.mark.parametrize("task", ["label", "row"])
def test_a_minibatch_is_a_function_of_the_seed_and_its_number(task):
    options = {"task": task, "speeds": (0.9, 1.1), "silence": 0.1, "strings": 6}
    first = batch(3, **options)
    jax.tree.map(np.testing.assert_array_equal, first, batch(3, **options))
    for other in (batch(5, **options), batch(3, seed=1, **options)):
        assert other["signals"].shape != first["signals"].shape or (
            not np.array_equal(other["signals"], first["signals"])
        )


@pytest.mark.parametrize("task", ["label", "row"])
def test_recordings_are_changed_anew_in_every_epoch(task):
    chosen = settings(
        task=task, speeds=(0.9, 1.1), strings=6, join=(2, 2) if task == "row" else None
    )
    draw = make_draw(chosen, recordings(7), ["a", "b"], 3)
    first, again, second = ([take.changes for take in draw(epoch)] for epoch in (0, 0, 1))
    assert first == again != second
    assert {change.speed for changes in first for change in changes} == {0.9, 1.1}


@pytest.mark.parametrize("steps", [0, 10, 11, 63])
def test_few_recordings_come_as_often_as_the_fewest_steps_need(steps):
    batches = make_batches(settings(steps=steps), recordings(7), ["a", "b"], seed=0)
    copies = num_copies(settings(steps=steps), recordings(7))
    assert len(batches) >= steps and batches.per_epoch == -(-copies * 7 // 4)
    assert copies == 1 or 5 * -(-(copies - 1) * 7 // 4) < steps  # and no more often
    for epoch in range(2):
        of_epoch = [batches[epoch * batches.per_epoch + i] for i in range(batches.per_epoch)]
        lengths = np.concatenate([found["lengths"][found["rows"] >= 0] for found in of_epoch])
        counts = np.unique(lengths, return_counts=True)[1]
        assert len(counts) == 7 and np.ptp(counts) == 0  # each recording as often
        rows = np.concatenate([found["rows"] for found in of_epoch])
        assert len({*rows[rows >= 0]}) == len(lengths)  # every copy draws for itself


def test_evaluation_changes_no_recording():
    items = recordings(3)
    batches = make_batches(settings(**CHANGED, steps=99), items, ["a", "b"])
    assert len(batches) == 1
    for row, item in enumerate(items):
        np.testing.assert_array_equal(batches[0]["signals"][row, : len(item.signal)], item.signal)


def test_recipes_are_those_of_the_description():
    text = " ".join((HERE / "speech" / "README.md").read_text(encoding="utf-8").split())
    slow, usual, fast = SMALL.speeds
    for sentence in (
        f"a run has {SMALL.hidden_size} hidden units and {SMALL.steps} optimiser steps or more",
        f"up to {SMALL.cut:g} s cut off at either end, {slow}, {usual} or {fast} times the speed",
        f"up to {SMALL.silence:g} s of silence at either end",
    ):
        assert sentence in text
    differ = {name for name in SMALL._fields if getattr(SMALL, name) != getattr(LARGE, name)}
    assert differ == {"hidden_size", "steps", "cut", "speeds", "silence"}
    assert recipe_for(5 * 60 - 0.01) == SMALL and recipe_for(5 * 60) == LARGE


def test_size_of_the_data_chooses_what_is_not_given():
    little, much = recordings(31), recordings(2, seconds=200)
    assert settings().settled(little, []).recipe == SMALL == recipe_for(31 * 0.26)
    assert settings().settled(much, []).recipe == LARGE
    given = settings(hidden_size=7, speeds=(1.0,), steps=0).settled(little, [])
    assert given.recipe == SMALL._replace(hidden_size=7, speeds=(1.0,), steps=0)


def test_frames_of_mfcc_count_as_ten_milliseconds():
    frames = [item._replace(signal=np.zeros([15_001, 13], "f")) for item in recordings(2)]
    little = [one._replace(signal=one.signal[2:]) for one in frames]
    assert settings().settled(little, []).recipe == SMALL
    assert settings().settled(frames, []).recipe == LARGE


def test_what_was_chosen_stands_when_a_run_is_taken_up(tmp_path):
    folder = _small_speech.write_folder(tmp_path / "sounds")
    config = SpeechConfig(data=folder, rate=_small_speech.RATE)
    prepared = speech.prepare(config, tmp_path / "run", Console(quiet=True))
    path = speech.EXPERIMENT.start(config, tmp_path / "run", prepared.learned).path / "config.json"
    stored = json.loads(path.read_text())
    assert stored["settings"]["speeds"] == list(SMALL.speeds)
    assert stored["settings"]["hidden_size"] == SMALL.hidden_size
    assert stored["settings"]["hold_out_dev"] is True  # for its dev was given
    # A run that another version began: other choices, and one from before there were any.
    for change in ({"hidden_size": 5}, dict.fromkeys(SMALL._fields)):
        changed = {**stored["settings"], **change}
        known = {name: value for name, value in changed.items() if value is not None}
        if not change["hidden_size"]:
            known |= {"hidden_size": 96, "dropout": 0.4, "noise": 0.3}
            del known["hold_out_dev"]
        path.write_text(json.dumps({**stored, "settings": known}))
        taken_up = config.taking_up(speech.EXPERIMENT.open(path.parent))
        prepared = speech.prepare(taken_up, path.parent, Console(quiet=True))
        assert prepared.learned["hidden_size"] == known["hidden_size"]
        assert prepared.learned["speeds"] == tuple(known.get("speeds", LARGE.speeds))
        speech.EXPERIMENT.start(taken_up, path.parent, prepared.learned)  # nothing is refused


def test_choice_is_told_in_a_sentence(tmp_path, capsys):
    folder = _small_speech.write_folder(tmp_path / "sounds")
    config = SpeechConfig(data=folder, rate=_small_speech.RATE, silence=0.25, time_masks=(0, 0))
    speech.prepare(config, tmp_path / "run", Console())
    said = " ".join(capsys.readouterr().out.split())
    assert "8 recordings to train on, 2 s of speech, count as little data" in said
    assert f"{SMALL.hidden_size} hidden units" in said and "up to 0.25 s of silence" in said
    assert "frames hidden" not in said


def test_few_recordings_of_dev_do_not_choose_the_parameters():
    few, enough = ({"step": step, "loss": loss} for step, loss in ((5, 1.0), (10, 2.0)))
    for number, newest_is_better in ((3, True), (40, False)):
        parts = (recordings(8), recordings(number), recordings(3))
        training = make_training(settings(), Parts(*parts), ["a", "b"])
        assert (training.score(enough) > training.score(few)) == newest_is_better


@pytest.mark.parametrize(("features", "has_dev"), [("mfcc", True), ("log_mel", False)])
def test_changed_recordings_go_on_bit_for_bit(features, has_dev, tmp_path):
    folder = _small_speech.write_folder(tmp_path / "sounds")
    config = _small_speech.config(folder, **CHANGED, features=features, steps=9)
    parts = read_parts(config)
    parts = parts if has_dev else parts._replace(dev=[])
    training = make_training(config, parts, labels_of(config, parts.train))
    stopped = dataclasses.replace(training, train=First(training.train, training.num_steps // 3))
    assert stopped.num_steps % training.steps_per_evaluation == 0 < stopped.num_steps
    outcomes = []
    for name, attempts in {"whole": [training], "stopped": [stopped, training]}.items():
        run = RunFolder.start(tmp_path / name, experiment="x", settings={"seed": 0}, data={})
        for attempt in attempts:
            loop.fit(run, attempt, Console(quiet=True))
        state = loop.best_state(run, loop.initial_state(training))
        assert int(state.step) == training.num_steps  # the newest: dev is too small to choose
        leaves = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]
        outcomes.append(((run.path / "metrics.jsonl").read_bytes(), leaves))
    assert outcomes[0] == outcomes[1]


class First:
    """The first batches of a source."""

    def __init__(self, source, number):
        self.source, self.number = source, number

    def __len__(self):
        return self.number

    def __getitem__(self, index):
        return self.source[index]
