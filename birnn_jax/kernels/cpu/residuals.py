"""What the native kernels keep of the forward pass for the backward pass."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..xla.cell_rule import Form
from ..xla.elman import ELMAN_FORM
from ..xla.gates import gate_of_tanh
from ..xla.gru import GRU_FORM
from ..xla.loop import loop
from ..xla.lstm import LSTM_FORM
from ..xla.order import Sequences, to_time


class Saved(NamedTuple):
    """Of one direction, beside the outputs; None is not kept. Zero where nothing was visited."""

    cs: Any  # [B, T, H], of the LSTM
    gates: Any  # [B, T, 4H]: i, f, g, o of the LSTM; r, z, n, h w_hn + b_hn of the GRU


class NativeCell(NamedTuple):
    """What the native code has of a cell; the names are those of its functions."""

    name: str
    keep: Callable[[Any, Any], Saved]  # (activations, carry after the step)
    has_cs: bool
    has_gates: bool


def _keep_elman(activations: jax.Array, carry: Any) -> Saved:
    del activations, carry
    return Saved(cs=None, gates=None)


def _keep_gru(activations: Any, carry: Any) -> Saved:
    del carry
    gates = [gate_of_tanh(activations.tanh_rz), activations.n, activations.h_n]
    return Saved(cs=None, gates=jnp.concatenate(gates, axis=-1))


def _keep_lstm(activations: jax.Array, carry: Any) -> Saved:
    i, f, g, o = jnp.split(activations, 4, axis=-1)
    gates = [gate_of_tanh(i), gate_of_tanh(f), g, gate_of_tanh(o)]
    return Saved(cs=carry.c, gates=jnp.concatenate(gates, axis=-1))


CELLS = {
    ELMAN_FORM: NativeCell("elman", _keep_elman, has_cs=False, has_gates=False),
    GRU_FORM: NativeCell("gru", _keep_gru, has_cs=False, has_gates=True),
    LSTM_FORM: NativeCell("lstm", _keep_lstm, has_cs=True, has_gates=True),
}


def compute_saved(
    form: Form, keep_gates: bool, reverse: tuple[bool, ...], sequences: tuple[Sequences, ...]
) -> tuple[Saved, ...]:
    """As the native code keeps it, by XLA."""
    keep = CELLS[form].keep
    _, saved = loop(form, reverse, sequences, lambda activations, old, new: keep(activations, new))
    saved = tuple(one if keep_gates else one._replace(gates=None) for one in saved)
    return tuple(
        jax.tree.map(lambda leaf, one=one, back=back: to_time(leaf, one.valid, back), leaves)
        for leaves, one, back in zip(saved, sequences, reverse, strict=True)
    )
