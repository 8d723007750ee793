"""The native CPU kernels: C++ behind XLA's typed FFI, compiled when the package is installed.

`setup.py` builds `src/` into one library beside this file, for several instruction sets of which
the library chooses one when it runs. Here it is found and its functions are made known to XLA.
"""

import ctypes
import functools
import hashlib
from pathlib import Path
from typing import NamedTuple

import jax
import jax.ffi

FOLDER = Path(__file__).parent
TARGETS = tuple(
    f"birnn_{cell}_{way}" for cell in ("elman", "gru", "lstm") for way in ("forward", "backward")
)


class Library(NamedTuple):
    """The library, or None and the reason, a sentence."""

    handle: ctypes.CDLL | None
    note: str


def is_registered() -> bool:
    """True if XLA knows the functions; the first call loads them."""
    return load().handle is not None


@functools.cache
def load() -> Library:
    """Loads the library and registers its functions, once in a process."""
    path = FOLDER / "_kernels.so"
    note, digest = _read_note()
    if not path.exists():
        return Library(None, note)
    if (FOLDER / "src").exists() and digest != _digest_of_sources():
        return Library(None, "The sources changed since it was built. Install birnn_jax again.")
    try:
        handle = ctypes.CDLL(str(path))
        _register(handle)
    except (OSError, jax.errors.JaxRuntimeError) as error:
        reason = str(error).splitlines()[0]
        return Library(None, f"Built for another system or JAX, install birnn_jax again: {reason}")
    handle.birnn_isa.restype = ctypes.c_char_p
    return Library(handle, note)


def _register(handle: ctypes.CDLL) -> None:
    # Before the backend is there JAX only notes a target, and one of another version of the
    # interface would later stop the backend from starting. Afterwards it raises here.
    jax.default_backend()
    for name in TARGETS:
        function = jax.ffi.pycapsule(getattr(handle, name))
        jax.ffi.register_ffi_target(name, function, platform="cpu")


def _read_note() -> tuple[str, str]:
    """What `setup.py` wrote: how the library was built or why not, and of which sources."""
    try:
        note, digest = (FOLDER / "_build.txt").read_text().splitlines()
    except FileNotFoundError:
        return "Not built: birnn_jax was not installed from here. Run pip install.", ""
    return note, digest


def _digest_of_sources() -> str:
    sources = sorted(path for path in (FOLDER / "src").iterdir() if path.suffix in (".cc", ".h"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
