"""Recordings: how they are read and refused, joined to strings, padded, and scored."""

import itertools
import struct

import numpy as np
import pytest

from experiments.runner.data.reading import Reading
from experiments.speech.augment import AS_THEY_ARE
from experiments.speech.data import read_recordings, split
from experiments.speech.folders import read_entries, split_words
from experiments.speech.sounds import Recording, read_wav
from experiments.speech.utterances import Strings, Take, Takes, Utterance, changed, padded
from tests.experiments import _small_speech


def test_transcripts_stand_in_a_table_beside_the_file_or_in_its_name(tmp_path):
    sound = _small_speech.sound("one", 0)
    _small_speech.write_wav(tmp_path / "a" / "test" / "x.wav", sound).with_suffix(
        ".txt"
    ).write_text("Call 42\n")
    _small_speech.write_wav(tmp_path / "a" / "7_jackson_3.wav", sound)
    _small_speech.write_wav(tmp_path / "a" / "7_jackson_46.wav", sound)
    by_name = {entry.path.name: entry for entry in read_entries(tmp_path / "a", Reading())}
    assert by_name["x.wav"].part == "test" and by_name["x.wav"].text == "Call 42\n"
    named = by_name["7_jackson_3.wav"], by_name["7_jackson_46.wav"]
    assert [one.part for one in named] == ["test", "dev"]
    assert {(one.text, one.speaker) for one in named} == {("7", "jackson")}
    for mark in "|", ",", "\t":
        _small_speech.write_wav(tmp_path / "b" / "x.wav", sound)
        (tmp_path / "b" / "metadata.csv").write_text(f"x{mark}one two\n")
        (entry,) = read_entries(tmp_path / "b", Reading())
        assert entry.text == "one two" and entry.path == tmp_path / "b" / "x.wav"


def test_a_number_is_read_digit_by_digit():
    assert split_words("Ring 042  now") == ("ring", "0", "4", "2", "now")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("x.wav\tone\ny.wav\n", r"transcripts.tsv, line 2: 1 column\(s\), but 2 were expected"),
        ("x.wav\tone\ny.wav\ttwo\n", "transcripts.tsv, line 2: there is no .*y.wav"),
        ("x.wav\t \n", "transcripts.tsv, line 1: no word for x.wav"),
        ("file\ttext\tsplit\nx\tone\tother\n", "line 2: the split must be train, dev or test"),
        ("x\tone\nx.wav\ttwo\n", "line 2: x.wav has other words than in a line before"),
        ("\n", "is empty: there is no line"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path, table, message):
    _small_speech.write_wav(tmp_path / "x.wav", _small_speech.sound("one", 0))
    (tmp_path / "transcripts.tsv").write_text(table)
    with pytest.raises(ValueError, match=message):
        read_entries(tmp_path, Reading())


@pytest.mark.parametrize(
    ("table", "texts"),
    [
        ("x|Call 42|call forty two\ny|Dr. No|\n", ["call forty two", "Dr. No"]),
        ("client_id\tpath\tsentence\nan\tx.wav\tone\nbo\ty.wav\ttwo\n", ["one", "two"]),
        ('file_name,transcription\nx.wav,"one, two"\ny.wav,three\n', ["one, two", "three"]),
        ("x.wav one two\ny three\n", ["one two", "three"]),
        ("x\tone\ny\ttwo\tthree\nx\tone\n", ["one", "two\tthree"]),
    ],
    ids=["LJ Speech", "columns with names", "quotes", "blanks", "twice"],
)
def test_tables_are_read_as_they_are_found(tmp_path, table, texts):
    for name in ("x", "y"):
        _small_speech.write_wav(tmp_path / "wavs" / f"{name}.wav", _small_speech.sound("one", 0))
    (tmp_path / "metadata.csv").write_text(table)
    entries = read_entries(tmp_path, Reading())
    assert [(one.path.name, one.text, one.part) for one in entries] == [
        ("x.wav", texts[0], None),
        ("y.wav", texts[1], None),
    ]


def test_folder_without_a_split_is_split_and_that_is_told(tmp_path):
    lines = []
    for i in range(31):
        _small_speech.write_wav(tmp_path / f"r{i}.WAV", _small_speech.sound("one", i)[:40])
        lines.append(f"r{i}.WAV\tone\n")
    (tmp_path / "._r0.wav").write_bytes(b"of macOS")
    (tmp_path / "transcripts.tsv").write_text("".join(lines))
    reading = Reading()
    recordings = read_recordings(tmp_path, _small_speech.RATE, reading)
    parts = split(tmp_path, recordings, None, reading, hold_out_dev=True)
    assert [len(part) for part in parts] == [25, 3, 3]
    assert len({one.name for part in parts for one in part}) == 31
    told = f"{tmp_path}: of its 31 items 3 for dev and 3 for test were split off"
    assert told in reading.sentences()[0]


