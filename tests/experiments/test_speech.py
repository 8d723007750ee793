"""Speech: what is read and refused, strings and errors, and the commands on a few sounds."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from experiments.runner.run.folder import RunFolder
from experiments.speech import __main__ as speech
from experiments.speech.config import SpeechConfig
from experiments.speech.data import labels_of, load_labels, read_parts
from experiments.speech.model import load_listener, make_training
from experiments.speech.sounds import Recording
from experiments.speech.utterances import make_batches
from tests import _figures
from tests.experiments import _small_speech
from tests.experiments._commands import command, standard_input
from tests.experiments._computed import computed
from tests.experiments._trainings import grown_from, started_training

pytestmark = pytest.mark.slow

CHANGES = {
    "held_out_speaker": "ann",
    "join": (1, 2),
    "strings": 7,
    "features": "log_mel",
    "deltas": 1,
    "normalise": False,
    "rate": 1000,
    "cell": "gru",
    "direction": "fwd",
    "hidden_size": 7,
    "subsample": (1,),
    "dropout": 0.1,
    "noise": 0.1,
    "steps": 50,
    "speeds": (0.9,),
    "cut": 0.02,
    "silence": 0.02,
    "frequency_masks": (1, 4),
    "time_masks": (1, 4),
    "epochs": 2,
    "batch_size": 3,
    "learning_rate": 1e-2,
    "clip_norm": 1e-3,
    "average_decay": 0.5,
    "seed": 1,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return _small_speech.write_folder(tmp_path_factory.mktemp("sounds"))


def computed_by(config):
    parts = read_parts(config)
    return computed(make_training(config, parts, labels_of(config, parts.train)))


@pytest.fixture(scope="module")
def usually_computed(folder):
    return computed_by(_small_speech.config(folder, task="row"))


def test_every_option_is_tested():
    names = {field.name for field in dataclasses.fields(SpeechConfig)}
    in_other_tests = {"data", "task", "readout", "beam_width", "patience", "epochs_per_evaluation"}
    in_other_tests |= {"encoding", "strict", "hold_out_dev"}
    assert names == CHANGES.keys() | in_other_tests


@pytest.mark.parametrize(("name", "value"), CHANGES.items(), ids=CHANGES.keys())
def test_option_changes_what_is_computed(folder, usually_computed, name, value):
    changed = _small_speech.config(folder, task="row", **{name: value})
    assert computed_by(changed) != usually_computed


def test_task_and_readout_change_what_is_computed(folder, usually_computed):
    usual = computed_by(_small_speech.config(folder))
    assert usual != usually_computed
    assert computed_by(_small_speech.config(folder, readout="mean")) != usual
    assert computed_by(_small_speech.config(folder)) == usual


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 0}, "hidden_size must be positive"),
        ({"dropout": 1.0}, "dropout must be at least 0"),
        ({"noise": -1.0}, "noise must not be negative"),
        ({"silence": -0.1}, "silence must not be negative, got -0.1"),
        ({"speeds": ()}, "speeds must be one number or more, each from 0.5 to 2.0, got none"),
        ({"speeds": (1.0, 20.0)}, "each from 0.5 to 2.0, got 1.0 20.0"),
        ({"time_masks": (1, -3)}, "time_masks must be two numbers .*, got 1 -3"),
        ({"frequency_masks": (1, 26)}, "frequency_masks must leave some of the 26 bands, got 26"),
        ({"subsample": ()}, "subsample must have a number"),
        ({"subsample": (0,)}, "subsample must be positive"),
        ({"join": (3, 2), "task": "row"}, "join must be two numbers"),
        ({"join": (3, 7)}, "join must be left out"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SpeechConfig(**settings)


def test_recordings_that_cannot_be_learned_are_refused_by_name():
    short = Recording("tiny.wav", np.zeros([60], "f"), ("a", "a"), "", "train")
    with pytest.raises(ValueError, match=r"tiny.wav says 2 words"):
        labels_of(SpeechConfig(), [short])
    config = SpeechConfig(task="row", join=(1, 1), rate=2000)
    with pytest.raises(ValueError, match=r"tiny.wav has 2 labels but only 1 steps"):
        make_batches(config, [short], ["a"])


TRAINED = {
    "label": {"epochs": 30, "learning_rate": 2e-2, "noise": 0.3, "hidden_size": 16},
    # Strings of one padded length and one direction compile sooner.
    "row": {"epochs": 2, "join": (3, 3), "direction": "fwd"},
}


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """Run folders of both tasks."""
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        for task, options in TRAINED.items():
            words = _small_speech.arguments(folder, root / task, task=task, **options)
            assert command(patch, speech, *words) == 0
    return root


@pytest.fixture
def tell(monkeypatch, capsys):
    """Runs the command line: exit status, standard output, standard error."""

    def run(*words):
        status = command(monkeypatch, speech, *words)
        return status, *capsys.readouterr()

    return run


@pytest.mark.parametrize(("task", "picture"), [("label", "confusion"), ("row", "posteriors")])
def test_run_leaves_results_and_pictures(trained, task, picture):
    names = {path.name for path in (trained / task).iterdir()}
    assert {"result.json", "labels.json", "mistakes.txt", "curves.png", f"{picture}.png"} <= names
    metrics = json.loads((trained / task / "result.json").read_text())["metrics"]
    assert ("streamed_label_error_rate" in metrics) == (task == "row")


def test_confusion_shows_which_label_is_taken_for_which(trained):
    axes, _ = _figures.drawn(trained / "label" / "confusion.png").axes
    (shares,) = _figures.images(axes)
    np.testing.assert_array_equal(shares, np.eye(2))  # all are right
    assert {*_figures.words(axes)} >= {"one", "two", "100%\n3"}


def test_posteriors_stand_over_the_spectrogram(trained):
    figure = _figures.drawn(trained / "row" / "posteriors.png")
    probabilities, spectrogram = figure.axes
    (power,) = _figures.images(spectrogram)
    seconds = spectrogram.get_xlim()[1]
    assert power.shape == (26, round(100 * seconds)) and np.ptp(power) > 1
    heard = _figures.curves(probabilities)
    assert 0 < len(heard) <= 2  # labels
    for points in heard:
        assert 0 < points[0, 0] < points[-1, 0] < seconds
        assert (points[:, 1] > 0).all() and 0.2 < points[:, 1].max() <= 1
    (said,) = [words for words in _figures.words(figure) if words.startswith("Said: ")]
    assert {*said.split(".")[0].split()[1:]} <= {"one", "two"}


def test_a_few_sounds_are_learned(trained, folder, tell):
    status, out, _ = tell("evaluate", "--run", trained / "label")
    assert status == 0 and "100.00%" in out
    words = [folder / f"test_{word}_0.wav" for word in ("two", "one", "two")]
    status, out, _ = tell("predict", "--run", trained / "label", *words)
    assert [line.split("\t")[1] for line in out.splitlines()] == ["two", "one", "two"]


def test_network_learns_a_new_word_beside_those_it_knows(trained, folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "more")
    table = tmp_path / "more" / "transcripts.tsv"
    table.write_text(table.read_text().replace("\ttwo\ttrain", "\televen\ttrain", 1))
    words = ("--from", trained / "row", "--run", tmp_path / "run", "--data", tmp_path / "more")
    training = started_training(monkeypatch, speech, "train", *words)
    listener = load_listener(RunFolder.open(trained / "row"))
    assert grown_from(training, listener.params) == {"w", "b"}
    assert load_labels(tmp_path / "run" / "labels.json") == [*listener.labels, "eleven"]


def test_folders_and_standard_input_are_heard(trained, folder, tell, tmp_path, monkeypatch):
    for name in ("a/test_two_0.wav", "a/._test_two_0.wav", "test_one_0.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder / name.rpartition("/")[2].removeprefix("._"), tmp_path / name)
    told = ("predict", "--run", trained / "label", "--json", tmp_path)
    records = [json.loads(line) for line in tell(*told)[1].splitlines()]
    heard = [(record["file"], record["words"]) for record in records]
    names = [str(tmp_path / name) for name in ("a/test_two_0.wav", "test_one_0.wav")]
    assert heard == [*zip(names, [["two"], ["one"]], strict=True)]
    standard_input(monkeypatch, (folder / "test_two_0.wav").read_bytes())
    assert tell("predict", "--run", trained / "label", "-")[1] == "standard input\ttwo\n"


@pytest.mark.parametrize(
    ("sounds", "sentence"),
    [
        (["no.wav"], "no.wav does not exist."),
        (["-"], "standard input cannot be read as a wav file"),
        (["empty"], "There is no wav file to transcribe in empty."),
        ([], "There is no wav file to transcribe."),
    ],
)
def test_what_is_no_sound_is_refused(trained, tell, tmp_path, monkeypatch, sounds, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    standard_input(monkeypatch, b"no sound")
    status, out, err = tell("predict", "--run", trained / "label", *sounds)
    assert (status, out) == (1, "") and sentence in " ".join(err.split())


def test_other_data_and_unknown_words_are_evaluated(trained, folder, tell, tmp_path):
    shutil.copy(folder / "test_one_0.wav", tmp_path / "x.wav")
    (tmp_path / "transcripts.tsv").write_text("x\televen\n")
    status, out, _ = tell("evaluate", "--run", trained / "label", "--data", tmp_path)
    assert status == 0 and "0.00%" in out and "Training has no label eleven" in out


def test_recordings_are_evaluated_in_other_strings(trained, folder, tell):
    words = ["evaluate", "--run", trained / "row", "--data", folder]
    status, out, _ = tell(*words, "--join", "1", "1")
    assert status == 0 and "18 sounds, 18 labels" in out
    assert "3 sounds" in tell(*words)[1]


def test_run_on_other_sounds_is_refused(trained, folder, tell, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    words = _small_speech.arguments(copy, trained / "row", task="row", **TRAINED["row"])
    shutil.copy(copy / "train_two_0.wav", copy / "train_one_0.wav")
    status, _, err = tell(*words)
    assert status == 1 and "content of --data" in err


def test_directions_draws_rows_only(trained, tell, tmp_path):
    picture = tmp_path / "both.png"
    run = trained / "row"
    status, out, _ = tell("directions", "--runs", run, run, "--picture", picture)
    assert status == 0 and out.count("direction fwd") == 2
    left = _figures.drawn(run / "posteriors.png").axes[0]
    (panel, _) = _figures.drawn(picture).axes
    np.testing.assert_array_equal(_figures.curves(panel), _figures.curves(left))
    status, _, err = tell("directions", "--runs", trained / "label", "--picture", picture)
    assert status == 1 and "was trained with --task label" in err


def test_predict_says_what_it_resampled(trained, tell, tmp_path):
    path = _small_speech.write_wav(
        tmp_path / "x.wav", _small_speech.sound("two", 5, rate=8000), rate=8000
    )
    status, out, err = tell("predict", "--run", trained / "row", path)
    assert status == 0 and out.startswith(f"{path}\t")
    assert "8,000 samples a second, resampled to 2,000" in " ".join(err.split())
    assert tell("predict", "--run", trained / "row")[0] == 1
