"""PyTorch without `torch.nn`: a Python loop over time, after the product of all inputs."""

import functools
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from benchmarks import _cells, _measure
from benchmarks._points import Point
from benchmarks.peers import Program, Unsupported, _steps, require

# (weights of one direction, xs [B, T, D]) -> ys [B, T, H]
Run = Callable[[dict, torch.Tensor], torch.Tensor]

OPS = SimpleNamespace(
    sigmoid=torch.sigmoid,
    tanh=torch.tanh,
    relu=torch.relu,
    exp=torch.exp,
    log_sigmoid=torch.nn.functional.logsigmoid,
    maximum=torch.maximum,
    where=torch.where,
    einsum=torch.einsum,
    split=lambda a, parts: a.chunk(parts, dim=-1),
    concat=lambda parts: torch.cat(parts, dim=-1),
)


def make_program(point: Point, inputs: dict) -> Program:
    """The written step of any cell, with lengths and noise."""
    require(point, "a loop in torch", _steps.WRITTEN, _cells.NOISES)
    return run_both_directions(point, inputs, functools.partial(_run, point))


def run_both_directions(point: Point, inputs: dict, run: Run) -> Program:
    """One direction after the other; rows are turned around for the second."""
    if point.layers > 1 or point.precision != "float32":
        raise Unsupported("A loop in torch has one layer, in float32.")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    is_training = point.work == "train"
    xs = torch.from_numpy(inputs["xs"]).requires_grad_(is_training)
    d_ys = torch.from_numpy(inputs["d_ys"])
    turned = _make_order(point, inputs["lengths"])
    (pair,) = inputs["weights"]
    weights = [
        {name: torch.from_numpy(w).requires_grad_(is_training) for name, w in direction.items()}
        for direction in pair
    ]
    last: dict = {}

    def call():
        for leaf in (xs, *(w for direction in weights for w in direction.values())):
            leaf.grad = None
        with torch.inference_mode(not is_training):
            fwd = run(weights[0], xs)
            bwd = _turn(run(weights[1], _turn(xs, turned)), turned)
            ys = torch.cat([fwd, bwd], dim=-1)
        if is_training:
            (ys * d_ys).sum().backward()
        last["ys"] = ys

    def results():
        call()
        if not is_training:
            return {"ys": last["ys"].numpy()}
        grads = [[{k: _gradient(w) for k, w in direction.items()} for direction in weights]]
        return {"d_xs": _gradient(xs), "d_weights": grads}

    first_s, _ = _measure.timed(call)
    return Program(call, results, {"first_call_s": first_s, "device": "cpu"})


def _make_order(point: Point, lengths: Any) -> torch.Tensor:
    """`[B, T, 1]`: which step stands at a step when the valid ones are turned around."""
    batch_size, num_steps, *_ = point.shape
    steps = torch.arange(num_steps)
    ends = torch.full([batch_size], num_steps) if lengths is None else torch.from_numpy(lengths)
    return torch.where(steps < ends[:, None], ends[:, None] - 1 - steps, steps).long()[..., None]


def _turn(xs: torch.Tensor, turned: torch.Tensor) -> torch.Tensor:
    return xs.gather(1, turned.expand(xs.shape))


def _run(point: Point, w: dict, xs: torch.Tensor) -> torch.Tensor:
    """`[B, T, D]` to `[B, T, H]`."""
    step = _steps.WRITTEN[point.cell].step
    sizes = _steps.state_sizes(point.cell, point.shape[3])
    carry = tuple(torch.zeros(len(xs), size) for size in sizes)
    noise = _make_noise(point) if point.has_noise else _steps.Noise()
    ys = []
    for a_x in (xs @ w["w_x"]).unbind(1):
        carry = step(OPS, w, carry, a_x, noise)
        ys.append(carry[-1])
    return torch.stack(ys, dim=1)


def _make_noise(point: Point) -> _steps.Noise:
    once: list[torch.Tensor] = []

    def draw(rate: float, like: torch.Tensor) -> torch.Tensor:
        return torch.rand(like.shape) < rate

    def draw_once(rate: float, like: torch.Tensor) -> torch.Tensor:
        if not once:
            once.append(draw(rate, like))
        return once[0]

    return _steps.DrawnNoise(OPS, point.option, draw, draw_once)


def _gradient(leaf: torch.Tensor) -> Any:
    assert leaf.grad is not None
    return leaf.grad.numpy()
