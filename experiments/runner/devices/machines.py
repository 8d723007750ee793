"""Where a training runs: options of every command that trains, and the process that they make.

A command that trains is a dataclass derived from `OnDevices` or `OnMachines`; `run_command` enters
its `machines`, and `loop.fit` asks for `current_place`. Nothing else knows how many devices there
are.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import jax
import tyro
from jax.sharding import Mesh

from experiments.runner.devices import processes
from experiments.runner.devices.place import ONE_DEVICE, Place
from experiments.runner.run.options import Options

_PLACE: ContextVar[Place] = ContextVar("place", default=ONE_DEVICE)


def current_place() -> Place:
    """The place that the command line chose; one device if it chose none."""
    return _PLACE.get()


class Devices(Options):
    """Devices of this machine."""

    devices: int = 1
    """Devices that share the rows of every batch, in each process. The results equal those of one
    device up to rounding."""
    accumulation_steps: int = 1
    """Gradient accumulation: the number of parts into which each device divides its rows. They are
    computed one after the other, which needs less memory; results are equal up to rounding."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        for name in ("devices", "accumulation_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")

    @contextlib.contextmanager
    def use(self) -> Iterator[None]:
        """Trains on these devices for the time of a `with` block."""
        token = _PLACE.set(Place(self._mesh(), self.accumulation_steps))
        try:
            yield
        finally:
            _PLACE.reset(token)

    def _mesh(self) -> Mesh | None:
        if self.devices == 1 and jax.process_count() == 1:
            return None
        chosen = []
        for process in range(jax.process_count()):
            local = [device for device in jax.devices() if device.process_index == process]
            if len(local) < self.devices:
                raise ValueError(
                    f"--devices {self.devices}: there are {len(local)}, {local[0].device_kind}. "
                    "Give a smaller number; on a CPU JAX_NUM_CPU_DEVICES says how many there are."
                )
            chosen += local[: self.devices]
        types = (jax.sharding.AxisType.Auto,)
        return jax.make_mesh((len(chosen),), ("data",), devices=chosen, axis_types=types)


class Machines(Devices):
    """Devices of several processes, which may be on several machines."""

    coordinator: str | None = None
    """Address of process 0, host:port, the same in every process; or "auto" where SLURM, Open MPI,
    Kubernetes or a TPU slice provide this option and the next two."""
    num_processes: int | None = None
    """Number of processes."""
    process_id: int | None = None
    """Number of this process, from 0."""
    timeout: float = 60.0
    """Seconds to wait for the other processes to start. A process that does not respond for a third
    of this time counts as dead."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        super().__post_init__()
        if self.coordinator in (None, "auto"):
            if (self.num_processes, self.process_id) != (None, None):
                raise ValueError(
                    "num_processes and process_id need a coordinator: give --coordinator host:port."
                )
            return
        host, _, port = self.coordinator.rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(f"coordinator must be host:port, got {self.coordinator!r}.")
        if self.num_processes is None or self.process_id is None:
            raise ValueError("A coordinator needs --num-processes and --process-id.")
        if not 0 <= self.process_id < self.num_processes:
            raise ValueError(
                f"process_id must be from 0 to {self.num_processes - 1}, got {self.process_id}."
            )

    @contextlib.contextmanager
    def use(self) -> Iterator[None]:
        """Joins the other processes, and trains with them for the time of a `with` block."""
        if self.coordinator is None:
            with super().use():
                yield
            return
        with processes.joined(
            None if self.coordinator == "auto" else self.coordinator,
            self.num_processes,
            self.process_id,
            devices=self.devices,
            timeout=self.timeout,
        ):
            with super().use():
                yield


class OnDevices(Options):
    """A command that trains several times, on the devices of one machine."""

    machines: tyro.conf.OmitArgPrefixes[Devices] = Devices()


class OnMachines(Options):
    """A command that trains once, on any number of machines."""

    machines: tyro.conf.OmitArgPrefixes[Machines] = Machines()
