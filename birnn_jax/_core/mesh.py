"""Arrays that are spread over a mesh of devices."""

from typing import Any

import jax


def vary_alike(leaves: list[Any]) -> list[Any]:
    """Inside `shard_map`: all leaves vary over the axes over which any of them does."""
    if jax.sharding.get_abstract_mesh().empty:
        return leaves
    varying = [jax.typeof(leaf).mat.varying for leaf in leaves]
    every = frozenset().union(*varying)
    return [
        jax.lax.pcast(leaf, tuple(every - own), to="varying") if every - own else leaf
        for leaf, own in zip(leaves, varying, strict=True)
    ]
