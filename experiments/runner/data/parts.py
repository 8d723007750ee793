"""Parts of data: of a file that names them, or a share of one that does not."""

import hashlib
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

Part = Literal["train", "dev", "test"]
Item = TypeVar("Item")
_TENTHS = 10


def read_parts(
    train: pathlib.Path,
    dev: pathlib.Path | None,
    test: pathlib.Path | None,
    *,
    read: Callable[[pathlib.Path], Mapping[str | None, Sequence[Item]]],
) -> dict[Part, list[Item]]:
    """Reads the items to train on, to choose by and to test on.

    Args:
      train: file of the first.
      dev: file of the second; None takes the part dev of the file of train, and where it has none,
        a tenth of train.
      test: file of the third; None takes the part test of the file of train.
      read: gives the items of a file by the name of their part, None for a file without parts.

    Raises:
      ValueError: if there is nothing to test on, or a file has parts but not the one it is for.
    """
    whole = read(train)
    parts: dict[Part, list[Item]] = {"train": named_part(train, whole, "train")}
    others: dict[Part, pathlib.Path | None] = {"dev": dev, "test": test}
    for name, path in others.items():
        if path:
            parts[name] = named_part(path, read(path), name)
        elif name in whole:
            parts[name] = list(whole[name])
        elif name == "dev":
            parts["train"], parts["dev"] = held_out(parts["train"])
        else:
            raise ValueError(f"{train} has no part test: give a file to --test.")
    return parts


def named_part(
    path: pathlib.Path, parts: Mapping[str | None, Sequence[Item]], name: Part
) -> list[Item]:
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


def held_out(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Splits items into nine tenths and one tenth, always the same.

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
