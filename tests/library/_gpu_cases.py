"""Layers that the kernels for Hopper GPUs compute in interpret mode, each beside the definition.

    python -m tests.library._gpu_cases

writes in JSON, for each of them, what is wrong, and for each barrier that is left out, what the
race detector says. In a process of its own: two threads that wait for one another need more threads
of XLA than a small machine has.
"""

import functools
import itertools
import json
import os
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import ELMAN, GRU, LSTM
from birnn_jax.kernels.gpu import exchange, layer, plan
from birnn_jax.kernels.moving import split_directions
from birnn_jax.kernels.operation import Operands
from birnn_jax.kernels.target import lowering_for
from tests.library._races import (
    INTERPRETS_CLUSTERS,
    Sizes,
    compare_with_definition,
    gpu_race_detector,
    make_directions,
)

_SIZES = Sizes(rows=3, steps=2, features=2, hidden=9)
_LENGTHS = {"lengths": [1, 2, 0]}
_IDS = {"ids": jnp.array([[1, 2], [1, 0], [0, 1]])}


class Case(NamedTuple):
    """A layer whose slices have 16 units."""

    cell: Any
    hidden: int
    given: dict[str, Any]
    dtype: str = "float32"
    blocks: int = 1
    keep_gates: bool = True


class LeftOut(NamedTuple):
    """A barrier of a step that nobody waits at, of a layer of two slices."""

    number: int
    blocks: int = 1


CASES = {
    "LSTM, lengths": Case(LSTM, 9, _LENGTHS),
    "GRU, segments": Case(GRU, 9, _IDS, keep_gates=False),
    "Elman, two slices": Case(ELMAN, 20, {}, "bfloat16"),
    "no barrier before the product": LeftOut(0),
    "no barrier after the product": LeftOut(1),
}
CASES_OF_CLUSTERS = {
    "Elman, two blocks": Case(ELMAN, 20, _LENGTHS, blocks=2),
    "LSTM, two blocks": Case(LSTM, 20, _IDS, "bfloat16", blocks=2),
    "no barrier of the cluster": LeftOut(0, blocks=2),
}


def find_fault(case: Case | LeftOut) -> str:
    """What is wrong: a difference, a race, or nothing."""
    rng = np.random.default_rng(0)
    sizes = mock.patch.multiple(plan, UNITS=(16,), CLUSTERS=(case.blocks,))
    with sizes, lowering_for("cuda"):  # with weights packed as for a GPU
        if isinstance(case, LeftOut):
            return _run_without(rng, case.number)
        shape = _SIZES._replace(hidden=case.hidden)
        directions = make_directions(rng, case.cell, shape, **case.given, dtype=case.dtype)
        try:
            return compare_with_definition(
                rng, directions, case.keep_gates, layer.LAUNCHES, gpu_race_detector
            )
        except AssertionError as error:
            return str(error)


def _run_without(rng: np.random.Generator, number: int) -> str:
    meet, count = exchange._meet, itertools.count()
    skip = lambda barrier: None if next(count) == number else meet(barrier)  # noqa: E731
    directions = make_directions(rng, ELMAN, _SIZES._replace(hidden=20), dtype="bfloat16")
    shared, rows, *_ = split_directions(directions)
    forward = jax.jit(functools.partial(layer.LAUNCHES.forward, None))
    with mock.patch.object(exchange, "_meet", skip), gpu_race_detector() as said:
        jax.block_until_ready(forward(Operands(shared, rows)))
    return said.getvalue()


def main() -> None:
    """Runs all that this version of Pallas interprets."""
    os.environ["NPROC"] = "8"  # of threads; read when JAX makes its first array
    cases = CASES | (CASES_OF_CLUSTERS if INTERPRETS_CLUSTERS else {})
    print(json.dumps({name: find_fault(case) for name, case in cases.items()}))


if __name__ == "__main__":
    main()