@pytest.mark.parametrize(("number", "sizes"), [(31, [28, 0, 3]), (205, [165, 20, 20])])
def test_dev_is_held_out_where_it_is_enough_to_choose_by(tmp_path, number, sizes):
    items = [Recording(f"{i}.wav", np.zeros([9], "f"), ("a",), "", None) for i in range(number)]
    reading = Reading()
    parts = split(tmp_path, items, None, reading)
    assert [len(part) for part in parts] == sizes
    assert {one.name for part in parts for one in part} == {one.name for one in items}
    assert ("none of its 31 items are held out for dev" in reading.sentences()[0]) == (not sizes[1])
    of_test = [item._replace(part="test") for item in items]
    given = split(tmp_path, [*items, *of_test], None, Reading(), hold_out_dev=False)
    assert [len(part) for part in given] == [number, 0, number]


def sound_file(samples, bits, kind, channels):
    """A wav file of plain or of extensible format, written by hand."""
    width = bits // 8
    if kind == 3:
        body = samples.astype("<f4" if bits == 32 else "<f8").tobytes()
    elif bits == 8:
        body = (np.round(samples * 128) + 128).astype(np.uint8).tobytes()
    else:
        whole = np.round(samples * (2 ** (bits - 1) - 1)).astype("<i8")
        body = whole.reshape(-1, 1).view(np.uint8)[:, :width].tobytes()
    rate, block = _small_speech.RATE, width * channels
    form = struct.pack("<HHIIHH", 0xFFFE, channels, rate, rate * block, block, bits)
    guid = struct.pack("<H", kind) + bytes.fromhex("000000001000800000aa00389b71")
    form += struct.pack("<HHI", 22, bits, 0) + guid
    chunks = b"fmt " + struct.pack("<I", len(form)) + form
    chunks += (
        b"LIST" + struct.pack("<I", 4) + b"INFO" + b"data" + struct.pack("<I", len(body)) + body
    )
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("bits", "kind"), [(8, 1), (16, 1), (24, 1), (32, 1), (32, 3), (64, 3)])
def test_extensible_sounds_of_every_width_are_read(tmp_path, bits, kind, channels):
    wave = 0.8 * np.sin(np.arange(400) / 7)
    samples = np.stack([wave] + [0.5 * wave] * (channels - 1), axis=1)
    path = tmp_path / "x.wav"
    path.write_bytes(sound_file(samples, bits, kind, channels))
    want = 32768 * samples.mean(axis=1)
    np.testing.assert_allclose(read_wav(path, _small_speech.RATE).samples, want, atol=260)


def test_sounds_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "text.wav").write_text("not a sound")
    with pytest.raises(ValueError, match=r"text.wav cannot be read as a wav file"):
        read_wav(tmp_path / "text.wav", 2000)
    with pytest.raises(ValueError, match=r"none.wav has no sample"):
        read_wav(_small_speech.write_wav(tmp_path / "none.wav", np.zeros([0], np.int16)), 2000)
    with pytest.raises(ValueError, match=r"gone.wav does not exist"):
        read_wav(tmp_path / "gone.wav", 2000)
    with pytest.raises(ValueError, match=r"none.wav has no transcript"):
        read_entries(tmp_path, Reading())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no wav file"):
        read_entries(tmp_path / "empty", Reading())
    with pytest.raises(ValueError, match="neither a folder"):
        read_recordings(tmp_path / "text.wav", 2000, Reading())
    np.savez(tmp_path / "other.npz", pcm=np.zeros(3))
    with pytest.raises(ValueError, match="lacks index, label, offset, speaker"):
        read_recordings(tmp_path / "other.npz", 8000, Reading())


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
def test_sounds_of_any_format_and_number_of_channels_are_on_one_scale(tmp_path, dtype):
    wave = np.sin(np.arange(400) / 7)
    scaled = {
        "uint8": np.round(127 * wave + 128),
        "int16": 32767 * wave,
        "int32": (2**31 - 1) * wave,
        "float32": wave,
    }[dtype].astype(dtype)
    silent = np.full_like(scaled, 128 if dtype == "uint8" else 0)
    stereo = np.stack([scaled, silent], axis=1)
    sound = read_wav(_small_speech.write_wav(tmp_path / "x.wav", stereo), _small_speech.RATE)
    np.testing.assert_allclose(sound.samples, 16384 * wave, atol=16384 / 60)


