"""What is handed from one piece of a sequence to the next."""

from collections.abc import Sequence

import jax
import jax.export
import jax.numpy as jnp

from .._core.checks import as_array, as_size
from .._core.dtypes import at_least
from .._core.meshes import over_rows
from .._core.prepared import unprepared
from .._core.types import Bi, Carry
from .._stacks.layer import Layer, LayerParams, Layers, as_layers
from .._stacks.run import check_stack
from .._stacks.stack import stack


def initial_carry(
    layers: Layers, params: Sequence[LayerParams], batch_size: int
) -> tuple[Carry | None, ...]:
    """What stands before the first step of a stream: the forward carries of every layer.

    Args:
      layers: of the stack.
      params: from `init_stack`.
      batch_size: rows B.

    Returns:
      For each layer the carry of its forward direction, leaves `[B, ...]`, in the dtypes in which
      it comes back; None for a layer with direction="bwd", which carries nothing on.

    Example:
      >>> from birnn_jax import streaming
      >>> layers = (Layer(LSTM, direction="fwd"), Layer(GRU))
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> carry = streaming.initial_carry(layers, params, 2)
      >>> carry[0].c.shape, carry[1].h.shape
      ((2, 4), (2, 4))
    """

    def carry_of(layer: Layer, params: LayerParams) -> Carry | None:
        if layer.direction == "bwd":
            return None
        cell = layer.cells.fwd
        rnn, initial = params.rnn, params.initial
        if layer.direction == "both":
            rnn, initial = rnn.fwd, None if initial is None else initial.fwd
        start = cell.init_carry(unprepared(rnn))
        if initial is not None:  # in the dtypes in which it is carried
            start = jax.tree.map(at_least, initial, start)
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch_size, *leaf.shape)), start)

    if not jax.export.is_symbolic_dim(batch_size):  # as in an export for any number of rows
        batch_size = as_size("batch_size", batch_size, least=0)
    layers = as_layers(layers)
    check_stack(layers, params)
    pairs = zip(layers, params, strict=True)
    return tuple(carry_of(*pair) for pair in pairs)


@over_rows("x")
def step(
    layers: Layers, params: Sequence[LayerParams], carry: Sequence[Carry], x: jax.Array
) -> tuple[tuple[Carry, ...], jax.Array]:
    """One step of time of a stack of forward layers: `birnn_jax.stack` over a sequence of one.

    Under `jax.jit`, with `layers` static, it is compiled once: carries come back as they went in.

    Args:
      layers: every one with direction="fwd".
      params: from `init_stack`.
      carry: from `initial_carry`, or the step before.
      x: `[B, D]`.

    Returns:
      carry: for the next step.
      y: `[B, H]`, the output of the top layer.

    Raises:
      ValueError: if a layer looks backwards or subsamples, or sizes do not fit.

    Example:
      >>> from birnn_jax import streaming
      >>> layers = (Layer(LSTM, direction="fwd"),) * 2
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> xs = jax.random.normal(jax.random.key(1), [2, 5, 3])
      >>> step = jax.jit(streaming.step, static_argnums=0)
      >>> carry = streaming.initial_carry(layers, params, 2)
      >>> for t in range(5):
      ...     carry, y = step(layers, params, carry, xs[:, t])
      >>> bool(jnp.allclose(y, stack(layers, params, xs)[1][:, -1], atol=1e-6))
      True
    """
    layers = as_layers(layers)
    if any(layer.direction != "fwd" for layer in layers):
        raise ValueError(
            'A step needs layers with direction="fwd": the backward direction begins at an end '
            "that is still to come. Use latency_controlled_step."
        )
    refuse_subsampling(layers)
    x = as_array("x", x)
    if x.ndim != 2:
        raise ValueError(f"x must be one step of every row, [B, D], got shape {x.shape}.")
    carries, ys = stack(layers, params, x[:, None], initial_carry=carry)
    return carries, ys[:, 0]


@over_rows("carry")
def carry_over(carry: Carry, initial_carry: Carry, starts: jax.Array) -> Carry:
    """The carry that a chunk begins with in truncated back-propagation through time.

    It is that of the chunk before, through which no gradient passes, and in rows that start a new
    sequence the initial one. In a training loop the carry goes in with the batch and comes out with
    the metrics of `make_train_step`:

        def loss_fn(params, batch, key):
            initial = streaming.initial_carry(layers, params, len(batch["starts"]))
            carry = streaming.carry_over(batch["carry"], initial, batch["starts"])
            carry, ys = stack(layers, params, batch["xs"], batch["lengths"], initial_carry=carry)
            return {"loss": ..., "carry": carry}

        state, metrics = train_step(state, {**batch, "carry": metrics["carry"]}, key)

    Args:
      carry: any carry of forward directions, leaves `[B, ...]`, as a chunk returned it.
      initial_carry: of the same structure, for a sequence that begins. If it is learned, the
        gradient reaches it from the first chunk.
      starts: `[B]` bool, True in rows whose chunk is the first of a sequence.

    Returns:
      A carry of the same structure.

    Raises:
      ValueError: if the carry has a backward direction, or `starts` is not `[B]`.
      TypeError: if `starts` is not bool.

    Example:
      >>> from birnn_jax import streaming
      >>> from birnn_jax.cells import GRUCarry
      >>> last, initial = GRUCarry(h=jnp.full([2, 1], 3.0)), GRUCarry(h=jnp.zeros([2, 1]))
      >>> streaming.carry_over(last, initial, jnp.array([False, True])).h.tolist()
      [[3.0], [0.0]]

    References:
      Williams and Peng, An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent
      Network Trajectories, 1990: BPTT(h; h'), here with h = h' = the steps of a chunk.
    """
    nodes = jax.tree.leaves(carry, is_leaf=lambda node: isinstance(node, Bi))
    if any(isinstance(node, Bi) for node in nodes):
        raise ValueError(
            "A backward direction has nothing to carry over: it begins at the end of each chunk. "
            "Use forward layers, or latency_controlled_step."
        )
    starts = jnp.asarray(starts)
    if starts.dtype != bool:
        raise TypeError(f"starts must be bool, got {starts.dtype}.")

    def carry_leaf(last: jax.Array, initial: jax.Array) -> jax.Array:
        if starts.shape != last.shape[:1]:
            raise ValueError(
                f"starts must be [B] with B = {last.shape[0]} as in carry, got {starts.shape}."
            )
        is_new = jnp.expand_dims(starts, range(1, last.ndim))
        return jnp.where(is_new, initial, jax.lax.stop_gradient(last))

    return jax.tree.map(carry_leaf, carry, initial_carry)


def refuse_subsampling(layers: Sequence[Layer]) -> None:
    """A step of a layer that subsamples is several steps of the one below."""
    if any(layer.subsample > 1 for layer in layers):
        raise ValueError(
            "Layers that subsample cannot be run step by step: their steps are not those of the "
            "input. Use stack with initial_carry in chunks that the rate divides, or "
            "latency_controlled_step."
        )
