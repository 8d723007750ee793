"""Files of data: read whole, or refused in one sentence."""

import gzip
import pathlib
import zlib


def read_bytes(path: pathlib.Path) -> bytes:
    """Reads a file whole, unzipped where its name ends in .gz."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist.") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder; a file was expected.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is named .gz but cannot be unzipped: {error}.") from None


def read_utf8(path: pathlib.Path) -> str:
    """Reads a text, without a byte order mark and with the line ends of Unix."""
    content = read_bytes(path)
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: not UTF-8 ({error.reason}).") from None
