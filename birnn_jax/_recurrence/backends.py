"""The backends: what can compute a layer. Which of them does changes time, not results."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Literal, NamedTuple

import jax

from .._core.checks import check_choice
from .._core.direction import Direction, Outputs
from ..kernels.cpu import layer as cpu_layer
from ..kernels.cpu import library as cpu_library
from ..kernels.cpu.obstacle import find_obstacle as find_cpu_obstacle
from ..kernels.cpu.packing import pack as cpu_pack
from ..kernels.gpu import layer as gpu_layer
from ..kernels.gpu.obstacle import find_obstacle as find_gpu_obstacle
from ..kernels.gpu.obstacle import find_other_device
from ..kernels.reference import loop as reference
from ..kernels.tpu import layer as tpu_layer
from ..kernels.tpu.obstacle import find_obstacle as find_tpu_obstacle
from ..kernels.xla.layer import run_layer as run_by_xla
from ..kernels.xla.plan import keeps_gates as keeps_gates_by_xla
from ..kernels.xla.rules import find_need_of_a_rule

BackendName = Literal["auto", "cpu_kernel", "tpu_kernel", "gpu_kernel", "xla", "reference"]
Directions = tuple[Direction, ...]


class Status(NamedTuple):
    """Whether a backend is there, and of what kind or why not, in a sentence."""

    available: bool
    why: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backend:
    """One way to compute a layer."""

    name: str
    also: str | None = None  # another name that may take it
    automatic: bool = True  # "auto" may take it
    obstacle: Callable[[Directions], str | None]  # why it cannot compute a layer, after its name
    # (directions, whether gates are stored, whether another platform may compute them again)
    run: Callable[[Directions, bool, bool], Outputs]
    keeps_gates: Callable[[Directions], bool]  # with residuals="auto"
    # The weights of a direction in a layout of its own, for many calls; None if it has none.
    pack: Callable[[Direction], jax.Array | None] = lambda direction: None
    status: Callable[[], Status]
    # Each way in which it can run here, to be compared by the self-check.
    variants: Callable[[], dict[str, AbstractContextManager]] = lambda: {"": nullcontext()}


def _status_of_cpu_kernel() -> Status:
    library = cpu_library.load()
    if library.handle is None:
        return Status(False, library.note)
    if jax.default_backend() != "cpu":
        return Status(False, f"The default backend is {jax.default_backend()!r}. {library.note}")
    return Status(True, f"{cpu_library.get_isa()}. {library.note}")


def _status_of_tpu_kernel() -> Status:
    why = (
        "One kernel for all steps on a TPU; elsewhere the loops of XLA. It has not been timed on a "
        "TPU, so 'auto' never picks it."
    )
    if find_spec("libtpu") is None:
        why += " JAX has no TPU support here: pip install 'jax[tpu]' on a machine with a TPU."
    return Status(jax.default_backend() == "tpu", why)


def _status_of_gpu_kernel() -> Status:
    why = (
        "One kernel for all steps on a Hopper GPU (H100, H200); elsewhere the loops of XLA. It has "
        "not run on a GPU, so 'auto' never picks it."
    )
    if not any(map(find_spec, ("jax_cuda12_plugin", "jax_cuda13_plugin"))):
        why += " JAX has no CUDA support here: pip install 'jax[cuda13]' on a machine with a GPU."
    return Status(jax.default_backend() == "gpu" and find_other_device() is None, why)


CPU_KERNEL = Backend(
    name="cpu_kernel",
    obstacle=find_cpu_obstacle,
    run=cpu_layer.run_natively,
    keeps_gates=cpu_layer.keeps_gates,
    pack=cpu_pack,
    status=_status_of_cpu_kernel,
    variants=lambda: {isa: cpu_library.forced_isa(isa) for isa in cpu_library.find_isas()},
)
TPU_KERNEL = Backend(
    name="tpu_kernel",
    automatic=False,  # until a recorded run on a device says that it is faster
    obstacle=find_tpu_obstacle,
    run=tpu_layer.LAUNCHES.run,
    keeps_gates=lambda directions: True,
    status=_status_of_tpu_kernel,
)
GPU_KERNEL = Backend(
    name="gpu_kernel",
    automatic=False,  # until a recorded run on a device says that it is faster
    obstacle=find_gpu_obstacle,
    run=gpu_layer.LAUNCHES.run,
    keeps_gates=lambda directions: True,
    status=_status_of_gpu_kernel,
)
XLA = Backend(
    name="xla",
    obstacle=find_need_of_a_rule,
    run=run_by_xla,
    keeps_gates=keeps_gates_by_xla,
    status=lambda: Status(True, f"JAX {jax.__version__} on {jax.default_backend()}."),
)
REFERENCE = Backend(
    name="reference",
    also="xla",  # both are JAX itself: "xla" takes the faster one that there is
    obstacle=lambda directions: None,
    run=reference.run,
    keeps_gates=lambda directions: True,
    status=lambda: Status(True, "The definition, for any cell: lax.scan of its step."),
)

# "auto" is the first of those that it may take without an obstacle.
BACKENDS = (CPU_KERNEL, TPU_KERNEL, GPU_KERNEL, XLA, REFERENCE)
NAMES = ("auto", *(backend.name for backend in BACKENDS))


def choose_backend(name: str, directions: Directions) -> Backend:
    """What computes a layer.

    Raises:
      ValueError: if the name is unknown, or the backend of that name cannot compute the layer.
    """
    check_choice("backend", name, NAMES)
    automatic = name == "auto"
    candidates = [b for b in BACKENDS if (b.automatic if automatic else name in (b.name, b.also))]
    obstacle = None
    for backend in candidates:
        obstacle = backend.obstacle(directions)
        if obstacle is None:
            return backend
    raise ValueError(f"backend={name!r} {obstacle} backend='auto' picks one that can compute it.")


class Statuses:
    """What `birnn_jax.backends()` found: an attribute for each backend; prints as a table."""

    def __init__(self, rows: dict[str, Status]) -> None:
        self._rows = rows

    def __getattr__(self, name: str) -> Status:
        try:
            return self.__dict__["_rows"][name]
        except KeyError:
            raise AttributeError(f"There is no backend {name!r}, only {', '.join(self)}.") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __repr__(self) -> str:
        return "\n".join(
            f"{name:10}  {'yes' if row.available else 'no ':3}  {row.why}"
            for name, row in self._rows.items()
        )


def backends() -> Statuses:
    """Lists what `backend=` may name in this process, for `scan_cell` and all that is built on it.

    "cpu_kernel" is native code, compiled when the package was installed if there was a C++
    compiler; of "avx512", "avx2" and "baseline" it takes the best that the CPU has, or the one
    that the environment variable `BIRNN_JAX_ISA` names. "tpu_kernel" and "gpu_kernel" are one
    Pallas kernel for all steps of a layer, on a TPU and on a Hopper GPU; they are taken by name
    only. "xla" is JAX itself, on any device: fast loops for some cells, and "reference", the
    definition, for the others. "auto", the default, is the first of the table that can compute a
    layer.

    Returns:
      An object with a field for each backend, `available` and `why`; it prints as a table.

    Example:
      >>> print(backends())
      cpu_kernel  ...
      tpu_kernel  ...
      gpu_kernel  ...
      xla         yes  ...
      reference   yes  ...
      >>> backends().xla.available
      True
    """
    return Statuses({backend.name: backend.status() for backend in BACKENDS})
