"""flax.linen with a cell of the user's own: an `RNNCellBase` in `nn.RNN` and `nn.Bidirectional`."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from benchmarks import _cells
from benchmarks._points import Point
from benchmarks.peers import Layer, _steps, require
from benchmarks.peers._jax_steps import OPS


class WrittenCell(nn.RNNCellBase):
    """Parameters by the names of birnn_jax, and the step."""

    point: Point

    @nn.compact
    def __call__(self, carry: Any, x: jax.Array) -> tuple[Any, jax.Array]:
        """One step of all rows."""
        shapes = _cells.weight_shapes(self.point.cell, x.shape[-1], self.point.shape[3])
        w = {name: self.param(name, nn.initializers.zeros, size) for name, size in shapes.items()}
        noise = _steps.Noise()
        if self.point.has_noise:

            def draw(rate: float, like: jax.Array) -> jax.Array:
                return jax.random.bernoulli(self.make_rng("noise"), rate, like.shape)

            noise = _steps.DrawnNoise(OPS, self.point.option, draw, draw)
        step = _steps.WRITTEN[self.point.cell].step
        carry = step(OPS, w, carry, x @ w["w_x"], noise)
        return carry, carry[-1]

    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]) -> Any:
        """Zeros."""
        del rng
        sizes = _steps.state_sizes(self.point.cell, self.point.shape[3])
        return tuple(jnp.zeros((*input_shape[:-1], size)) for size in sizes)

    @property
    def num_feature_axes(self) -> int:
        """Of an input."""
        return 1


def make_layer(point: Point) -> Layer:
    """A key for each step, but one for all where noise is the same at every step."""
    require(point, "flax with a cell written out", _steps.WRITTEN, _cells.NOISES)
    split: dict[Any, bool] = {"params": False, "noise": point.option != "recurrent-dropout"}
    fwd, bwd = (nn.RNN(WrittenCell(point), split_rngs=split) for _ in range(2))
    layer = nn.Bidirectional(fwd, bwd)

    def to_params(pair):
        names = ("forward_rnn", "backward_rnn")
        return {name: {"cell": direction} for name, direction in zip(names, pair, strict=True)}

    def apply(params, xs, lengths, key=None):
        rngs = None if key is None else {"noise": key}
        return layer.apply({"params": params}, xs, seq_lengths=lengths, rngs=rngs)

    return Layer(to_params, apply)
