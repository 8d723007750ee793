"""Speech that arrives in pieces: features, running scale, networks of one direction and of both."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import birnn_jax
from birnn_jax.metrics import label_error_rate
from experiments.speech import __main__ as speech
from experiments.speech import report
from experiments.speech.data import read_parts
from experiments.speech.feature_stream import FeatureStream
from experiments.speech.features import Features, extract
from experiments.speech.model import TrainedListener, params_maker
from experiments.speech.sounds import Recording
from experiments.speech.stream import LiveListener, stream_recordings
from experiments.speech.utterances import make_draw
from tests.experiments import _small_speech
from tests.experiments._commands import command

pytestmark = pytest.mark.slow

LABELS = ["one", "two", "three"]


def in_pieces(features, signal, sizes):
    """The frames that a stream gives after each piece."""
    stream, ends = FeatureStream(features), np.cumsum(sizes)
    return [
        stream.push(signal[end - size : end], is_last=end == ends[-1])
        for size, end in zip(sizes, ends, strict=True)
    ]


@pytest.mark.parametrize("kind", ["mfcc", "log_mel"])
@pytest.mark.parametrize("sizes", [[1, 700, 90, 20, 689], [1500], [40] * 37 + [20], [15]])
def test_features_of_pieces_are_those_of_the_whole(kind, sizes):
    features = Features(kind, _small_speech.RATE, 2, normalise=False)
    signal = np.random.default_rng(0).normal(size=sum(sizes)).astype("f") * 3000
    want, length = extract(features, signal[None], np.array([len(signal)]))
    made = np.concatenate(in_pieces(features, signal, sizes))
    assert len(made) == int(length[0])
    np.testing.assert_allclose(made, np.asarray(want)[0, : len(made)], atol=2e-3)


def test_running_scale_is_that_of_the_frames_so_far():
    rng, sizes = np.random.default_rng(1), [500, 3, 260, 741]
    signal = rng.normal(size=sum(sizes)) * np.linspace(10, 9000, sum(sizes))  # louder and louder
    features = Features("mfcc", _small_speech.RATE, 1, normalise=False)
    scaled = dataclasses.replace(features, normalise=True)
    frames, found = (in_pieces(each, signal.astype("f"), sizes) for each in (features, scaled))
    assert sum(map(bool, map(len, frames))) == 3  # one piece brings none
    for number, piece in enumerate(found, start=1):
        so_far = np.concatenate(frames[:number]).astype(np.float64)
        want = (frames[number - 1] - so_far.mean(axis=0)) / np.sqrt(so_far.var(axis=0) + 1e-5)
        np.testing.assert_allclose(piece, want, rtol=1e-4, atol=1e-4)
    whole, _ = extract(scaled, signal[None].astype("f"), np.array([len(signal)]))
    assert np.abs(np.asarray(whole)[0, 0] - found[0][0]).max() > 0.5


SOUND = np.concatenate([_small_speech.sound(word, 3) for word in ("one", "two", "two", "one")])[:-7]


def listener_of(direction, **changes):
    """A network of random weights, of which no class is the likeliest throughout `SOUND`."""
    options = {"task": "row", "join": (1, 1), "normalise": False, "cell": "gru"}
    config = _small_speech.config("unread", direction=direction, **options | changes)
    rng = np.random.default_rng(3)
    params = params_maker(config, len(LABELS))(jax.random.key(0))
    params = jax.tree.map(lambda leaf: 0.1 * rng.normal(size=leaf.shape).astype("f"), params)
    if config.task == "row":
        _, ys = birnn_jax.stack(config.model.layers, params.rnn, features_of(config.model, SOUND))
        params = params._replace(b=-np.asarray(ys)[0].mean(axis=0) @ params.w)
    return TrainedListener(config, params, LABELS)


def features_of(model, signal):
    """The features of a whole sound, `[1, T, F]`."""
    return extract(model.features, signal[None].astype("f"), np.array([len(signal)]))[0]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A wav file of `SOUND`."""
    return _small_speech.write_wav(tmp_path_factory.mktemp("sound") / "four.wav", SOUND)


@pytest.fixture
def stream(monkeypatch, capsys):
    """Runs the command with a network: exit status, standard output, standard error."""

    def run(listener, *words):
        monkeypatch.setattr(speech.Stream, "folder", None)
        monkeypatch.setattr(speech, "load_listener", lambda folder: listener)
        return command(monkeypatch, speech, "stream", *words), *capsys.readouterr()

    return run


def heard(classes):
    """The words of the likeliest classes, of which neighbours that are equal are one."""
    changed = np.flatnonzero(np.diff(classes, prepend=0))
    return [LABELS[k - 1] for k in np.array(classes)[changed] if k]


