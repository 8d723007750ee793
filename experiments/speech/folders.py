"""A folder of wav files with transcripts.

The transcripts stand in a table of the folder (transcripts.tsv, transcripts.csv, transcripts.txt or
metadata.csv), in a text file beside each wav file, or in its name as in the Free Spoken Digit
Dataset, 7_jackson_32.wav. A table has a line for each file: its name, with or without .wav, and the
words, divided by a tab, "|" or a comma; three columns apart by "|" are those of LJ Speech, id, text
and normalised text, with the files in a folder wavs. If its first line names file and text, perhaps
split and speaker, in any order, columns are what they are called and others are passed over.
"""

import csv
import os
import pathlib
import re
from collections.abc import Callable
from typing import NamedTuple

from experiments.runner.data.parts import Part, part_of_name
from experiments.runner.data.reading import Reading
from experiments.speech.sounds import Recording, read_wav, tell_resampled, wavs_of

TABLES = ("transcripts.tsv", "transcripts.csv", "transcripts.txt", "metadata.csv")
_NAMES = {
    "file": "file path filename file_name wav audio audio_file",
    "text": "text transcript transcription sentence words",
    "split": "split part set subset",
    "speaker": "speaker speaker_id client_id",
}
_ROLES = {name: role for role, names in _NAMES.items() for name in names.split()}
_NAMED = re.compile(r"(\d)_(\w+)_(\d+)$")
_TEST_BELOW, _DEV_FROM = 5, 45  # indices of the Free Spoken Digit Dataset: 0-4, and 45-49 of 5-49


class Entry(NamedTuple):
    """What is known of a wav file before it is heard."""

    path: pathlib.Path
    text: str
    part: Part | None  # None where nothing says it
    speaker: str


def read_folder(folder: pathlib.Path, rate: int, reading: Reading) -> list[Recording]:
    """Reads every wav file that has a transcript; says which rates were resampled.

    Raises:
      ValueError: names the file, and the line of a table, for whatever cannot be read.
    """
    entries = read_entries(folder, reading)
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


def read_entries(folder: pathlib.Path, reading: Reading) -> list[Entry]:
    """The wav files of a folder, by its table, text files or names."""
    tables = [folder / name for name in TABLES if (folder / name).exists()]
    if len(tables) > 1:
        raise ValueError(f"{folder} has several tables, {tables[0].name} and {tables[1].name}.")
    if tables:
        return _of_table(tables[0], reading)
    wavs = wavs_of(folder)
    if not wavs:
        raise ValueError(f"{folder} has no wav file.")
    return [_of_file(path, folder, reading) for path in wavs]


def part_of_index(index: int) -> Part:
    """The official split of the Free Spoken Digit Dataset, the last of training being for dev.

    Example:
      >>> [part_of_index(index) for index in (0, 4, 5, 44, 45, 49)]
      ['test', 'test', 'train', 'train', 'dev', 'dev']
    """
    if index < _TEST_BELOW:
        return "test"
    return "dev" if index >= _DEV_FROM else "train"


def _of_table(table: pathlib.Path, reading: Reading) -> list[Entry]:
    lines = [(n, line) for n, line in enumerate(reading.lines(table), start=1) if line.strip()]
    if not lines:
        raise ValueError(f"{table} is empty: there is no line with a file and its words.")
    split = _splitter(lines[0][1])
    named = [_ROLES.get(name.lower(), "") for name in split(lines[0][1])]
    has_head = {"file", "text"} <= {*named}
    width = len(split(lines[0][1]))
    is_lj = not has_head and "|" in lines[0][1] and width == 3
    if is_lj:
        reading.remark(table, "id|text|normalised text, as LJ Speech has it: the last is learned")
    columns = named if has_head else ["file", "text", "text"] if is_lj else ["file", "text"]
    entries: dict[pathlib.Path, Entry] = {}
    for number, line in lines[has_head:]:
        where = f"{table}, line {number}"
        cells = split(line)
        if len(cells) > 2 == len(columns):  # the separator stands in the words
            cells = [cells[0], line.split(_mark(line), 1)[1].strip()]
        if len(cells) != len(columns):
            raise ValueError(
                f"{where}: {len(cells)} column(s), but {len(columns)} were expected "
                f"({', '.join(filter(None, columns))})."
            )
        of: dict[str, str] = {}
        for name, cell in zip(columns, cells, strict=True):
            of[name] = cell or of.get(name, "")
        entry = _entry(_wav_of(table, of["file"], where), table.parent, of, where)
        if entry.path in entries and entries[entry.path].text != entry.text:
            raise ValueError(f"{where}: {entry.path.name} has other words than in a line before.")
        if entry.path in entries:
            reading.repaired(table, "a file that was named before", "left out", number)
        entries[entry.path] = entry
    return list(entries.values())


def _mark(line: str) -> str:
    """What divides the columns of a line."""
    return next((mark for mark in ("\t", "|", ",") if mark in line), " ")


def _splitter(first: str) -> Callable[[str], list[str]]:
    """What splits lines into columns like the first."""
    mark = _mark(first)

    def split(line: str) -> list[str]:
        if mark == ",":
            cells = next(csv.reader([line]), [])
        else:
            cells = line.split(mark, 1) if mark == " " else line.split(mark)
        return [cell.strip() for cell in cells]

    return split


def _wav_of(table: pathlib.Path, name: str, where: str) -> pathlib.Path:
    """The wav file of a name, beside the table or in its folder wavs."""
    for folder in (table.parent, table.parent / "wavs", table.parent / "clips"):
        path = folder / name
        path = path if path.suffix.lower() == ".wav" else path.with_name(path.name + ".wav")
        if os.path.exists(path):  # False for names that no file can have
            return path
    raise ValueError(f"{where}: there is no {table.parent / name}, nor in its folder wavs.")


def _of_file(path: pathlib.Path, folder: pathlib.Path, reading: Reading) -> Entry:
    text = path.with_suffix(".txt")
    if text.exists():
        return _entry(path, folder, {"text": reading.text(text)}, str(text))
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
    named = of.get("split") or next((name for name in inside if part_of_name(name)), "")
    part = part_of_name(named)
    if named and not part:
        raise ValueError(f"{place}: the split must be train, dev or test, got {named!r}.")
    return Entry(path, of["text"], part, of.get("speaker", ""))
