"""Recordings with what is said in them: a folder of wav files, or one .npz file of many.

Two layouts of .npz, of N recordings one after the other, recording i being [offset[i]:offset[i+1]]:
`pcm` [samples] int16 at 8 kHz, or `q` [frames, 13] int8 with `scale` and `lo`, MFCC as in
`features`, (q + 127) * scale + lo. Beside them `label`, `speaker` and `index`, [N].
"""

import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.runner.data.files import parsed_as, read_arrays, read_utf8
from experiments.runner.data.parts import PARTS, Part, split_off
from experiments.runner.data.reading import Reading
from experiments.runner.run.folder import write_text
from experiments.speech.config import SpeechConfig
from experiments.speech.folders import part_of_index, read_folder
from experiments.speech.sounds import Recording

NPZ_RATE = 8000
_FEWEST_TO_CHOOSE_BY = 20
_TENTHS = 10


class Parts(NamedTuple):
    """Recordings by what they are for."""

    train: list[Recording]
    dev: list[Recording]
    test: list[Recording]


def read_recordings(path: pathlib.Path, rate: int, reading: Reading) -> list[Recording]:
    """Reads all recordings, at `rate` samples a second.

    Raises:
      ValueError: names the file, and what is wrong with it.
    """
    if path.is_dir():
        return read_folder(path, rate, reading)
    if path.suffix != ".npz":
        raise ValueError(
            f"{path} is neither a folder of wav files with transcripts nor an .npz file."
        )
    if rate != NPZ_RATE:
        raise ValueError(f"{path} is at {NPZ_RATE} samples a second: leave --rate at that.")
    return _read_npz(path)


def split(
    path: pathlib.Path,
    recordings: Sequence[Recording],
    held_out_speaker: str | None,
    reading: Reading,
    *,
    hold_out_dev: bool | None = None,
) -> Parts:
    """Parts as each recording says; with a held-out speaker, all that this one says is the test.

    A tenth of the recordings is split off for a part that none is for; for dev, if `hold_out_dev`
    is not given, only where that is enough to choose parameters by.

    Raises:
      ValueError: if there is too little to split, or no such speaker.
    """
    by_part = {name: [item for item in recordings if item.part == name] for name in (*PARTS, None)}
    if held_out_speaker is not None:
        speakers = sorted({item.speaker for item in recordings})
        if held_out_speaker not in speakers:
            raise ValueError(
                f"There is no speaker {held_out_speaker!r}; there are {', '.join(speakers)}."
            )
        others = [item for item in recordings if item.speaker != held_out_speaker]
        by_part = {
            "train": [item for item in others if item.part not in ("dev", None)],
            None: [item for item in others if item.part is None],
            "dev": [item for item in others if item.part == "dev"],
            "test": [item for item in recordings if item.speaker == held_out_speaker],
        }
    items = [*by_part["train"], *by_part[None]]
    parts: dict[Part, list[Recording]] = {
        "train": items,
        "dev": by_part["dev"],
        "test": by_part["test"],
    }
    lacking: list[Part] = [name for name in PARTS if not parts[name] and name != "train"]
    if hold_out_dev is None:
        hold_out_dev = can_choose(len(items) // _TENTHS)
    if "dev" in lacking and not hold_out_dev:
        lacking.remove("dev")
        reading.remark(
            path,
            f"none of its {len(items):,} items are held out for dev: a tenth is too few to "
            "choose parameters by, so the last ones are used",
        )
    if lacking:
        parts |= split_off(path, items, lacking, key=_file_name, reading=reading)
    return Parts(**parts)


def can_choose(dev: int) -> bool:
    """Whether so many recordings say more of parameters than how long they were trained."""
    return dev >= _FEWEST_TO_CHOOSE_BY


def _file_name(item: Recording) -> str:
    return pathlib.PurePath(item.name).name


def _read_npz(path: pathlib.Path) -> list[Recording]:
    arrays = read_arrays(path)
    needed = {"offset", "label", "speaker", "index"}
    kind = {"pcm"} if "pcm" in arrays else {"q", "scale", "lo"}
    missing = sorted((needed | kind) - arrays.keys())
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; it has {', '.join(sorted(arrays))}.")
    if "pcm" in arrays:
        steps = arrays["pcm"]
    else:
        steps = (arrays["q"].astype(np.float32) + 127) * arrays["scale"] + arrays["lo"]
    offset, names = arrays["offset"], arrays.get("speakers")
    number = len(arrays["label"])
    ends = np.r_[0, len(steps)]
    if len(offset) != number + 1 or (offset[[0, -1]] != ends).any() or (np.diff(offset) < 1).any():
        raise ValueError(f"{path}: offset does not fit its {number} labels.")
    if any(len(arrays[name]) != number for name in ("speaker", "index")):
        raise ValueError(f"{path}: speaker and index must be as many as its {number} labels.")
    recordings = []
    for i, label in enumerate(arrays["label"]):
        speaker, index = arrays["speaker"][i], int(arrays["index"][i])
        speaker = str(speaker if names is None else names[speaker])
        recordings.append(
            Recording(
                name=f"{label}_{speaker}_{index}",
                signal=steps[offset[i] : offset[i + 1]].astype(np.float32),
                words=(str(label),),
                speaker=speaker,
                part=part_of_index(index),
            )
        )
    return recordings


def labels_of(config: SpeechConfig, train: Sequence[Recording]) -> list[str]:
    """The words of training, each a label.

    Raises:
      ValueError: if a recording does not have one label with --task label.
    """
    if config.task == "label":
        for item in train:
            if len(item.words) != 1:
                raise ValueError(
                    f"{item.name} says {len(item.words)} words, but --task label takes one of each "
                    "recording; give --task row."
                )
    return sorted({word for item in train for word in item.words})


LABELS = "labels.json"


def read_parts(config: SpeechConfig) -> Parts:
    """The recordings of a run by what they are for; tells how they were read."""
    reading = config.reading()
    recordings = read_recordings(config.data, config.rate, reading)
    parts = split(
        config.data,
        recordings,
        config.held_out_speaker,
        reading,
        hold_out_dev=config.hold_out_dev,
    )
    reading.tell()
    return parts


def save_labels(path: pathlib.Path, labels: Sequence[str]) -> None:
    """Writes the labels as JSON."""
    write_text(path, json.dumps(list(labels), ensure_ascii=False) + "\n")


def load_labels(path: pathlib.Path) -> list[str]:
    """Reads what `save_labels` wrote."""
    text = read_utf8(path)
    with parsed_as(path, "a list of labels"):
        return [str(label) for label in json.loads(text)]
