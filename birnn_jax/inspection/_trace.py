"""All states and gates of a run."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from .._core.masks import Lengths
from .._core.meshes import over_rows
from .._core.types import Bi, Carry, Cell, Params
from .._recurrence.scan_cell import scan_cell
from .._stacks.layer import LayerParams, Layers, as_layers
from .._stacks.stack import stack
from ..kernels.reference.loop import advance
from ._directions import map_directions, merge_directions, one_each
from ._gates import find_gates


class Trace(NamedTuple):
    """What one direction of a layer did at every step; in the order of the input, 0 in padding.

    Example:
      >>> from birnn_jax.inspection import Trace
      >>> Trace._fields
      ('carries', 'gates', 'ys')
    """

    carries: Carry  # leaves [B, T, ...], after each step
    gates: Any  # a NamedTuple of [B, T, H], None for a cell that does not name its gates
    ys: jax.Array  # [B, T, H]


@over_rows("xs")
def trace(
    layers: Layers,
    params: Sequence[LayerParams],
    xs: jax.Array,
    lengths: Lengths = None,
    *,
    initial_carry: Sequence[Carry] | None = None,
) -> tuple[Any, ...]:
    """Every state and every gate of every layer and direction of `stack`.

    Gates have the names of their equations: i, f, g, o in an LSTM, r, z, n in a GRU; z, n in a
    minGRU and i, f, n, with i + f = 1, in a minLSTM. An Elman cell and IndRNN have their new state,
    h. A cell of your own has gates if its step is a `birnn_jax.cells.GatedStep`.

    Args:
      layers: of the stack, from the bottom to the top; one layer for one call of `bidirectional`.
      params: from `init_stack`.
      xs: `[B, T, D]`.
      lengths: as in `stack`.
      initial_carry: as in `stack`.

    Returns:
      For each layer a `Bi` of `Trace`, or a `Trace` if it has one direction.

    Raises:
      ValueError, TypeError: as `stack`.

    Example:
      >>> from birnn_jax.inspection import trace
      >>> layers = (Layer(LSTM), Layer(GRU, direction="fwd"))
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> xs = jax.random.normal(jax.random.key(1), [2, 5, 3])
      >>> lower, upper = trace(layers, params, xs, jnp.array([5, 2]))
      >>> lower.bwd.gates.f.shape, lower.bwd.carries.c.shape, upper.gates.z[1, 2:].any().item()
      ((2, 5, 4), (2, 5, 4), False)

    References:
      Karpathy, Johnson and Fei-Fei, Visualizing and Understanding Recurrent Networks, 2015.
    """
    layers = as_layers(layers)
    # Shapes only: refuses what `stack` would refuse.
    jax.eval_shape(lambda: stack(layers, params, xs, lengths, initial_carry=initial_carry))
    traces = []
    for layer, layer_params, carry in zip(
        layers, params, one_each(layers, initial_carry), strict=True
    ):
        record = functools.partial(_record, xs=xs, lengths=lengths)
        traces.append(map_directions(record, layer, layer_params, carry))
        xs = merge_directions(layer, _ys(traces[-1]))
    return tuple(traces)


def _record(
    cell: Cell, params: Params, reverse: bool, carry: Carry, *, xs: jax.Array, lengths: Lengths
) -> Any:
    """The scan of a cell whose output is all there is to see."""

    def step(params, carry, x):
        new, y = advance(cell, params, carry, x)
        return new, Trace(new, find_gates(cell.step, params, carry, x), y)

    recorder: Any = cell._replace(step=step)
    return scan_cell(recorder, params, xs, lengths, initial_carry=carry, reverse=reverse)[1]


def _ys(traces: Any) -> Any:
    return traces.ys if isinstance(traces, Trace) else Bi(traces.fwd.ys, traces.bwd.ys)
