"""Two directions of time when the end is still to come."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import max_dim

from .._core.cell_checks import as_carry
from .._core.checks import as_lengths, as_size, as_xs
from .._core.masks import clear_padding
from .._core.meshes import over_rows, scan
from .._core.types import Bi, Carry
from .._recurrence.bidirectional import MERGES
from .._recurrence.scan_cell import scan_cell
from .._stacks.layer import Layer, LayerParams, Layers, as_layers
from .._stacks.run import check_stack, fill_carry, run_around
from .._stacks.subsampling import subsample
from ._steps import initial_carry as make_initial_carry

Run = Callable[[Carry | None, jax.Array, jax.Array], tuple[Carry, jax.Array]]


@over_rows("xs")
def latency_controlled(
    layers: Layers,
    params: Sequence[LayerParams],
    xs: jax.Array,
    lengths: jax.Array | None = None,
    *,
    chunk_size: int,
    lookahead: int,
    initial_carry: Sequence[Carry | None] | None = None,
) -> tuple[tuple[Carry | None, ...], jax.Array]:
    """A stack whose backward direction sees a bounded piece of the future.

    Time is cut into chunks of N steps. The window of a chunk is the chunk and the R steps that
    follow it, or what there is of them. In every window, layer by layer,

        forward   goes on from the state after the last step of the chunk before
        backward  starts anew at the end of the window

    and outputs are kept for the steps of the chunk. A layer reads what the layer below computed in
    the same window, as in the source: the latency of the whole stack is N + R steps, however many
    layers there are. (Over whole sequences, one layer after the other, each would add R.) With
    N >= T this is `stack`. With layers that subsample, all together by k, N and R are multiples of
    k, and T steps become ceil(T / k). For training with the function that will run online, and the
    same numbers: windows of all chunks are computed side by side, except for the forward states.

    Args:
      layers: as given to `init_stack`; under `jax.jit` as in `stack`.
      params: from `init_stack`.
      xs: `[B, T, D]`; what stands in padding is never used.
      lengths: `[B]` integers, valid steps per row, 0 to T; None means all T.
      chunk_size: steps N of a chunk, at least 1.
      lookahead: steps R after it, 0 or more, also more than N.
      initial_carry: in the form of the carry returned; None is that of `initial_carry`.

    Returns:
      carry: the forward carries of every layer after the last valid step, as those of
        `initial_carry`; they are not the carries of `stack`, which has two directions.
      ys: as from `stack`; zero in padding.

    Raises:
      ValueError: if ranks, sizes or the structure of the carry do not fit, or N or R is no multiple
        of the steps that the layers read as one.
      TypeError: if `lengths` are not integers.

    Example:
      >>> from birnn_jax import streaming
      >>> layers = (Layer(LSTM),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> xs = jax.random.normal(jax.random.key(1), [2, 50, 3])
      >>> carry, ys = streaming.latency_controlled(layers, params, xs, chunk_size=20, lookahead=10)
      >>> ys.shape
      (2, 50, 8)

    References:
      Zhang et al., Highway Long Short-Term Memory RNNs for Distant Speech Recognition, 2016
      (latency-controlled bidirectional LSTM).
    """
    xs = as_xs(xs)
    chunk_size = as_size("chunk_size", chunk_size)
    lookahead = as_size("lookahead", lookahead, least=0)
    batch_size, num_steps, _ = xs.shape
    lengths = jnp.minimum(_as_lengths(lengths, xs), num_steps)
    count = max_dim(1, -(-num_steps // chunk_size))
    starts = chunk_size * jnp.arange(count)
    xs = clear_padding(xs, lengths)
    padded = jnp.pad(xs, [(0, 0), (0, count * chunk_size + lookahead - num_steps), (0, 0)])
    windows = padded[:, starts[:, None] + jnp.arange(chunk_size + lookahead)[None]]
    carry, ys = _run_windows(
        *(layers, params, initial_carry, windows.swapaxes(0, 1)),
        lengths[None] - starts[:, None],
        chunk_size,
    )
    ys = ys.swapaxes(0, 1).reshape(batch_size, count * ys.shape[2], ys.shape[-1])
    return carry, ys[:, : -(-num_steps // _rate(layers))]


@over_rows("xs")
def latency_controlled_step(
    layers: Layers,
    params: Sequence[LayerParams],
    carry: Sequence[Carry | None],
    xs: jax.Array,
    *,
    chunk_size: int,
    lengths: jax.Array | None = None,
) -> tuple[tuple[Carry | None, ...], jax.Array]:
    """One chunk of `latency_controlled`, as soon as its lookahead has arrived.

    Called for chunk after chunk it gives what `latency_controlled` gives for the whole. It is
    compiled once for each size of window: near the end pad it, and say so with `lengths`.

    Args:
      layers: as given to `init_stack`; under `jax.jit` as in `stack`.
      params: from `init_stack`.
      carry: from `initial_carry`, or the chunk before.
      xs: `[B, N + R, D]`, the chunk and its lookahead.
      chunk_size: steps N of the chunk.
      lengths: `[B]` integers, how many steps of the window are there, 0 to N + R; None means all.
        Less than N means that the row ends in this chunk.

    Returns:
      carry: the forward carries after the chunk, for the next one.
      ys: outputs of the chunk, `[B, N, 2H]` or what directions and merge give; `[B, N / k, .]` of
        layers that subsample by k.

    Raises:
      ValueError: if the window is shorter than the chunk, or ranks, sizes or the structure of the
        carry do not fit.
      TypeError: if `lengths` are not integers.

    Example:
      >>> from birnn_jax import streaming
      >>> layers = (Layer(LSTM),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> carry = streaming.initial_carry(layers, params, 2)
      >>> window = jax.random.normal(jax.random.key(1), [2, 20 + 10, 3])
      >>> carry, ys = streaming.latency_controlled_step(
      ...     layers, params, carry, window, chunk_size=20
      ... )
      >>> ys.shape
      (2, 20, 8)
    """
    xs = as_xs(xs)
    if as_size("chunk_size", chunk_size) > xs.shape[1]:
        raise ValueError(
            f"chunk_size must be from 1 to the {xs.shape[1]} steps of the window, got {chunk_size}."
        )
    lengths = _as_lengths(lengths, xs)
    windows = clear_padding(xs, lengths)[None]
    carry, ys = _run_windows(layers, params, carry, windows, lengths[None], chunk_size)
    return carry, ys[0]


def _as_lengths(lengths: Any, xs: jax.Array) -> jax.Array:
    if isinstance(lengths, tuple):  # Mask, Segments
        raise ValueError("Windows are cut by lengths: a Mask or Segments cannot be given here.")
    batch_size, num_steps, _ = xs.shape
    if lengths is None:
        return jnp.full(batch_size, num_steps, jnp.int32)
    return as_lengths(lengths, batch_size=batch_size)


def _run_windows(
    layers: Layers,
    params: Sequence[LayerParams],
    carries: Sequence[Carry | None] | None,
    xs: jax.Array,
    lengths: jax.Array,
    chunk_size: int,
) -> tuple[tuple[Carry | None, ...], jax.Array]:
    """Windows `[K, B, N + R, D]` of K chunks in a row; ys are `[K, B, N, .]`.

    `lengths` are `[K, B]`: as everywhere, what is below 0 or beyond the steps counts as these.
    """
    layers = as_layers(layers)
    _check_rate(layers, chunk_size, xs.shape[2] - chunk_size)
    check_stack(layers, params)
    own = make_initial_carry(layers, params, xs.shape[1])
    carries = own if carries is None else tuple(carries)
    starts, out = as_carry(carries, own), []
    for layer, layer_params, carry in zip(layers, params, starts, strict=True):
        xs, lengths = _subsampled(layer, xs, lengths)
        chunk_size //= layer.subsample
        carry, xs = _run_layer(layer, layer_params, carry, xs, lengths, chunk_size)
        out.append(carry)
    return tuple(out), xs[:, :, :chunk_size]


def _subsampled(layer: Layer, xs: jax.Array, lengths: Any) -> tuple[jax.Array, jax.Array]:
    """Windows and lengths of the steps that a layer reads."""
    rate, mode = layer.subsample, layer.subsample_mode
    shape = lengths.shape
    rows, lengths = subsample(_as_rows(xs), _as_rows(lengths), rate, mode)
    return rows.reshape(*xs.shape[:2], *rows.shape[1:]), jnp.reshape(lengths, shape)


def _check_rate(layers: Sequence[Layer], chunk_size: int, lookahead: int) -> None:
    """Refuses windows whose borders stand within steps that the layers read as one."""
    rate = _rate(layers)
    for name, size in (("chunk_size", chunk_size), ("lookahead", lookahead)):
        if size % rate:
            raise ValueError(
                f"{name} must be a multiple of {rate}, the steps that these layers read as one "
                f"(subsample), got {size}."
            )


def _rate(layers: Layers) -> int:
    return math.prod(layer.subsample for layer in as_layers(layers))


def _run_layer(
    layer: Layer,
    params: LayerParams,
    carry: Any,
    xs: jax.Array,
    lengths: jax.Array,
    chunk_size: int,
) -> tuple[Carry | None, jax.Array]:
    def run(rows: jax.Array) -> tuple[Carry | None, jax.Array]:
        windows = rows.reshape(*xs.shape[:3], rows.shape[-1])
        new, ys = _run_directions(layer, params, carry, windows, lengths, chunk_size)
        return new, _as_rows(ys)

    carry, ys = run_around(layer, params, _as_rows(xs), _as_rows(lengths), run)
    return carry, ys.reshape(*xs.shape[:2], *ys.shape[1:])


def _run_directions(
    layer: Layer,
    params: LayerParams,
    carry: Any,
    xs: jax.Array,
    lengths: jax.Array,
    chunk_size: int,
) -> tuple[Carry | None, jax.Array]:
    is_pair = layer.direction == "both"
    cells = layer.cells
    rnn = params.rnn if is_pair else Bi(params.rnn, params.rnn)
    learned = params.initial.bwd if is_pair and params.initial is not None else params.initial

    def run(reverse: bool, carry: Carry | None, xs: jax.Array, lengths: jax.Array) -> Any:
        return scan_cell(
            *(cells[reverse], rnn[reverse], xs, lengths),
            initial_carry=carry,
            reverse=reverse,
            residuals=layer.residuals,
            backend=layer.backend,
        )

    outputs = []
    if layer.direction != "bwd":
        carry, ys = _run_forwards(functools.partial(run, False), carry, xs, lengths, chunk_size)
        outputs.append(ys)
    if layer.direction != "fwd":
        rows = _as_rows(xs)
        start = fill_carry(learned, None, rows.shape[0])
        ys = run(True, start, rows, _as_rows(lengths))[1]
        outputs.append(ys.reshape(*xs.shape[:2], *ys.shape[1:]))
    return carry, MERGES[layer.merge](*outputs) if is_pair else outputs[0]


def _run_forwards(
    run: Run, carry: Carry, xs: jax.Array, lengths: jax.Array, chunk_size: int
) -> tuple[Carry, jax.Array]:
    """Chunk after chunk; and from the end of each, all side by side, over its lookahead."""

    def chunk(carry, inputs):
        carry, ys = run(carry, *inputs)
        return carry, (carry, ys)

    carry, (ends, ys) = scan(chunk, carry, (xs[:, :, :chunk_size], lengths))
    _, ahead = run(
        jax.tree.map(_as_rows, ends),
        _as_rows(xs[:, :, chunk_size:]),
        _as_rows(lengths - chunk_size),
    )
    ahead = ahead.reshape(*xs.shape[:2], *ahead.shape[1:])
    return carry, jnp.concatenate([ys, ahead], axis=2)


def _as_rows(leaf: jax.Array) -> jax.Array:
    """`[K, B, ...]` as `[K * B, ...]`."""
    return leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:])