def heard_in_windows(listener, chunk, lookahead):
    """The forward direction from the beginning on, the backward one in each window alone."""
    model, params = listener.config.model, listener.params
    xs, classes = features_of(model, SOUND), []
    size = xs.shape[1]
    _, whole = birnn_jax.stack(model.layers, params.rnn, xs)
    hidden = whole.shape[2] // 2
    for start in range(0, size, chunk):
        _, window = birnn_jax.stack(
            model.layers, params.rnn, xs[:, start : start + chunk + lookahead]
        )
        steps = -(-min(chunk, size - start) // 2)
        fwd, bwd = whole[0, start // 2 :][:steps, :hidden], window[0, :steps, hidden:]
        logits = np.concatenate([fwd, bwd], axis=1) @ params.w + params.b
        classes += logits.argmax(axis=1).tolist()
    return heard(classes)


def test_backward_direction_hears_the_chunk_and_the_lookahead(stream, path):
    listener, told = listener_of("both"), []
    for chunk, lookahead in ((8, 0), (8, 6), (400, 0)):
        words = ("--chunk", chunk / 100, "--lookahead", lookahead / 100, "--json", path)
        status, out, _ = stream(listener, *words)
        *records, latency = map(json.loads, out.splitlines())
        assert status == 0
        told.append(records[-1]["words"])
        assert told[-1] == heard_in_windows(listener, chunk, lookahead)
        assert latency["chunk_ms"] == 10 * chunk and latency["lookahead_ms"] == 10 * lookahead
        parts = [latency[f"{name}_ms"] for name in ("chunk", "lookahead", "features")]
        assert latency["wait_ms"] == pytest.approx(sum(parts))
        assert len(records) == -(-len(SOUND) // (chunk * 20)) + 1  # and one at the end
    assert len({*map(tuple, told)}) == 3
    (whole,) = listener.listen([Recording("x", SOUND.astype("f"), (), "", None)], greedy=True)
    assert told[-1] == [*whole.heard]  # one chunk is all


def test_forward_network_hears_what_the_whole_recording_says(stream, path):
    listener = listener_of("fwd")
    live = LiveListener(listener, chunk=7, lookahead=8)
    assert (live.chunk, live.lookahead) == (8, 0)  # layers read two frames as one
    *_, last = live.listen([SOUND[i : i + 111] for i in range(0, len(SOUND), 111)])
    (whole,) = listener.listen([Recording("x", SOUND.astype("f"), (), "", None)], greedy=True)
    assert last.words == whole.heard and last.seconds == len(SOUND) / _small_speech.RATE
    status, out, _ = stream(listener, path)
    *lines, told = out.splitlines()
    assert status == 0 and told.startswith("A sound is transcribed after at most ")
    assert lines[-1].partition("\t")[2].split() == [*whole.heard]


def test_stream_of_cepstra_hears_what_the_whole_says():
    listener = listener_of("fwd")
    cepstra = np.asarray(features_of(listener.config.model, SOUND))[0, :, :13]
    (whole,) = listener.listen([Recording("x", cepstra, (), "", None)], greedy=True)
    *_, last = LiveListener(listener, chunk=8, lookahead=0).listen_to(cepstra)
    assert (last.words, last.seconds) == (whole.heard, pytest.approx(len(cepstra) / 100))
    assert len({*last.words}) > 1


@pytest.mark.parametrize(("chunk", "is_whole"), [(4.0, True), (0.08, False)])
def test_stream_of_the_test_is_measured_beside_the_whole(
    stream, tmp_path, monkeypatch, chunk, is_whole
):
    listener = listener_of("both", join=(2, 3), strings=5)
    folder = _small_speech.write_folder(tmp_path / "data")
    listener = listener._replace(config=dataclasses.replace(listener.config, data=folder))
    words = ("--chunk", chunk, "--lookahead", 0)
    status, out, _ = stream(listener, *words, "--json")
    told = json.loads(out)
    assert status == 0 and told["chunk_ms"] == 1000 * chunk and told["real_time_factor"] > 0
    monkeypatch.setattr(report, "CHUNK", round(100 * chunk))
    monkeypatch.setattr(report, "LOOKAHEAD", 0)
    test = read_parts(listener.config).test
    streamed = report.streamed_metrics(listener, test)
    assert streamed == {"streamed_label_error_rate": told["label_error_rate"]}
    heard = listener.listen(test, greedy=True)
    pairs = [[row.said for row in heard], [row.heard for row in heard]]
    assert told["whole_label_error_rate"] == label_error_rate(*pairs)
    assert (told["label_error_rate"] == told["whole_label_error_rate"]) == is_whole
    sentence = stream(listener, *words)[1].splitlines()[0]
    assert f"label error rate {told['label_error_rate']:.2%}, and " in sentence
    takes = make_draw(listener.config, test, listener.known_with(test), None)(0)
    sizes = [len(take.render().signal) for take in takes]
    seconds = sum(sizes) / _small_speech.RATE
    assert sentence.startswith(f"{len(heard):,} sounds, {seconds:.0f} s: ")
    live = LiveListener(listener, chunk=round(100 * chunk), lookahead=0)
    _, spent, total = stream_recordings(live, listener, test)
    assert total == pytest.approx(seconds)
    size = round(chunk * _small_speech.RATE)
    assert len(spent) == sum(-(-each // size) + 1 for each in sizes)  # and one at each end


@pytest.mark.parametrize(
    ("changes", "words", "sentence"),
    [
        ({"task": "label", "join": None}, (), "Give a run trained with --task row"),
        (
            {"direction": "bwd"},
            (),
            "A network of the backward direction alone cannot transcribe a stream",
        ),
        ({}, ("--chunk", 0), "--chunk must be positive, and --lookahead not negative."),
        ({}, ("--lookahead", -1), "--chunk must be positive, and --lookahead not negative."),
    ],
)
def test_what_cannot_be_streamed_is_refused(stream, path, changes, words, sentence):
    status, out, err = stream(listener_of(**{"direction": "fwd", **changes}), *words, path)
    assert (status, out) == (1, "") and sentence in " ".join(err.split())
