"""A problem of classification: series to train on and to test, and what was seen in training."""

import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.runner.data.batches import FlatBatch, Source
from experiments.runner.data.files import parsed_as, read_arrays, read_json
from experiments.runner.data.parts import split_off
from experiments.runner.data.reading import Reading
from experiments.time_series.classify.ts_file import Series, read_ts

_NPZ = ("x_{}", "len_{}", "y_{}")


def read_data(
    train: pathlib.Path, test: pathlib.Path | None, reading: Reading
) -> tuple[list[Series], list[Series]]:
    """Series to train on and to test on; without a file of the latter, the part test of the other.

    A tenth is split off a file without parts.
    """
    if test and test != train:
        return read_series(train, "train", reading), read_series(test, "test", reading)
    series = read_series(train, "train", reading)
    if train.suffix == ".npz" and "x_test" in read_arrays(train):
        return series, read_series(train, "test", reading)
    parts = split_off(train, series, ["test"], key=_digest, reading=reading)
    return parts["train"], parts["test"]


def _digest(example: Series) -> str:
    return f"{example.label} {hashlib.sha1(example.values.tobytes()).hexdigest()}"


def read_series(path: pathlib.Path, split: str, reading: Reading) -> list[Series]:
    """Reads the part `split`, "train" or "test", of an .npz file, or the whole of a .ts file.

    An .npz holds for each part x, the series one after the other `[sum of T, D]`, len, their
    lengths, and y, their labels.

    Raises:
      ValueError: names the file for anything that cannot be read.
    """
    if path.suffix != ".npz":
        return read_ts(path, reading)
    names = [name.format(split) for name in _NPZ]
    return _of_arrays(path, read_arrays(path), names)


def read_unlabelled(path: pathlib.Path, reading: Reading, *, dimensions: int) -> list[Series]:
    """Reads series whose labels, if there are any, are not looked at.

    Of an .npz file those named x and len, or x_test and len_test; else those of a .ts file, whose
    header may be missing, too.

    Args:
      path: the file.
      reading: how to read, and where repairs are reported.
      dimensions: of each series. What stands behind them is a label.

    Raises:
      ValueError: names the file for anything that cannot be read.
    """
    if path.suffix != ".npz":
        return read_ts(path, reading, dimensions=dimensions)
    arrays = read_arrays(path)
    names = ["x", "len"] if "x" in arrays else [name.format("test") for name in _NPZ[:2]]
    return _of_arrays(path, arrays, names)


def _of_arrays(
    path: pathlib.Path, arrays: Mapping[str, np.ndarray], names: Sequence[str]
) -> list[Series]:
    """The series under the names of values, lengths and, where there are any, labels."""
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}: it is not an .npz file of series.")
    values, lengths = arrays[names[0]], arrays[names[1]]
    labels = arrays[names[2]] if len(names) > 2 else np.full(lengths.shape, "")
    if not (values.ndim == 2 and lengths.ndim == 1 and lengths.shape == labels.shape):
        shapes = ", ".join(str(arrays[name].shape) for name in names)
        raise ValueError(
            f"{path}: {names[0]} must be [steps, D], {' and '.join(names[1:])} [N], got the shapes "
            f"{shapes}."
        )
    if not (lengths.dtype.kind in "iu" and (lengths > 0).all() and lengths.sum() == len(values)):
        raise ValueError(f"{path}: {names[1]} must be positive and add up to {len(values)} steps.")
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise ValueError(f"{path}: {names[0]} must be finite numbers.")
    parts = np.split(values.astype(np.float32), np.cumsum(lengths)[:-1])
    return [Series(part, str(label)) for part, label in zip(parts, labels, strict=True)]


def hold_out(series: Sequence[Series], every: int) -> tuple[list[Series], list[Series]]:
    """Training and development: every so manieth series of each class is for development."""
    seen: dict[str, int] = {}
    train, dev = [], []
    for example in series:
        seen[example.label] = seen.get(example.label, 0) + 1
        (dev if seen[example.label] % every == 0 else train).append(example)
    if not dev:
        raise ValueError(
            f"No class has {every} series, so none is left to choose by: give a smaller "
            "--dev-every."
        )
    return train, dev


class Problem(NamedTuple):
    """What a model knows of its training data: its classes, and the scale of each dimension."""

    labels: list[str]
    mean: list[float]
    deviation: list[float]

    def encode(self, series: Sequence[Series]) -> list[dict[str, np.ndarray]]:
        """Series standardised: `values` `[T, D]`, 0 in a dimension that was not observed.

        Raises:
          ValueError: if the number of dimensions is not that of training.
        """
        for example in series:
            if example.values.shape[1] != len(self.mean):
                raise ValueError(
                    f"The model was trained on series of {len(self.mean)} dimension(s), these have "
                    f"{example.values.shape[1]}."
                )
        scale = np.array(self.mean, np.float32), np.array(self.deviation, np.float32)
        standardised = ((example.values - scale[0]) / scale[1] for example in series)
        return [{"values": np.nan_to_num(values)} for values in standardised]

    def extending(self, known: "Problem") -> "Problem":
        """The problem with the classes of one known before in front, and with its scale."""
        new = [label for label in self.labels if label not in known.labels]
        return known._replace(labels=[*known.labels, *new])

    def indices(self, series: Sequence[Series]) -> np.ndarray:
        """The index of each label; -1 for one that training has not."""
        places = {label: index for index, label in enumerate(self.labels)}
        return np.array([places.get(example.label, -1) for example in series], np.int32)

    def save(self, path: pathlib.Path) -> None:
        """Writes JSON."""
        path.write_text(json.dumps(self._asdict(), ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: pathlib.Path) -> "Problem":
        """Reads what `save` wrote.

        Raises:
          ValueError: if the file is something else.
        """
        what = "the problem of a classifier of series"
        fields = read_json(path, what)
        with parsed_as(path, what):
            mean, deviation = ([float(value) for value in fields[n]] for n in cls._fields[1:])
            return cls([str(label) for label in fields["labels"]], mean, deviation)


def describe(series: Sequence[Series]) -> Problem:
    """Of the training data; a dimension that never changes has a deviation of 1.

    One that was never observed has a mean of 0, too.
    """
    steps = np.concatenate([example.values for example in series]).astype(np.float64)
    steps[:, np.isnan(steps).all(axis=0)] = 0
    deviation = np.nanstd(steps, axis=0)
    return Problem(
        labels=sorted({example.label for example in series}),
        mean=np.nanmean(steps, axis=0).tolist(),
        deviation=np.where(deviation > 0, deviation, 1.0).tolist(),
    )


class Labelled:
    """Batches with the label of each row; -1 for a row that is none."""

    def __init__(self, batches: Source, labels: np.ndarray):
        """Takes batches that say which example a row is, and the labels `[N]` of the examples."""
        self._batches = batches
        self._labels = labels

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> FlatBatch:
        batch: Any = self._batches[index]
        rows = batch["rows"]
        return batch | {"labels": np.where(rows >= 0, self._labels[rows], -1).astype(np.int32)}
