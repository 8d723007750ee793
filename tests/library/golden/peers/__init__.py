"""Every convention run by the framework it comes from.

A peer names its weights and runs them; `results` adds gradients. Arrays are keyed alike for all:
"ys" `[B, T, 2H]`, forward half first; "final.LAYER.fwd.h", "initial.LAYER.bwd.c" `[B, H]`;
"weights.KEY" as the framework names them.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]

INPUT_SIZE, HIDDEN_SIZE, PROJECTED_SIZE = 3, 5, 4
LENGTHS = np.array([6, 2, 0, 4])
NUM_STEPS = 7


class Peer(NamedTuple):
    """One convention of one framework."""

    weights: dict[str, tuple[int, ...]]  # name and shape of each weight
    states: dict[str, int]  # "fwd.h" and so on, with the size; "1.fwd.h" above the first layer
    run: Callable[..., Arrays]  # (weights, xs, lengths, initial) -> "ys" and "final.*"
    differentiate: Callable[..., Arrays]  # (run, weights, xs, lengths, initial, cotangents)


def results(peer: Peer, *, seed: int) -> Arrays:
    """Random inputs, what the peer makes of them, and the gradients, as one file holds them.

    Rows of length 0 never reach the peer: most refuse them or get them wrong. What must come out is
    known: no outputs, the initial states as the final ones, and gradients to match.
    """
    rng = np.random.default_rng(seed)
    batch_size = len(LENGTHS)
    weights = {key: rng.normal(size=shape) / 2 for key, shape in peer.weights.items()}
    xs = rng.normal(size=(batch_size, NUM_STEPS, INPUT_SIZE))
    initial = {key: rng.normal(size=(batch_size, size)) for key, size in peer.states.items()}
    top = [size for key, size in peer.states.items() if key.endswith("h")][-2:]
    cotangents = {"ys": rng.normal(size=(batch_size, NUM_STEPS, sum(top)))}
    cotangents |= {f"final.{key}": rng.normal(size=one.shape) for key, one in initial.items()}

    rows = LENGTHS > 0
    inputs = weights, xs[rows], LENGTHS[rows], {key: one[rows] for key, one in initial.items()}
    outputs = peer.run(*inputs)
    grads = peer.differentiate(
        peer.run, *inputs, {key: one[rows] for key, one in cotangents.items()}
    )
    empty = {"ys": np.zeros_like(cotangents["ys"])}
    empty |= {f"final.{key}": one for key, one in initial.items()}
    empty_grads = {"xs": np.zeros_like(xs)}
    empty_grads |= {f"initial.{key}": cotangents[f"final.{key}"] for key in initial}
    return (
        {"xs": xs, "lengths": LENGTHS}
        | {f"weights.{key}": one for key, one in weights.items()}
        | {f"initial.{key}": one for key, one in initial.items()}
        | {key: _rows_into(empty[key], rows, one) for key, one in outputs.items()}
        | {f"cotangents.{key}": one for key, one in cotangents.items() if grads}
        | {
            f"grads.{key}": _rows_into(empty_grads[key], rows, one) if key in empty_grads else one
            for key, one in grads.items()
        }
    )


def _rows_into(whole: np.ndarray, rows: np.ndarray, part: np.ndarray) -> np.ndarray:
    whole = whole.copy()
    whole[rows] = part
    return whole
