"""The devices of a training, and what has to lie where on them.

Parameters lie on every device, rows of a batch are shared between all devices of all processes.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from experiments.runner.data.batches import Share, Source, shared
from experiments.runner.run.carried import CarriedState


class Place(NamedTuple):
    """Where a training runs, and in how many shares of a batch."""

    mesh: Mesh | None = None  # None is one device
    accumulation_steps: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes, prints and decides."""
        return jax.process_index() == 0

    @property
    def num_processes(self) -> int:
        """How many processes train together."""
        return 1 if self.mesh is None else jax.process_count()

    def share(self, source: Source, axis: int) -> Source:
        """What this process reads of `source`, whose leaves have their rows at `axis`."""
        pieces = self.accumulation_steps * (1 if self.mesh is None else self.mesh.size)
        index = jax.process_index() if self.num_processes > 1 else 0
        return shared(source, Share(index, self.num_processes, pieces, axis))

    def put_batch(self, batch: Any, axis: int) -> Any:
        """The batch of which this process has its share of rows."""
        if self.mesh is None:
            return jax.device_put(batch)
        return jax.tree.map(lambda leaf: self._put_rows(np.asarray(leaf), axis), batch)

    def put_key(self, key: jax.Array) -> jax.Array:
        """A key of random numbers that every process has."""
        if self.mesh is None:
            return key
        return jax.random.wrap_key_data(self._put_whole(jax.random.key_data(key)))

    def same_state(self, state: Any) -> Any:
        """The state of the first process in all of them, bit for bit."""
        if self.num_processes == 1:
            return state
        return jax.tree.map(_from_first, state)

    def put_state(self, state: Any) -> Any:
        """A state that every process has whole."""
        if self.mesh is None:
            return state
        everywhere = jax.tree.map(self._put_whole, state)
        if isinstance(state, CarriedState):
            everywhere = everywhere._replace(carry=jax.tree.map(self._put_cut, state.carry))
        return everywhere

    def take_state(self, state: Any) -> Any:
        """The state as this process alone would have it. All processes must ask for it together."""
        if self.mesh is None:
            return state
        alone = jax.tree.map(_take_whole, state._replace(carry=()) if _is_carried(state) else state)
        if _is_carried(state):
            alone = alone._replace(carry=jax.tree.map(self._gather, state.carry))
        return alone

    def _put_whole(self, leaf: Any) -> jax.Array:
        return self._put(np.asarray(leaf), PartitionSpec())

    def _put_cut(self, leaf: Any) -> jax.Array:
        if len(leaf) % self._devices.size:
            raise ValueError(
                f"The carry has {len(leaf)} rows, which {self._devices.size} devices cannot share "
                "evenly; give a batch size that is a multiple of that."
            )
        return self._put(np.asarray(leaf), PartitionSpec(self._axis))

    def _put(self, whole: np.ndarray, spec: PartitionSpec) -> jax.Array:
        sharding = NamedSharding(self._devices, spec)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    def _put_rows(self, leaf: np.ndarray, axis: int) -> jax.Array:
        spec = PartitionSpec(*(None,) * axis, self._axis) if leaf.ndim > axis else PartitionSpec()
        return jax.make_array_from_process_local_data(NamedSharding(self._devices, spec), leaf)

    def _gather(self, leaf: jax.Array) -> jax.Array:
        if self.num_processes == 1:
            return jnp.asarray(jax.device_get(leaf))
        return jnp.asarray(multihost_utils.process_allgather(leaf, tiled=True))

    @property
    def _devices(self) -> Mesh:
        assert self.mesh is not None
        return self.mesh

    @property
    def _axis(self) -> str:
        return self._devices.axis_names[0]


ONE_DEVICE = Place()


def _is_carried(state: Any) -> bool:
    return isinstance(state, CarriedState)


def _from_first(leaf: jax.Array) -> jax.Array:
    value = np.asarray(leaf)
    if value.size:
        raw = np.frombuffer(value.tobytes(), np.uint8)  # as sums would lose the sign of zero
        raw = np.asarray(multihost_utils.broadcast_one_to_all(raw), np.uint8)
        value = np.frombuffer(raw.tobytes(), value.dtype).reshape(value.shape)
    return jnp.asarray(value)


def _take_whole(leaf: jax.Array) -> jax.Array:
    return leaf.addressable_data(0)
