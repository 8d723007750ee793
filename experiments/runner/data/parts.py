"""Parts of data: to train on, to choose by and to test on, all of one's own.

What is not given is a part of the file of training, and where that has no parts, a tenth of it
that is split off, always the same one. So no file that somebody trains on is ever measured by
another's, nor by the sentences that it was trained on.
"""

import hashlib
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from experiments.runner.data.reading import Reading

Part = Literal["train", "dev", "test"]
PARTS: tuple[Part, ...] = ("train", "dev", "test")
Item = TypeVar("Item")
_TENTHS = 10
_ALIASES: Mapping[str, Part] = {
    **{name: name for name in PARTS},
    **{name: "train" for name in ("training", "trn")},
    **{name: "dev" for name in ("valid", "validation", "val", "development", "devel")},
    **{name: "test" for name in ("testing", "tst")},
}


def part_of_name(name: str) -> Part | None:
    """The part that a word stands for; None if it stands for none.

    Example:
      >>> part_of_name("Validation"), part_of_name("good")
      ('dev', None)
    """
    return _ALIASES.get(name.strip().lower())


def read_parts(
    train: pathlib.Path,
    dev: pathlib.Path | None,
    test: pathlib.Path | None,
    *,
    read: Callable[[pathlib.Path], Mapping[str | None, Sequence[Item]]],
    key: Callable[[Item], str],
    reading: Reading,
) -> dict[Part, list[Item]]:
    """Reads the items to train on, to choose by and to test on.

    Args:
      train: file of the first.
      dev: file of the second; None, or the file of train again, takes its part dev, and where it
        has none, a tenth of its items.
      test: the same of the third.
      read: gives the items of a file by the name of their part, None for a file without parts.
      key: what an item is known by; those of the same key come into the same part.
      reading: reports what was split off.

    Raises:
      ValueError: if a file has parts but not the one it is for, or there is too little to split.
    """
    others: dict[Part, pathlib.Path | None] = {"dev": dev, "test": test}
    whole = read(train)
    parts: dict[Part, Sequence[Item]] = {"train": named_part(train, whole, "train")}
    for name, path in others.items():
        if path and path != train:
            parts[name] = named_part(path, read(path), name)
        elif name in whole:
            parts[name] = whole[name]
    return fill_parts(train, parts, key=key, reading=reading)


def named_part(path: pathlib.Path, parts: Mapping[Any, Sequence[Item]], name: Part) -> list[Item]:
    """The part of a file with this name; all of a file that names no parts.

    Raises:
      ValueError: if the file has parts, but not this one.
    """
    if set(parts) == {None}:
        return list(parts[None])
    if name not in parts:
        found = ", ".join(str(part) for part in parts)
        raise ValueError(f"{path} has no part {name}; it has {found}.")
    return list(parts[name])


def fill_parts(
    path: pathlib.Path,
    parts: Mapping[Any, Sequence[Item]],
    *,
    key: Callable[[Item], str],
    reading: Reading,
) -> dict[Part, list[Item]]:
    """Parts train, dev and test; missing parts are split off from train, and that is reported.

    Args:
      path: of train.
      parts: items by the name of their part; those of no part, None, are for train too.
      key, reading: as in `read_parts`.

    Raises:
      ValueError: if there is too little to split.
    """
    filled: dict[Part, list[Item]] = {name: list(parts.get(name, ())) for name in PARTS}
    filled["train"] += parts.get(None, ())
    lacking: list[Part] = [name for name in PARTS if name != "train" and not filled[name]]
    if not lacking:
        return filled
    return filled | split_off(path, filled["train"], lacking, key=key, reading=reading)


def split_off(
    path: pathlib.Path,
    items: Sequence[Item],
    names: Sequence[Part],
    *,
    key: Callable[[Item], str],
    reading: Reading,
) -> dict[Part, list[Item]]:
    """Divides items into train and the parts named, a tenth of the keys each, and tells that."""
    keys = [key(item) for item in items]
    digests = {text: int(hashlib.sha1(text.encode()).hexdigest(), 16) for text in keys}
    if len(digests) <= len(names):
        raise ValueError(
            f"{path} has {len(digests)} different items, too few to split {' and '.join(names)} "
            "off. Give more, or files of their own."
        )
    order = sorted(digests, key=lambda text: (digests[text] % _TENTHS, digests[text]))
    share = max(1, round(len(order) / _TENTHS))
    place: dict[str, Part] = dict.fromkeys(order, "train")
    for i, name in enumerate(sorted(names, reverse=True)):  # the test first
        place |= dict.fromkeys(order[i * share : (i + 1) * share], name)
    parts: dict[Part, list[Item]] = {name: [] for name in ("train", *names)}
    for item, text in zip(items, keys, strict=True):
        parts[place[text]].append(item)
    shares = " and ".join(f"{len(parts[name]):,} for {name}" for name in names)
    reading.remark(
        path, f"of its {len(items):,} items {shares} were split off, the same ones with every seed"
    )
    return parts


def held_out(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Splits items into nine tenths and one tenth, always the same, by their places.

    Example:
      >>> kept, out = held_out(list(range(20)))
      >>> len(kept), len(out), sorted(kept + out) == list(range(20))
      (18, 2, True)
    """
    chosen = {*folds(len(items), _TENTHS)[0]}
    kept = [item for i, item in enumerate(items) if i not in chosen]
    return kept, [items[i] for i in sorted(chosen)]


def folds(number: int, count: int) -> list[list[int]]:
    """Indices of `number` items in `count` folds at random, always the same ones.

    Example:
      >>> sorted(map(len, folds(11, 3)))
      [3, 4, 4]
    """
    order = sorted(range(number), key=lambda i: hashlib.sha256(str(i).encode()).digest())
    return [order[fold::count] for fold in range(count)]