def test_another_rate_is_resampled_and_that_is_said(tmp_path, capsys):
    times = np.arange(4000) / 8000
    wave = (8000 * np.sin(2 * np.pi * 300 * times)).astype(np.int16)
    _small_speech.write_wav(tmp_path / "x.wav", wave, rate=8000)
    (tmp_path / "transcripts.tsv").write_text("x\tone\n")
    (recording,) = read_recordings(tmp_path, 2000, Reading())
    want = 8000 * np.sin(2 * np.pi * 300 * np.arange(1000) / 2000)
    np.testing.assert_allclose(recording.signal[50:-50], want[50:-50], atol=150)
    said = " ".join(capsys.readouterr().err.split())
    assert "1 of 1 recordings: 8,000 samples a second, resampled to 2,000" in said


def test_speaker_that_is_held_out_is_the_test_and_nothing_else(tmp_path):
    folder = _small_speech.write_folder(tmp_path)
    recordings = read_recordings(folder, _small_speech.RATE, Reading())
    parts = split(folder, recordings, "ann", Reading())
    assert {one.speaker for one in parts.test} == {"ann"}
    assert len(parts.test) == sum(one.speaker == "ann" for one in recordings)
    assert {one.speaker for one in (*parts.train, *parts.dev)} == {"bob"}
    with pytest.raises(ValueError, match="no speaker 'eve'; there are ann, bob"):
        split(folder, recordings, "eve", Reading())


def utterances(number=6):
    rng = np.random.default_rng(0)
    return [
        Utterance(rng.normal(size=[3 + i]).astype("f"), (i,), "ab"[i % 2]) for i in range(number)
    ]


def test_strings_are_of_one_speaker_without_repetition_and_know_where_they_are_joined():
    parts = utterances()
    draw = Strings(parts, shortest=2, longest=3, number=40, seed=3)
    strings = [take.render() for take in draw(1)]
    assert {len(one.labels) for one in strings} == {2, 3}
    assert {one.speaker for one in strings} == {"a", "b"}
    for one in strings:
        chosen = [parts[label] for label in one.labels]
        assert {part.speaker for part in chosen} == {one.speaker}
        assert len(set(one.labels)) == len(one.labels)
        np.testing.assert_array_equal(one.signal, np.concatenate([p.signal for p in chosen]))
        assert one.ends == tuple(itertools.accumulate(len(p.signal) for p in chosen))
    labels = [one.labels for one in strings]
    assert labels == [take.render().labels for take in draw(1)]
    assert labels != [take.render().labels for take in draw(2)]
    other = Strings(parts, shortest=2, longest=3, number=40, seed=4)
    assert labels != [take.render().labels for take in other(1)]


def takes(chosen, epoch=0):
    return changed([(one,) for one in chosen], AS_THEY_ARE, seed=0, epoch=epoch)


def test_batch_holds_signals_and_labels_padded_each_by_itself():
    chosen = [*utterances()[2:4], Utterance(np.ones(3, "f"), (), "a")]
    (batch,) = [padded(Takes(lambda epoch: takes(chosen)), unit=4, batch_size=4)[0]]
    assert batch["signals"].shape == (4, 8) and batch["labels"].shape == (4, 8)
    assert batch["rows"].tolist() == [2, 0, 1, -1] and batch["lengths"].tolist() == [3, 5, 6, 0]
    assert batch["labels"][:, 0].tolist() == [0, 2, 3, 0]
    assert batch["label_lengths"].tolist() == [0, 1, 1, 0]
    np.testing.assert_array_equal(batch["signals"][2, :6], chosen[1].signal)


def test_takes_are_drawn_anew_in_each_epoch_and_rendered_for_their_batch_only():
    rendered = []

    class Counted(Take):
        def render(self):
            rendered.append(self.length)
            return super().render()

    def draw(epoch):
        return [Counted(*take) for take in takes(utterances()[epoch : epoch + 3])]

    batches = padded(Takes(draw), unit=4, batch_size=2, seed=0, epochs=3)
    rendered.clear()
    for epoch in range(3):
        found = [batches[2 * epoch + i] for i in range(2)]
        lengths = [length for batch in found for length in batch["lengths"].tolist() if length]
        assert sorted(lengths) == sorted(rendered) == [3 + epoch, 4 + epoch, 5 + epoch]
        rendered.clear()
