"""Steps of cells, written out as a user of a framework writes a cell that it does not have.

The same lines on arrays of JAX and of PyTorch: `ops` has the functions of one of them. A step takes
the weights of one direction, the carry, whose last array is h, and the product of the input.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

from benchmarks import _cells


class Noise:
    """No noise; `DrawnNoise` has the same methods."""

    def hide(self, h: Any) -> Any:
        """The h that the gates see."""
        return h

    def drop(self, g: Any) -> Any:
        """The candidate that is added."""
        return g

    def zone(self, old: Any, new: Any) -> Any:
        """The state that is kept."""
        return new


class DrawnNoise(Noise):
    """The noise of a point, drawn by the framework.

    `draw(rate, like)` is True with that probability, anew at every call; `draw_once` is the same
    for all steps of a call.
    """

    def __init__(self, ops: SimpleNamespace, option: str, draw: Callable, draw_once: Callable):
        self.ops, self.option, self.draw, self.draw_once = ops, option, draw, draw_once

    def hide(self, h: Any) -> Any:
        """Inverted dropout of h."""
        if self.option != "recurrent-dropout":
            return h
        return self._scaled(self.draw_once(1 - _cells.RATE, h), h)

    def drop(self, g: Any) -> Any:
        """Inverted dropout of the candidate."""
        if self.option != "candidate-dropout":
            return g
        return self._scaled(self.draw(1 - _cells.RATE, g), g)

    def zone(self, old: Any, new: Any) -> Any:
        """Some units keep their old state."""
        if self.option != "zoneout":
            return new
        return self.ops.where(self.draw(_cells.RATE, new), old, new)

    def _scaled(self, keep: Any, value: Any) -> Any:
        return self.ops.where(keep, value / (1 - _cells.RATE), 0.0)


class Written(NamedTuple):
    """A cell: its step, and how many arrays its carry has."""

    step: Callable  # (ops, w, carry, product of the input, noise) -> carry
    num_states: int


def _multiply_heads(ops: Any, h: Any, w: Any) -> Any:
    """h `[..., H]` times blocks `[H/K, G*H]`: the columns of a head see its own units."""
    size, columns = w.shape
    heads = h.shape[-1] // size
    gates = columns // h.shape[-1]
    parts = h.reshape(*h.shape[:-1], heads, size)
    sums = ops.einsum("...kp,pgkc->...gkc", parts, w.reshape(size, gates, heads, size))
    return sums.reshape(*h.shape[:-1], columns)


def _lstm_sums(ops: Any, w: dict, h: Any, a_x: Any) -> Any:
    is_full = w["w_h"].shape[0] == h.shape[-1]
    return a_x + (h @ w["w_h"] if is_full else _multiply_heads(ops, h, w["w_h"])) + w["b"]


def _lstm(ops: Any, w: dict, carry: tuple, a_x: Any, noise: Noise) -> tuple:
    c, h = carry
    i, f, g, o = ops.split(_lstm_sums(ops, w, noise.hide(h), a_x), 4)
    candidate = noise.drop(ops.tanh(g))
    new_c = ops.sigmoid(f) * c + ops.sigmoid(i) * candidate
    new_h = ops.sigmoid(o) * ops.tanh(new_c)
    return noise.zone(c, new_c), noise.zone(h, new_h)


def _peephole_lstm(ops: Any, w: dict, carry: tuple, a_x: Any, noise: Noise) -> tuple:
    del noise
    c, h = carry
    i, f, g, o = ops.split(_lstm_sums(ops, w, h, a_x), 4)
    w_ci, w_cf, w_co = ops.split(w["w_c"], 3)
    new_c = ops.sigmoid(f + w_cf * c) * c + ops.sigmoid(i + w_ci * c) * ops.tanh(g)
    return new_c, ops.sigmoid(o + w_co * new_c) * ops.tanh(new_c)


def _coupled_lstm(ops: Any, w: dict, carry: tuple, a_x: Any, noise: Noise) -> tuple:
    del noise
    c, h = carry
    f, g, o = ops.split(a_x + h @ w["w_h"] + w["b"], 3)
    f = ops.sigmoid(f)
    new_c = f * c + (1 - f) * ops.tanh(g)
    return new_c, ops.sigmoid(o) * ops.tanh(new_c)


def _projected_lstm(ops: Any, w: dict, carry: tuple, a_x: Any, noise: Noise) -> tuple:
    del noise
    c, h = carry
    i, f, g, o = ops.split(a_x + h @ w["w_h"] + w["b"], 4)
    new_c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
    return new_c, (ops.sigmoid(o) * ops.tanh(new_c)) @ w["w_p"]


def _normalise(a: Any, epsilon: float) -> Any:
    centred = a - a.mean(-1, keepdims=True)
    return centred / ((centred * centred).mean(-1, keepdims=True) + epsilon) ** 0.5


def _layer_norm_lstm(epsilon: float, *, is_carried: bool) -> Callable:
    def step(ops: Any, w: dict, carry: tuple, a_x: Any, noise: Noise) -> tuple:
        del noise
        c, h = carry
        a_h = _normalise(h @ w["w_h"], epsilon) * w["scale_h"]
        a = _normalise(a_x, epsilon) * w["scale_x"] + a_h + w["b"]
        i, f, g, o = ops.split(a, 4)
        new_c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        seen = _normalise(new_c, epsilon) * w["scale_c"] + w["shift_c"]
        return (seen if is_carried else new_c), ops.sigmoid(o) * ops.tanh(seen)

    return step


def _gru(ops: Any, w: dict, carry: tuple, a_x: Any, noise: Noise) -> tuple:
    del noise
    (h,) = carry
    is_full = w["w_h"].shape[0] == h.shape[-1]
    a_h = h @ w["w_h"] if is_full else _multiply_heads(ops, h, w["w_h"])
    return (_mix(ops, ops.split(a_x + w["b"], 3), ops.split(a_h, 3), h),)


def _layer_norm_gru(ops: Any, w: dict, carry: tuple, a_x: Any, noise: Noise) -> tuple:
    del noise
    (h,) = carry
    half = w["b"].shape[0] // 3 * 2

    def normalise(a: Any) -> Any:
        return ops.concat([_normalise(a[..., :half], 1e-5), _normalise(a[..., half:], 1e-5)])

    of_x = ops.split(normalise(a_x) * w["scale_x"] + w["b"], 3)
    h_r, h_z, h_n = ops.split(normalise(h @ w["w_h"]) * w["scale_h"], 3)
    return (_mix(ops, of_x, (h_r, h_z, h_n + w["b_hn"]), h),)


def _mix(ops: Any, of_x: Any, of_h: Any, h: Any) -> Any:
    r, z = (ops.sigmoid(of_x[gate] + of_h[gate]) for gate in (0, 1))
    n = ops.tanh(of_x[2] + r * of_h[2])
    return (1 - z) * n + z * h


def _gru_reset_before(ops: Any, w: dict, carry: tuple, a_x: Any, noise: Noise) -> tuple:
    del noise
    (h,) = carry
    size = h.shape[-1]
    x_r, x_z, x_n = ops.split(a_x + w["b"], 3)
    h_r, h_z = ops.split(h @ w["w_h"][:, : 2 * size], 2)
    r, z = ops.sigmoid(x_r + h_r), ops.sigmoid(x_z + h_z)
    n = ops.tanh(x_n + (r * h) @ w["w_h"][:, 2 * size :])
    return ((1 - z) * n + z * h,)


def _elman(ops: Any, w: dict, carry: tuple, a_x: Any, noise: Noise) -> tuple:
    del noise
    return (ops.relu(a_x + carry[0] @ w["w_h"] + w["b"]),)


def _indrnn(ops: Any, w: dict, carry: tuple, a_x: Any, noise: Noise) -> tuple:
    del noise
    return (ops.relu(a_x + carry[0] * w["w_h"] + w["b"]),)


def _positive(ops: Any, a: Any) -> Any:
    return ops.where(a >= 0, a + 0.5, ops.sigmoid(a))


def _mingru(ops: Any, w: dict, carry: tuple, a_x: Any, noise: Noise) -> tuple:
    del noise
    z, n = ops.split(a_x + w["b"], 2)
    z = ops.sigmoid(z)
    return ((1 - z) * carry[0] + z * _positive(ops, n),)


def _minlstm(ops: Any, w: dict, carry: tuple, a_x: Any, noise: Noise) -> tuple:
    del noise
    i, f, n = ops.split(a_x + w["b"], 3)
    i, f = ops.sigmoid(i), ops.sigmoid(f)
    return ((f * carry[0] + i * _positive(ops, n)) / (f + i),)


def _para_gru(ops: Any, w: dict, carry: tuple, a_x: Any, noise: Noise) -> tuple:
    del noise
    (h,) = carry
    x_r, x_z, x_n = ops.split(a_x + w["b"], 3)
    w_r, w_z, w_n = ops.split(w["w_h"], 3)
    r, z = ops.sigmoid(x_r + w_r * h), ops.sigmoid(x_z + w_z * h)
    return ((1 - z) * ops.tanh(x_n + w_n * (r * h)) + z * h,)


def _para_lstm(ops: Any, w: dict, carry: tuple, a_x: Any, noise: Noise) -> tuple:
    del noise
    c, h = carry
    x_f, x_g, x_o = ops.split(a_x + w["b"], 3)
    w_f, w_g, w_o = ops.split(w["w_h"], 3)
    w_cf, w_co = ops.split(w["w_c"], 2)
    f = ops.sigmoid(x_f + w_f * h + w_cf * c)
    new_c = f * c + (1 - f) * ops.tanh(x_g + w_g * h)
    return new_c, ops.sigmoid(x_o + w_o * h + w_co * new_c) * ops.tanh(new_c)


def _slstm(ops: Any, w: dict, carry: tuple, a_x: Any, noise: Noise) -> tuple:
    del noise
    c, n, m, h = carry
    log_i, f, g, o = ops.split(_lstm_sums(ops, w, h, a_x), 4)
    log_kept = ops.log_sigmoid(f) + m
    new_m = ops.where(n == 0, log_i, ops.maximum(log_i, log_kept))
    i, f = ops.exp(log_i - new_m), ops.exp(log_kept - new_m)
    new_c, new_n = f * c + i * ops.tanh(g), f * n + i
    return new_c, new_n, new_m, ops.sigmoid(o) * new_c / new_n


WRITTEN = {
    "lstm": Written(_lstm, 2),
    "lstm_heads": Written(_lstm, 2),
    "peephole_lstm": Written(_peephole_lstm, 2),
    "coupled_lstm": Written(_coupled_lstm, 2),
    "projected_lstm": Written(_projected_lstm, 2),
    "layer_norm_lstm_ba": Written(_layer_norm_lstm(1e-5, is_carried=False), 2),
    "layer_norm_lstm_tfa": Written(_layer_norm_lstm(1e-3, is_carried=True), 2),
    "gru": Written(_gru, 1),
    "gru_heads": Written(_gru, 1),
    "gru_reset_before": Written(_gru_reset_before, 1),
    "layer_norm_gru_ba": Written(_layer_norm_gru, 1),
    "relu_elman": Written(_elman, 1),
    "indrnn": Written(_indrnn, 1),
    "mingru": Written(_mingru, 1),
    "minlstm": Written(_minlstm, 1),
    "para_gru": Written(_para_gru, 1),
    "para_lstm": Written(_para_lstm, 2),
    "slstm": Written(_slstm, 4),
    "slstm_heads": Written(_slstm, 4),
}


def state_sizes(cell: str, hidden_size: int) -> list[int]:
    """Of the arrays of a carry."""
    sizes = [hidden_size] * (WRITTEN[cell].num_states - 1)
    return [*sizes, _cells.output_size(cell, hidden_size)]
