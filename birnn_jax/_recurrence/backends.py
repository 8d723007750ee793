"""What can compute a layer here, and why not what cannot."""

from typing import NamedTuple

import jax

from ..kernels.cpu import library as cpu


class Status(NamedTuple):
    """Whether one backend is there, and of what kind or why not, in a sentence."""

    available: bool
    why: str


class Backends(NamedTuple):
    """What `birnn_jax.backends()` found; printed as a table."""

    xla: Status
    cpu_kernel: Status

    def __str__(self) -> str:
        rows = zip(self._fields, self, strict=True)
        return "\n".join(
            f"{name:10}  {'yes' if row.available else 'no ':3}  {row.why}" for name, row in rows
        )


def backends() -> Backends:
    """What `backend=` may name in this process, for `scan_cell` and all that is built on it.

    "xla" is JAX itself, on any device. "cpu_kernel" is native code, compiled when the package was
    installed if there was a C++ compiler; the instruction set is chosen here by what the CPU has.

    Returns:
      `Backends` with a field for each; it prints as a table.

    Example:
      >>> print(backends())
      xla         yes  ...
      cpu_kernel  ...
      >>> backends().xla.available
      True
    """
    library = cpu.load()
    why = library.note
    if library.handle is not None:
        why = f"{cpu.get_isa()}. {why}"
    return Backends(
        xla=Status(True, f"JAX {jax.__version__} on {jax.default_backend()}."),
        cpu_kernel=Status(library.handle is not None, why),
    )
