"""The numbers that every candidate computes with, and the comparison of what it computes.

Weights are in the layout of birnn_jax: `w_x` `[D, G*H]`, `w_h` `[H, G*H]`, `b` `[G*H]`, gates in
the order i f g o, or r z n. The bias b_hn of the GRU is not among them, it is zero for all:
flax.nnx has none.
"""

import numpy as np

from benchmarks import _cells
from benchmarks._points import Point

# Largest absolute error of outputs; of gradients relative to the largest entry of the array.
TOLERANCES = {"float32": (2e-5, 1e-4), "tf32": (1e-2, 5e-2), "bfloat16": (5e-2, 2e-1)}
TOLERANCES["int8"] = (0.3, 0.0)  # theirs reach 0.24 without AVX-512; another order of gates is 1


def make_inputs(point: Point) -> dict:
    """`weights` (a list of layers of pairs of dicts), `xs`, `lengths`, `d_ys`.

    `lengths` is None or `[B]` lengths, with the option "segments" their numbers `[B, T]`, with
    "gaps" `[B, T]` bool.
    """
    batch_size, num_steps, input_size, hidden_size = point.shape
    rng = np.random.default_rng(0)
    width = 2 * _cells.output_size(point.cell, hidden_size)
    weights = [
        [_direction(rng, point, input_size if layer == 0 else width) for _ in range(2)]
        for layer in range(point.layers)
    ]
    xs = rng.normal(size=(batch_size, num_steps, input_size)).astype(np.float32)
    d_ys = rng.normal(size=(batch_size, num_steps, width)).astype(np.float32)
    lengths = _make_lengths(rng, point)
    if lengths is not None:
        d_ys *= make_mask(point, lengths)
    return {"weights": weights, "xs": xs, "lengths": lengths, "d_ys": d_ys}


def _direction(rng: np.random.Generator, point: Point, input_size: int) -> dict:
    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        scale = 0.25 if len(shape) == 1 else shape[0] ** -0.5
        return (name.startswith("scale") + scale * rng.normal(size=shape)).astype(np.float32)

    shapes = _cells.weight_shapes(point.cell, input_size, point.shape[3])
    return {name: draw(name, shape) for name, shape in shapes.items()}


def _make_lengths(rng: np.random.Generator, point: Point) -> np.ndarray | None:
    batch_size, num_steps, *_ = point.shape
    if point.option == "segments":
        return np.tile(np.arange(num_steps, dtype=np.int32) // _cells.SEGMENT + 1, (batch_size, 1))
    lengths = np.linspace(num_steps // 2, num_steps, batch_size).round().astype(np.int32)
    if point.option == "gaps":  # as many valid steps, anywhere
        ranks = rng.permuted(np.tile(np.arange(num_steps), (batch_size, 1)), axis=1)
        return ranks < lengths[:, None]
    return lengths if point.lengths else None


def make_mask(point: Point, lengths: np.ndarray) -> np.ndarray:
    """`[B, T, 1]`, 1 at valid steps."""
    if point.option not in ("segments", "gaps"):
        lengths = np.arange(point.shape[1]) < lengths[:, None]
    return (lengths != 0)[..., None].astype(np.float32)


def flatten(results: dict) -> dict[str, np.ndarray]:
    """Of `ys` or of `d_weights` and `d_xs`: one array a name."""
    flat = {name: results[name] for name in ("ys", "d_xs") if name in results}
    for layer, pair in enumerate(results.get("d_weights", [])):
        for side, direction in zip(("fwd", "bwd"), pair, strict=True):
            flat |= {f"d_{name}_{layer}_{side}": leaf for name, leaf in direction.items()}
    return flat


def errors(
    point: Point,
    got: dict,
    want: dict,
    lengths: np.ndarray | None,
    precision: str | None = None,  # None is that of the point
) -> dict[str, float]:
    """The error of every array; raises ValueError if one is too large."""
    limit_ys, limit_grads = TOLERANCES[precision or point.precision]
    found = {}
    for name, right in want.items():
        mine = np.asarray(got[name], np.float64)
        if name == "ys" and lengths is not None:
            mine = mine * make_mask(point, lengths)  # some leave what they like there
        if mine.shape != right.shape:
            raise ValueError(f"{name} has shape {mine.shape}, expected {right.shape}.")
        scale, limit = (1.0, limit_ys) if name == "ys" else (np.abs(right).max(), limit_grads)
        found[name] = float(np.abs(mine - right).max() / scale)
        if not found[name] <= limit:
            raise ValueError(f"{name} is wrong: error {found[name]:.2g}, allowed {limit:.2g}.")
    return found
