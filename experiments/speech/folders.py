"""A folder of wav files with transcripts.

What is said stands in a table of the folder (transcripts.tsv, transcripts.csv, transcripts.txt or
metadata.csv), in a text file beside each wav file, or in its name as in the Free Spoken Digit
Dataset, 7_jackson_32.wav. A table has a line for each file: its name, with or without .wav, and the
words, divided by a tab, "|" or a comma; if its first line is "file text split speaker", in any
order and the last two only if wanted, columns are what they are called.
"""

import hashlib
import os
import pathlib
import re
from typing import NamedTuple

from experiments.runner.data.files import read_utf8
from experiments.speech.sounds import Recording, read_wav, tell_resampled

TABLES = ("transcripts.tsv", "transcripts.csv", "transcripts.txt", "metadata.csv")
_COLUMNS = ("file", "text", "split", "speaker")
_NAMED = re.compile(r"(\d)_(\w+)_(\d+)$")
PARTS = ("train", "dev", "test")
_TEST_BELOW, _DEV_FROM = 5, 45  # indices of the Free Spoken Digit Dataset: 0-4, and 45-49 of 5-49


class Entry(NamedTuple):
    """What is known of a wav file before it is heard."""

    path: pathlib.Path
    text: str
    part: str
    speaker: str


def read_folder(folder: pathlib.Path, rate: int) -> list[Recording]:
    """Reads every wav file that has a transcript; says which rates were resampled.

    Raises:
      ValueError: names the file, and the line of a table, for whatever cannot be read.
    """
    entries = read_entries(folder)
    sounds = [read_wav(entry.path, rate) for entry in entries]
    others = [sound.rate for sound in sounds if sound.rate != rate]
    if others:
        tell_resampled(f"{folder}: {len(others)} of {len(sounds)} recordings", others, rate)
    return [
        Recording(
            name=str(entry.path.relative_to(folder)),
            signal=sound.samples,
            words=split_words(entry.text),
            speaker=entry.speaker,
            part=entry.part,
        )
        for entry, sound in zip(entries, sounds, strict=True)
    ]


def split_words(text: str) -> tuple[str, ...]:
    """Words between spaces; a number is read digit by digit.

    Example:
      >>> split_words("Call 42 now")
      ('call', '4', '2', 'now')
    """
    words = text.lower().split()
    return tuple(part for word in words for part in (word if word.isdecimal() else (word,)))


def read_entries(folder: pathlib.Path) -> list[Entry]:
    """The wav files of a folder, by its table, text files or names."""
    tables = [folder / name for name in TABLES if (folder / name).exists()]
    if len(tables) > 1:
        raise ValueError(f"{folder} has several tables, {tables[0].name} and {tables[1].name}.")
    if tables:
        return _of_table(tables[0])
    wavs = sorted(folder.rglob("*.wav"))
    if not wavs:
        raise ValueError(f"{folder} has no wav file.")
    return [_of_file(path, folder) for path in wavs]


def part_of_index(index: int) -> str:
    """The official split of the Free Spoken Digit Dataset, the last of training being for dev.

    Example:
      >>> [part_of_index(index) for index in (0, 4, 5, 44, 45, 49)]
      ['test', 'test', 'train', 'train', 'dev', 'dev']
    """
    if index < _TEST_BELOW:
        return "test"
    return "dev" if index >= _DEV_FROM else "train"


def _of_table(table: pathlib.Path) -> list[Entry]:
    lines = read_utf8(table).split("\n")
    first = next((line for line in lines if line.strip()), "")
    mark = next((mark for mark in ("\t", "|", ",") if mark in first), "\t")
    named = [name.strip().lower() for name in first.split(mark)]
    has_head = {"file", "text"} <= set(named) <= set(_COLUMNS)
    columns = named if has_head else list(_COLUMNS[:2])
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (has_head and line == first):
            continue
        cells = line.split(mark) if has_head else line.split(mark, 1)
        if len(cells) != len(columns):
            raise ValueError(
                f"{table}, line {number}: {len(cells)} column(s), but {len(columns)} were "
                f"expected ({', '.join(columns)})."
            )
        of = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
        path = table.parent / of["file"]
        path = path if path.suffix.lower() == ".wav" else path.with_name(path.name + ".wav")
        if not os.path.exists(path):  # False for names that no file can have
            raise ValueError(f"{table}, line {number}: there is no {path}.")
        entries.append(_entry(path, table.parent, of, f"{table}, line {number}"))
    if not entries:
        raise ValueError(f"{table} is empty: there is no line with a file and its words.")
    return entries


def _of_file(path: pathlib.Path, folder: pathlib.Path) -> Entry:
    text = path.with_suffix(".txt")
    if text.exists():
        return _entry(path, folder, {"text": read_utf8(text)}, str(text))
    match = _NAMED.match(path.stem)
    if match is None:
        raise ValueError(
            f"{path} has no transcript: give a table {TABLES[0]} with a line for it, or a text "
            f"file {text.name} beside it."
        )
    of = {"text": match[1], "speaker": match[2], "split": part_of_index(int(match[3]))}
    return _entry(path, folder, of, str(path))


def _entry(path: pathlib.Path, folder: pathlib.Path, of: dict[str, str], place: str) -> Entry:
    if not of["text"].strip():
        raise ValueError(f"{place}: no word for {path.name}.")
    inside = path.relative_to(folder).parts[:-1]
    part = of.get("split") or next((name for name in inside if name in PARTS), "")
    if part and part not in PARTS:
        raise ValueError(f"{place}: the split must be train, dev or test, got {part!r}.")
    return Entry(path, of["text"], part or _part_by_name(path.name), of.get("speaker", ""))


def _part_by_name(name: str) -> str:
    """One file of ten for test and one for dev, by a digest of the name."""
    digit = int(hashlib.sha1(name.encode()).hexdigest(), 16) % 10
    return {0: "test", 1: "dev"}.get(digit, "train")
