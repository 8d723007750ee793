"""The numbers that every candidate computes with, and the comparison of what it computes.

Weights are in the layout of birnn_jax: `w_x` `[D, G*H]`, `w_h` `[H, G*H]`, `b` `[G*H]`, gates in
the order i f g o, or r z n. The bias b_hn of the GRU is not among them, it is zero for all:
flax.nnx has none.
"""

import numpy as np

from benchmarks._points import GATES, Point

# Largest absolute error of outputs; of gradients relative to the largest entry of the array.
TOLERANCES = {"float32": (2e-5, 1e-4), "tf32": (1e-2, 5e-2), "bfloat16": (5e-2, 2e-1)}
TOLERANCES["int8"] = (0.3, 0.0)  # theirs reach 0.24 without AVX-512; another order of gates is 1


def make_inputs(point: Point) -> dict:
    """`weights` (a list of layers of pairs of dicts), `xs`, `lengths` or None, `d_ys`."""
    batch_size, num_steps, input_size, hidden_size = point.shape
    rng = np.random.default_rng(0)
    weights = [
        [_direction(rng, point, input_size if layer == 0 else 2 * hidden_size) for _ in range(2)]
        for layer in range(point.layers)
    ]
    xs = rng.normal(size=(batch_size, num_steps, input_size)).astype(np.float32)
    d_ys = rng.normal(size=(batch_size, num_steps, 2 * hidden_size)).astype(np.float32)
    lengths = None
    if point.lengths:
        lengths = np.linspace(num_steps // 2, num_steps, batch_size).round().astype(np.int32)
        d_ys *= make_mask(lengths, num_steps)
    return {"weights": weights, "xs": xs, "lengths": lengths, "d_ys": d_ys}


def _direction(rng: np.random.Generator, point: Point, input_size: int) -> dict:
    hidden_size = point.shape[3]
    size = GATES[point.cell] * hidden_size

    def draw(rows: int) -> np.ndarray:
        return (rng.normal(size=(rows, size)) / rows**0.5).astype(np.float32)

    bias = rng.normal(size=size).astype(np.float32) / 4
    return {"w_x": draw(input_size), "w_h": draw(hidden_size), "b": bias}


def make_mask(lengths: np.ndarray, num_steps: int) -> np.ndarray:
    """`[B, T, 1]`, 1 at valid steps."""
    return (np.arange(num_steps) < lengths[:, None])[..., None].astype(np.float32)


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
            mine = mine * make_mask(lengths, point.shape[1])  # some leave what they like there
        if mine.shape != right.shape:
            raise ValueError(f"{name} has shape {mine.shape}, expected {right.shape}.")
        scale, limit = (1.0, limit_ys) if name == "ys" else (np.abs(right).max(), limit_grads)
        found[name] = float(np.abs(mine - right).max() / scale)
        if not found[name] <= limit:
            raise ValueError(f"{name} is wrong: error {found[name]:.2g}, allowed {limit:.2g}.")
    return found
