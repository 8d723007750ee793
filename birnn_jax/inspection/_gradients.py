"""How far gradients reach: their norms at every step."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .._core.masks import Lengths
from .._core.meshes import over_rows, vary
from .._core.types import Carry, Cell, Params
from .._stacks.layer import LayerParams, Layers, as_layers
from .._stacks.stack import stack
from ._directions import map_directions, merge_directions, one_each, unzip
from ._pushes import no_pushes, run_pushed


@over_rows("xs")
def gradient_norms(
    layers: Layers,
    params: Sequence[LayerParams],
    xs: jax.Array,
    lengths: Lengths = None,
    *,
    loss_fn: Callable[[tuple[Carry, ...], jax.Array], jax.Array],
    initial_carry: Sequence[Carry] | None = None,
) -> tuple[Carry, ...]:
    """The norm of d loss / d h[t] at every step, for each layer and direction of `stack`.

    The state after step t is a variable by itself, and so is each of its fields. h is also the
    output: d loss / d h[t] holds what the loss and the layers above read of this step and what
    follows from it in time. d loss / d c[t] of an LSTM is taken at constant h[t].

    Args:
      layers: of the stack.
      params: from `init_stack`.
      xs: `[B, T, D]`.
      lengths: as in `stack`.
      loss_fn: from the carries and the outputs, as `stack` returns them, to a scalar.
      initial_carry: as in `stack`.

    Returns:
      For each layer a `Bi` of carries, or a carry if it has one direction, whose leaves are
      Euclidean norms `[B, T]`, in the order of the input, zero in padding.

    Raises:
      ValueError, TypeError: as `stack`; also for a cell whose output is not the h of its carry.

    Example:
      Of the fourth output: nothing depends on what follows, and less on what lies far behind.

      >>> from birnn_jax.inspection import gradient_norms
      >>> layers = (Layer(GRU, direction="fwd"),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> xs = jax.random.normal(jax.random.key(1), [1, 6, 3])
      >>> (norms,) = gradient_norms(layers, params, xs, loss_fn=lambda carries, ys: ys[0, 3].sum())
      >>> [round(float(norm), 2) for norm in norms.h[0]]
      [1.06, 1.42, 1.53, 2.0, 0.0, 0.0]

    References:
      Pascanu, Mikolov and Bengio, On the Difficulty of Training Recurrent Neural Networks, 2013.
    """
    layers = as_layers(layers)
    initial = one_each(layers, initial_carry)
    shapes, _ = jax.eval_shape(lambda: stack(layers, params, xs, lengths, initial_carry=initial))

    def loss(pushes):
        carries, ys = [], xs
        for layer, layer_params, carry, push in zip(layers, params, initial, pushes, strict=True):
            run = functools.partial(run_pushed, xs=ys, lengths=lengths)
            carry, ys = unzip(layer, map_directions(run, layer, layer_params, carry, push))
            carries.append(carry)
            ys = merge_directions(layer, ys)
        return loss_fn(tuple(carries), ys)

    grads = jax.grad(loss)(no_pushes(shapes, xs.shape[1], (params, xs, lengths, initial)))
    return jax.tree.map(lambda leaf: jnp.linalg.norm(_flat(leaf, axes=2), axis=-1), grads)


@over_rows("xs")
def jacobian_norms(
    layers: Layers,
    params: Sequence[LayerParams],
    xs: jax.Array,
    lengths: Lengths = None,
    *,
    initial_carry: Sequence[Carry] | None = None,
) -> tuple[Carry, ...]:
    """The norm of d h[last] / d h[t], for each layer and direction of `stack`: who remembers what.

    h[last] is the state after the step visited last, the last one of `fwd` and the first of `bwd`.
    The norm is the largest singular value: by how much a change of the state at t can be seen at
    the end. It costs a backward pass for each unit and memory for all Jacobians, `[H, B, T, H]`.

    Args:
      layers: of the stack.
      params: from `init_stack`.
      xs: `[B, T, D]`.
      lengths: as in `stack`.
      initial_carry: as in `stack`.

    Returns:
      For each layer a `Bi` of carries, or a carry if it has one direction, with leaves `[B, T]`:
      field h is the norm of d h[last] / d h[t], c of d h[last] / d c[t] at constant h[t]. One for
      h at the step visited last, zero in padding and before a segment's start.

    Raises:
      ValueError, TypeError: as `gradient_norms`.

    Example:
      >>> from birnn_jax.inspection import jacobian_norms
      >>> layers = (Layer(LSTM),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> xs = jax.random.normal(jax.random.key(1), [1, 4, 3])
      >>> (norms,) = jacobian_norms(layers, params, xs, jnp.array([3]))
      >>> [round(float(norm), 2) for norm in norms.bwd.h[0]]
      [1.0, 0.33, 0.24, 0.0]

    References:
      Bengio, Simard and Frasconi, Learning Long-Term Dependencies with Gradient Descent is
      Difficult, 1994; Pascanu, Mikolov and Bengio, 2013.
    """
    layers = as_layers(layers)
    initial = one_each(layers, initial_carry)
    shapes, _ = jax.eval_shape(lambda: stack(layers, params, xs, lengths, initial_carry=initial))
    pushes, norms = no_pushes(shapes, xs.shape[1], (params, xs, lengths, initial)), []
    for layer, layer_params, carry, push in zip(layers, params, initial, pushes, strict=True):
        differentiate = functools.partial(_jacobian_norms, xs=xs, lengths=lengths)
        norms.append(map_directions(differentiate, layer, layer_params, carry, push))
        _, xs = stack((layer,), (layer_params,), xs, lengths, initial_carry=(carry,))
    return tuple(norms)


def _jacobian_norms(
    cell: Cell,
    params: Params,
    reverse: bool,
    carry: Carry | None,
    push: Carry,
    *,
    xs: jax.Array,
    lengths: Lengths,
) -> Any:
    def last(push):
        return run_pushed(cell, params, reverse, carry, push, xs=xs, lengths=lengths)[0].h

    h, pull_back = jax.vjp(last, push)
    units = jnp.broadcast_to(jnp.eye(h.shape[1], dtype=h.dtype)[:, None], (h.shape[1], *h.shape))
    _, units = vary((h, units))
    (rows,) = jax.vmap(pull_back)(units)  # leaves [H, B, T, ...]

    def norm(leaf):
        jacobians = jnp.moveaxis(_flat(leaf, axes=3), 0, 2)  # [B, T, H, S]
        return jnp.linalg.norm(
            jacobians.astype(jnp.promote_types(leaf.dtype, jnp.float32)), ord=2, axis=(2, 3)
        )

    return jax.tree.map(norm, rows)


def _flat(leaf: jax.Array, *, axes: int) -> jax.Array:
    """With one axis behind the first `axes`."""
    return leaf.reshape(*leaf.shape[:axes], -1)
