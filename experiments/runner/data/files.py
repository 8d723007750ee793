"""Files of data: read whole, or refused in one sentence."""

import contextlib
import io
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments.runner.data.reading import Reading

DATA = pathlib.Path(__file__).parents[2] / "data"  # what is bundled


def read_bytes(path: pathlib.Path) -> bytes:
    """Reads a file whole, unzipped where its name ends in .gz; or `STANDARD_INPUT`."""
    return Reading().content(path)


def read_utf8(path: pathlib.Path) -> str:
    """Reads a text, without a byte order mark and with the line ends of Unix."""
    content = read_bytes(path)
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: not UTF-8 ({error.reason}).") from None


def read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the arrays of an .npz file.

    Raises:
      ValueError: names the file, if it is not one or cannot be read.
    """
    content = read_bytes(path)
    with parsed_as(path, "an .npz file"), np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@contextlib.contextmanager
def parsed_as(path: pathlib.Path, what: str) -> Iterator[None]:
    """Says in one sentence that the content of a file is not `what`.

    For the parsers of other libraries, which do not promise what they raise on broken files.
    """
    try:
        yield
    except Exception as error:
        name = type(error).__name__
        raise ValueError(f"{path} cannot be read as {what} ({name}: {error}).") from None


def read_json(path: pathlib.Path, what: str) -> dict[str, Any]:
    """Reads a JSON object; `what` says in a refusal what the file should be.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if the file is anything else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except NotADirectoryError:
        raise FileNotFoundError(path) from None
    except (ValueError, RecursionError, IsADirectoryError):
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not {what}.")
    return content


def require_new(path: pathlib.Path) -> None:
    """Refuses to write over a file, or into a folder that does not exist."""
    if path.exists():
        raise ValueError(f"{path} exists already: give another name, or remove it first.")
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent} is not a folder. Create it first, or give another name.")
