"""How a layer is shared out to the blocks of a Hopper GPU: by rows, directions and hidden units.

A slice is `units` hidden units with all their gates, and belongs to one warpgroup. A cluster of
blocks holds the recurrent weights of one direction in shared memory, each block those of its
slices; every tile of rows and every direction has a cluster of its own.
"""

from typing import Any, Literal, NamedTuple

import jax.numpy as jnp

SHARED_BYTES = 232_448  # that a block may ask for
RESERVED_BYTES = 2_048  # for barriers, and for what Mosaic keeps there itself
ROWS = 64  # of a tile: what the tensor cores of a warpgroup multiply at once
MAX_WARPGROUPS = 4  # so that each of their threads has 128 registers
CLUSTERS = (1, 2, 4, 8, 16)  # blocks; 16 are the most that Hopper can start together
UNITS = (32, 16)


class DoesNotFitError(ValueError):
    """A layer needs more shared memory than there is; to be read after the name of the backend."""


class Plan(NamedTuple):
    """Sizes of a launch."""

    units: int  # of a slice
    warpgroups: int  # slices of a block
    blocks: int  # of a cluster

    @property
    def slices(self) -> int:
        """Of all hidden units, those that fill up the last slices included."""
        return self.warpgroups * self.blocks

    @property
    def hidden_size(self) -> int:
        """The hidden units with those that fill up the last slices, which stay 0."""
        return self.slices * self.units


def plan_forward(hidden_size: int, num_gates: int, dtype: Any) -> tuple[Plan, tuple[int, int]]:
    """The plan of the forward loop, and how many pieces states and weights have."""
    pieces = (1, 1) if dtype == jnp.bfloat16 else (3, 3)
    return _make_plan("gather", hidden_size, num_gates, pieces), pieces


def plan_backward(hidden_size: int, num_gates: int, dtype: Any) -> tuple[Plan, tuple[int, int]]:
    """The plan of the loop of the gradient, and how many pieces cotangents and weights have.

    Cotangents are of float32 beside bfloat16 weights, too: two pieces keep 16 of their bits.
    """
    pieces = (2, 1) if dtype == jnp.bfloat16 else (3, 3)
    return _make_plan("scatter", hidden_size, num_gates, pieces), pieces


def _make_plan(
    exchange: Literal["gather", "scatter"],
    hidden_size: int,
    num_gates: int,
    pieces: tuple[int, int],
) -> Plan:
    """The smallest cluster whose blocks hold the weights.

    Args:
      exchange: "gather" multiplies what all slices send, `[B, H]`, by the columns of a block;
        "scatter" what a block sends, `[B, G*H/blocks]`, by its rows, and adds up over blocks.
      hidden_size: H.
      num_gates: G.
      pieces: bfloat16 addends of what is sent, and of weights.

    Raises:
      DoesNotFitError: if no cluster does.
    """
    least = None
    for blocks in CLUSTERS:
        for units in UNITS:
            slices = -(-hidden_size // units)
            warpgroups = -(-slices // blocks)
            if slices < blocks or warpgroups > MAX_WARPGROUPS:
                continue
            plan = Plan(units, warpgroups, blocks)
            needed = needed_bytes(exchange, plan, num_gates, pieces)
            if needed <= SHARED_BYTES:
                return plan
            least = needed if least is None else min(least, needed)
    limit = f"the limit is {SHARED_BYTES:,}."
    if least is None:
        most = CLUSTERS[-1] * MAX_WARPGROUPS * UNITS[0]
        raise DoesNotFitError(f"computes at most {most:,} hidden units, got {hidden_size:,}.")
    raise DoesNotFitError(
        f"needs {least:,} bytes of shared memory in each block for {hidden_size:,} hidden units; "
        f"{limit}"
    )


def needed_bytes(
    exchange: Literal["gather", "scatter"], plan: Plan, num_gates: int, pieces: tuple[int, int]
) -> int:
    """Shared memory of a block: its weights, and what it multiplies by them."""
    of_messages, of_weights = pieces
    columns = plan.warpgroups * plan.units * num_gates
    sent = plan.hidden_size if exchange == "gather" else columns
    weights = plan.hidden_size * columns * of_weights
    return 2 * (weights + ROWS * sent * of_messages) + RESERVED_BYTES
