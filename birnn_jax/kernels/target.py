"""The platform that a program is compiled for, which decides its plan."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax

# "cpu", "cuda", "rocm" and "tpu" are the names of lowerings; "gpu" is one of default backends.
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
_target: ContextVar[str | None] = ContextVar("target", default=None)
_takes_layouts: ContextVar[bool] = ContextVar("takes_layouts", default=False)


def get_target() -> str:
    """The platform of the program that is being lowered; else of the default device."""
    return _target.get() or _default_platform()


def _default_platform() -> str:
    config: Any = jax.config
    device = config.jax_default_device  # of `jax.default_device`: a device, a name or None
    if device is None:
        return jax.default_backend()
    return getattr(device, "platform", device)


def takes_layouts() -> bool:
    """True while a program is lowered that may name layouts.

    `jax.export` refuses them, and XLA gathers an array that has one from all devices.
    """
    return _takes_layouts.get()


@contextmanager
def lowering_for(platform: str | None, takes_layouts: bool = False) -> Iterator[None]:
    """What is traced inside is for this platform; None is one that is not known."""
    tokens = _target.set(platform), _takes_layouts.set(takes_layouts)
    try:
        yield
    finally:
        _target.reset(tokens[0])
        _takes_layouts.reset(tokens[1])
