"""The platform that a program is compiled for, which decides its plan."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

# "cpu", "cuda", "rocm" and "tpu" are the names of lowerings; "gpu" is one of default backends.
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
_target: ContextVar[str | None] = ContextVar("target", default=None)


def get_target() -> str:
    """The platform of the program that is being lowered; else the default backend."""
    return _target.get() or jax.default_backend()


@contextmanager
def lowering_for(platform: str | None) -> Iterator[None]:
    """What is traced inside is for this platform; None is one that is not known."""
    token = _target.set(platform)
    try:
        yield
    finally:
        _target.reset(token)
