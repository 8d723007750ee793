"""The settings that both models of music have in common."""

import pathlib
from collections.abc import Sequence
from typing import Any

from birnn_jax.data import choose_buckets
from experiments.runner.data.batches import Batches
from experiments.runner.data.files import DATA
from experiments.runner.data.reading import ReadSettings
from experiments.runner.run.choices import BasicCell
from experiments.runner.run.settings import RunSettings, require

BUNDLED = DATA / "jsb_chorales_quarter.json.gz"
NAME = "music"


class RollSettings(ReadSettings, RunSettings):
    """Pieces, and how they are put into batches."""

    data: pathlib.Path = BUNDLED
    """Pieces: .json or .json.gz with lists of MIDI numbers, a .mat file of piano rolls, or a folder
    of MIDI files, which may stand in folders train, valid and test. Without parts, or without one
    of them, a tenth is split off."""
    frames_per_beat: int = 1
    """Frames of a quarter note, of MIDI files; other files have their frames."""
    transpose: int = 0
    """In training a piece is moved up or down by a random number of semitones, at most this one, in
    each batch. Use 0 for the bundled chorales, which are all in C major or A minor."""
    frames_per_batch: int = 320
    """Frames of a batch, padding included."""
    buckets: int = 2
    """Different lengths of padded batches, at most; each is compiled once."""
    cell: BasicCell = "lstm"
    """Recurrent cell."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        super().__post_init__()
        self.require_positive("frames_per_beat", "frames_per_batch", "buckets")
        require(self.transpose >= 0, f"transpose must not be negative, got {self.transpose}")

    def batches(self, examples: Sequence[Any], lengths: Sequence[int], **options: Any) -> Batches:
        """Batches of examples, in buckets chosen for pieces of the lengths given."""
        buckets = choose_buckets(lengths, self.buckets)
        size = max(self.frames_per_batch, buckets[-1])
        return Batches(examples, buckets=buckets, tokens_per_batch=size, **options)
