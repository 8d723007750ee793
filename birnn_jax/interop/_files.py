"""What a file is, told by its first bytes; sentences for files that a reader cannot take."""

import contextlib
import os
import struct
import zipfile
from collections.abc import Collection, Iterator
from typing import Any

# What readers of damaged files raise beside their own exceptions and OSError.
DAMAGE = (
    *(AssertionError, AttributeError, EOFError, LookupError, MemoryError, NotImplementedError),
    *(OverflowError, RecursionError, RuntimeError, TypeError, ValueError),
    *(struct.error, zipfile.BadZipFile),
)

_FROM_KERAS = "birnn_jax.interop.keras.from_keras reads it."
_FROM_TORCH = "birnn_jax.interop.torch.from_torch reads it."
_DOWNLOAD = "Download or save it again."
# Of each kind: what the file is, and what to do with it where it is not wanted.
_KINDS = {
    "empty": ("empty", _DOWNLOAD),
    "folder": ("a folder", "Give a file in it."),
    "saved model": (
        "a SavedModel of TensorFlow",
        "Load it with the Keras that wrote it, and save the model as a .h5 or .keras file.",
    ),
    "lfs": ("a pointer of Git LFS and holds no weights", "`git lfs pull` fetches the file itself."),
    "page": ("a web page", _DOWNLOAD),
    "shards": ("the index of a checkpoint of PyTorch in several files", _FROM_TORCH),
    "distributed": (
        "a distributed checkpoint of PyTorch",
        "torch.distributed.checkpoint.format_utils.dcp_to_torch_save writes it as one file.",
    ),
    "json": ("a JSON file", "Give the file that holds the weights."),
    "npy": ("an array of NumPy", "Give the arrays in a dict, by their names."),
    "npz": ("an archive of NumPy", "Give dict(numpy.load(path)) in place of the path."),
    "gzip": ("compressed with gzip", "Uncompress it first."),
    "zip": ("a ZIP archive of something else", "Give the file that holds the weights."),
    "damaged zip": ("damaged: its end is missing", _DOWNLOAD),
    "torch": ("a checkpoint of PyTorch", _FROM_TORCH),
    "pickle": ("a pickle", "If it is a checkpoint of PyTorch, from_torch reads it."),
    "torchscript": (
        "a TorchScript program",
        "Give torch.jit.load(path) in place of the path, or save its state_dict() with torch.save.",
    ),
    "torch export": (
        "a program of torch.export",
        "Give torch.export.load(path).state_dict in place of the path.",
    ),
    "safetensors": (
        "a .safetensors file",
        "birnn_jax.interop.safetensors.load reads those of this library, "
        "birnn_jax.interop.torch.from_torch those of PyTorch.",
    ),
    "hdf5": ("an HDF5 file", _FROM_KERAS),
    "keras": ("a model of Keras", _FROM_KERAS),
    "unknown": ("of an unknown kind", "Give the file that holds the weights."),
}
_STARTS = {
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"\x80": "pickle",
    b"\x93NUMPY": "npy",
    b"\x1f\x8b": "gzip",
    b"version https://git-lfs": "lfs",
    b"<": "page",
    b"{": "json",
    b"PK": "zip",
}


def check_kind(
    path: str | os.PathLike[str], kinds: Collection[str], reader: str, accepted: str
) -> str:
    """The kind of a file, which is one of `kinds`; `reader` reads what is `accepted`."""
    kind = _identify(path)
    if kind not in kinds:
        what, advice = _KINDS[kind]
        raise ValueError(f"{os.fspath(path)} is {what}; {reader} reads {accepted}. {advice}")
    return kind


@contextlib.contextmanager
def named_in_errors(source: Any) -> Iterator[None]:
    """A ValueError raised inside names the file that `source` is, if it is one."""
    try:
        yield
    except ValueError as error:
        path = os.fspath(source) if isinstance(source, str | os.PathLike) else ""
        if not path or path in str(error):
            raise
        raise ValueError(f"{path}: {error}") from error


@contextlib.contextmanager
def damage_told(path: str | os.PathLike[str], *errors: type[Exception]) -> Iterator[None]:
    """What a reader raises inside, `errors` or DAMAGE, becomes one sentence."""
    try:
        yield
    except (*DAMAGE, *errors) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"{os.fspath(path)} is damaged or of another kind than its start says: {reason}"
        ) from error


def _identify(path: str | os.PathLike[str]) -> str:
    if os.path.isdir(path):
        marks = {"saved_model.pb": "saved model", ".metadata": "distributed"}
        found = [kind for name, kind in marks.items() if os.path.exists(os.path.join(path, name))]
        return found[0] if found else "folder"
    with open(path, "rb") as file:
        start = file.read(64)
    if not start:
        return "empty"
    if start[8:9] == b"{" and start[7:8] == b"\0":
        return "safetensors"
    found = [kind for prefix, kind in _STARTS.items() if start.lstrip().startswith(prefix)]
    match found[0] if found else "unknown":
        case "zip":
            return _identify_zip(path)
        case "json":
            return _identify_json(path)
        case kind:
            return kind


def _identify_json(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:
        return "shards" if b'"weight_map"' in file.read() else "json"


def _identify_zip(path: str | os.PathLike[str]) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except DAMAGE:
        return "damaged zip"
    inner = {name.partition("/")[2] for name in names}
    if "data.pkl" in inner:
        return "torchscript" if "constants.pkl" in inner else "torch"
    if {"archive_format", "serialized_exported_program.json"} & {*inner, *names}:
        return "torch export"
    if "model.weights.h5" in names:
        return "keras"
    return "npz" if names and all(name.endswith(".npy") for name in names) else "zip"
