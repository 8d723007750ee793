"""The native CPU kernels: C++ behind XLA's typed FFI, compiled when the package is installed.

`setup.py` builds `src/` into one library beside this file, for several instruction sets of which
the library chooses one when it runs. Here it is found and its functions are made known to XLA.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.ffi
import jax.numpy as jnp

ISAS = ("baseline", "avx2", "avx512")
# The environment variable that names the one to take.
VARIABLE = "BIRNN_JAX_ISA"
FOLDER = Path(__file__).parent
# Of each there is one for float32 and one for float64, whose name ends in _f64.
TYPED = (
    "birnn_pack",
    "birnn_draw",
    "birnn_linear_forward",
    "birnn_linear_backward",
    "birnn_forward_1",
    "birnn_forward_2",
    "birnn_backward_1",
    "birnn_backward_2",
)
BYTES = ("birnn_pack_bytes", "birnn_forward_bytes_1", "birnn_forward_bytes_2")
TARGETS = ("birnn_fold_in", *BYTES, *TYPED, *(f"{name}_f64" for name in TYPED))

_SIZES = {
    "float32": "birnn_packed_size",
    "float64": "birnn_packed_size_f64",
    "int8": "birnn_packed_bytes",
}


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
    handle.birnn_force_isa.argtypes = [ctypes.c_char_p]
    for name in _SIZES.values():
        function = getattr(handle, name)
        function.argtypes = [ctypes.c_char_p, *[ctypes.c_long] * 4]
        function.restype = ctypes.c_long
    _take_from_environment(handle)
    return Library(handle, note)


def _take_from_environment(handle: ctypes.CDLL) -> None:
    isa = os.environ.get(VARIABLE, "")
    if isa and isa not in ISAS:
        raise ValueError(
            f"{VARIABLE}={isa} is no instruction set of the native kernels. Set it to one of "
            f"{', '.join(ISAS)}, or unset it to take the best one of this processor."
        )
    if isa and not handle.birnn_force_isa(isa.encode()):
        raise ValueError(
            f"{VARIABLE}={isa}, but this processor or this build of the native kernels has no "
            f"{isa}. Unset it to take the best one, which is {handle.birnn_isa().decode()}."
        )


def has_float64() -> bool:
    """True if the kernels for float64 are there and run on this processor."""
    handle = load().handle
    return handle is not None and bool(handle.birnn_has_f64())


def target_name(function: str, dtype: Any = jnp.float32) -> str:
    """The name by which XLA knows a function of this build, for float32 or float64.

    The name is all that a compiled program holds of a function. A persistent compilation cache
    therefore finds a program again for the same build only.
    """
    suffix = "_f64" if dtype == jnp.float64 else ""
    return f"{function}{suffix}.{_digest_of_build()}"


def get_isa() -> str:
    """The instruction set that the library takes, "avx512", "avx2" or "baseline"."""
    return _get_handle().birnn_isa().decode()


@contextlib.contextmanager
def forced_isa(isa: str) -> Iterator[bool]:
    """Takes another one, everywhere in this process, to test it; False where the CPU lacks it."""
    handle, before = _get_handle(), get_isa()
    handle.birnn_force_isa(isa.encode())
    try:
        yield get_isa() == isa
    finally:
        handle.birnn_force_isa(before.encode())


@contextlib.contextmanager
def without_tiles() -> Iterator[None]:
    """Weights of 8 bits are multiplied without the tile registers (AMX), to test that, too."""
    handle = _get_handle()
    before = handle.birnn_use_tiles(0)
    try:
        yield
    finally:
        handle.birnn_use_tiles(before)


def packed_size(cell: str, inputs: int, columns: int, states: int, head: int, dtype: Any) -> int:
    """Numbers that the packed weights of a cell take, with the instruction set of now."""
    function = getattr(_get_handle(), _SIZES[jnp.dtype(dtype).name])
    return function(cell.encode(), inputs, columns, states, head)


def find_isas() -> list[str]:
    """Those which the library was built for and this CPU has."""
    found = []
    for isa in ISAS:
        with forced_isa(isa) as is_there:
            found += [isa] * is_there
    return found


def _get_handle() -> ctypes.CDLL:
    handle = load().handle
    assert handle is not None, "is_registered() comes first"
    return handle


def _register(handle: ctypes.CDLL) -> None:
    # Before the backend is there JAX only notes a target, and one of another version of the
    # interface would later stop the backend from starting. Afterwards it raises here.
    jax.default_backend()
    for name in TARGETS:
        function = jax.ffi.pycapsule(getattr(handle, name))
        jax.ffi.register_ffi_target(target_name(name), function, platform="cpu")


@functools.cache
def _digest_of_build() -> str:
    """Of the library itself, as it is loaded: other compilers make others of the same sources."""
    return hashlib.sha256((FOLDER / "_kernels.so").read_bytes()).hexdigest()[:16]


def _read_note() -> tuple[str, str]:
    """What `setup.py` wrote: how the library was built or why not, and of which sources."""
    try:
        lines = (FOLDER / "_build.txt").read_text().splitlines()
    except FileNotFoundError:
        return "Not built: birnn_jax was not installed from here. Run pip install.", ""
    note, digest, *_ = [*lines, "", ""]  # not there in a file that was cut off
    return note, digest


def _digest_of_sources() -> str:
    sources = sorted(path for path in (FOLDER / "src").iterdir() if path.suffix in (".cc", ".h"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
