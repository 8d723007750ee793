"""The states of a stack in the layout of torch.nn."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .._core.types import Bi, Carry
from .layer import Layers, as_layers


def stack_states(carries: Sequence[Carry]) -> Carry:
    """The carries of all layers and directions as one carry with a leading axis, as in torch.nn.

    Index `2 * layer + direction` for two directions (forward first), `layer` for one.

    Args:
      carries: from `stack`, with leaves `[B, H]`.

    Returns:
      One carry with leaves `[layers * directions, B, H]`.

    Raises:
      ValueError: if cells or sizes differ between layers or directions.

    Example:
      >>> from birnn_jax.stacks import stack_states
      >>> layers = (Layer(LSTM),) * 2
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> carries, _ = stack(layers, params, jax.random.normal(jax.random.key(1), [2, 5, 3]))
      >>> stack_states(carries).h.shape
      (4, 2, 4)
    """
    if not carries:
        raise ValueError("stack_states needs the carries of at least one layer, got none.")
    flat = [state for carry in carries for state in (carry if isinstance(carry, Bi) else [carry])]
    shapes = [jax.tree.map(jnp.shape, state) for state in flat]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(
            "All layers and directions must have one cell and one size, got carries of shapes "
            f"{shapes}."
        )
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *flat)


def unstack_states(layers: Layers, states: Carry) -> tuple[Carry, ...]:
    """The inverse of `stack_states`: the initial carries for `stack`.

    Args:
      layers: of the stack.
      states: one carry with leaves `[layers * directions, B, H]`.

    Returns:
      For each layer a `Bi` of carries, or a carry if it has one direction.

    Raises:
      ValueError: if the leading axis does not fit the layers.

    Example:
      >>> from birnn_jax.cells import GRUCarry
      >>> from birnn_jax.stacks import unstack_states
      >>> layers = (Layer(GRU),) * 2
      >>> carries = unstack_states(layers, GRUCarry(h=jnp.arange(24.0).reshape(4, 2, 3)))
      >>> carries[1].bwd.h[0].tolist()
      [18.0, 19.0, 20.0]
    """
    counts = [2 if layer.direction == "both" else 1 for layer in as_layers(layers)]
    sizes = {jnp.shape(leaf)[0] for leaf in jax.tree.leaves(states)}
    if sizes != {sum(counts)}:
        raise ValueError(
            f"states must have a leading axis of {sum(counts)}, one for each layer and direction, "
            f"got {sorted(sizes)}."
        )

    def at(index: int) -> Any:
        return jax.tree.map(lambda leaf: leaf[index], states)

    starts = [sum(counts[:index]) for index in range(len(counts))]
    return tuple(
        Bi(at(start), at(start + 1)) if count == 2 else at(start)
        for start, count in zip(starts, counts, strict=True)
    )
