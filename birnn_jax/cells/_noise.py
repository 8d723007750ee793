"""Functions from a cell to a cell that regularises itself, while it is given a key.

A noisy cell has the parameters and the carry of the cell it is made from. Called with that carry
its step is the evaluation step. Randomness enters as data: `scan_cell` with a key hands the step a
`NoisyCarry`, the carry together with the key of its row, and takes it apart again at the end.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from .._core.checks import check_cell, check_rate
from .._core.describe import describe
from .._core.keys import IMPL
from .._core.types import Bi, C, Carry, Cell, Options, P, Params, StepFn
from ._gated import GatedStep
from ._linear import is_parallel


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["carry", "key_data", "visited"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class NoisyCarry:
    """A carry with what its noise is drawn from."""

    carry: Carry
    key_data: jax.Array  # bare, since a scan may not select among keys; the same at every step
    visited: jax.Array  # [] int32, steps so far: padding neither draws noise nor moves it

    @property
    def key(self) -> jax.Array:
        """The key of the row."""
        return jax.random.wrap_key_data(self.key_data, impl=IMPL)


@dataclasses.dataclass(frozen=True)
class NoisyStep:
    """The `StepFn` of a noisy cell: another step, and the rates of its noise."""

    step: StepFn
    zoneout_h: float = 0.0
    zoneout_c: float = 0.0
    recurrent: float = 0.0
    candidate: float = 0.0

    def __post_init__(self) -> None:
        """Refuses what would have no effect."""
        for name in ("zoneout_h", "zoneout_c", "recurrent", "candidate"):
            check_rate(name, getattr(self, name), is_static=True)
        if is_parallel(self.step):
            raise ValueError(
                "A cell scanned in parallel has no steps to draw noise for. Give the cell without "
                "parallel."
            )
        if (self.recurrent or self.candidate) and not isinstance(self.step, GatedStep):
            raise ValueError(
                "recurrent_dropout and candidate_dropout reach inside the step: they need a cell "
                f"whose step is a GatedStep, got {describe(self.step)}."
            )

    def __call__(self, params: Params, carry: Carry, x: jax.Array) -> tuple[Carry, jax.Array]:
        """One step, with noise if the carry is a `NoisyCarry`."""
        if not isinstance(carry, NoisyCarry):
            return self._advance(params, carry, x, key_row=None, key_step=None)
        visited = carry.visited + 1
        key_row, key_step = (jax.random.fold_in(carry.key, number) for number in (0, visited))
        new, y = self._advance(params, carry.carry, x, key_row=key_row, key_step=key_step)
        return dataclasses.replace(carry, carry=new, visited=visited), y

    def describe_cell(self, cell: Cell) -> str:
        """The functions that made the cell noisy, around the cell without noise."""
        text = repr(cell._replace(step=self.step))
        if self.recurrent:
            text = f"recurrent_dropout({text}, {self.recurrent!r})"
        if self.candidate:
            text = f"candidate_dropout({text}, {self.candidate!r})"
        rates = f"h={self.zoneout_h!r}" + (f", c={self.zoneout_c!r}" if self.zoneout_c else "")
        if self.zoneout_h or self.zoneout_c or not (self.recurrent or self.candidate):
            text = f"zoneout({text}, {rates})"
        return text

    def _advance(
        self,
        params: Params,
        carry: Carry,
        x: jax.Array,
        *,
        key_row: jax.Array | None,
        key_step: jax.Array | None,
    ) -> tuple[Carry, jax.Array]:
        if isinstance(self.step, GatedStep):
            seen = _drop_field(carry, "h", self.recurrent, key_row)
            gates = self.step.gates(params, seen, x)
            name = "g" if hasattr(gates, "g") else "n"
            gates = _drop_field(gates, name, self.candidate, _fold(key_step, 0))
            new, y = self.step.update(params, carry, gates)
        else:
            new, y = self.step(params, carry, x)
        new = _zone_field(new, carry, "c", self.zoneout_c, _fold(key_step, 1))
        new = _zone_field(new, carry, "h", self.zoneout_h, _fold(key_step, 2))
        return new, new.h.astype(y.dtype) if self.zoneout_h else y


def zoneout(cell: Cell[P, C, Options], *, h: float, c: float = 0.0) -> Cell[P, C, Options]:
    """Keeps each unit of the old state with probability `h` in h and `c` in c, step by step.

        h[t] = h[t-1] where a unit is kept, else the new h[t]; c[t] likewise

    Outputs are the h that is carried. Without a key both states take their expectation,
    rate * old + (1 - rate) * new: this is not the cell without zoneout.

    Args:
      cell: any `Cell` whose carry has a field h, and c if its rate is not zero.
      h: rate of the hidden state, 0 up to, not including, 1.
      c: rate of the cell state. Both replace those given before.

    Returns:
      A `Cell` with the same parameters and carry; cells made with the same rates are equal.

    Raises:
      ValueError: if a rate is not in [0, 1), or, in the scan, if the carry lacks a field.

    Example:
      >>> from birnn_jax.cells import zoneout
      >>> cell = zoneout(LSTM, h=0.1, c=0.3)
      >>> params = cell.init(jax.random.key(0), 3, 4)
      >>> xs = jax.random.normal(jax.random.key(1), [2, 5, 3])
      >>> carry, ys = scan_cell(cell, params, xs, key=jax.random.key(2))  # training
      >>> carry, ys = scan_cell(cell, params, xs)  # evaluation

    References:
      Krueger et al., Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations, 2016.
    """
    return _with_noise(cell, zoneout_h=h, zoneout_c=c)


def recurrent_dropout(cell: Cell[P, C, Options], rate: float) -> Cell[P, C, Options]:
    """Hides units of h from all gates, the same ones at every step of a row.

        gates of (x[t], m * h[t-1])     m = 0 with probability rate, else 1/(1 - rate)

    The state that is carried, and that a GRU mixes with its candidate, is not masked. Without a key
    this is `cell`. Beside `locked_dropout` on inputs it makes up the dropout of Gal and Ghahramani.

    Args:
      cell: a `Cell` whose step is a `GatedStep`; all of `birnn_jax.cells` but minGRU and minLSTM.
      rate: 0 up to, not including, 1; it replaces the one given before.

    Returns:
      A `Cell` with the same parameters and carry; cells made with the same rates are equal.

    Raises:
      ValueError: if `rate` is not in [0, 1), or the step has no gates to hide h from.

    Example:
      >>> from birnn_jax.cells import recurrent_dropout, zoneout
      >>> recurrent_dropout(zoneout(GRU, h=0.1), 0.2) == zoneout(recurrent_dropout(GRU, 0.2), h=0.1)
      True

    References:
      Gal and Ghahramani, A Theoretically Grounded Application of Dropout in Recurrent Neural
      Networks, 2016 (one mask for all gates, their tied variant).
    """
    return _with_noise(cell, recurrent=rate)


def candidate_dropout(cell: Cell[P, C, Options], rate: float) -> Cell[P, C, Options]:
    """Drops units of the candidate, anew at every step: what is remembered is never dropped.

        LSTM: c[t] = f * c[t-1] + i * (m * g)
        GRU:  h[t] = (1 - z) * (m * n) + z * h[t-1]

    with m = 0 with probability `rate`, else 1/(1 - rate). Without a key this is `cell`.

    Args:
      cell: a `Cell` whose step is a `GatedStep` with a candidate g or n: all LSTMs and GRUs.
      rate: 0 up to, not including, 1; it replaces the one given before.

    Returns:
      A `Cell` with the same parameters and carry; cells made with the same rates are equal.

    Raises:
      ValueError: if `rate` is not in [0, 1), or the cell has no candidate.

    Example:
      >>> from birnn_jax.cells import candidate_dropout
      >>> candidate_dropout(LSTM, 0.25) == candidate_dropout(LSTM, 0.25)
      True

    References:
      Semeniuta, Severyn and Barth, Recurrent Dropout without Memory Loss, 2016.
    """
    return _with_noise(cell, candidate=rate)


def draws_noise(cell: Cell | Bi[Cell]) -> bool:
    """True if a key makes a difference."""
    cells = list(cell) if isinstance(cell, Bi) else [cell]
    return any(isinstance(part.step, NoisyStep) for part in cells)


def add_noise(cell: Cell, carry: Carry, keys: jax.Array) -> Carry:
    """`carry` `[B, ...]`, together with its keys, of `row_keys`, if `cell` draws noise."""
    if not draws_noise(cell):
        return carry
    return NoisyCarry(carry, jax.random.key_data(keys), jnp.zeros(keys.shape, jnp.int32))


def remove_noise(carry: Carry) -> Carry:
    """The carry without the keys, as the caller knows it."""
    return carry.carry if isinstance(carry, NoisyCarry) else carry


def _with_noise(cell: Cell[P, C, Options], **rates: float) -> Cell[P, C, Options]:
    check_cell(cell)
    step = cell.step if isinstance(cell.step, NoisyStep) else NoisyStep(cell.step)
    return cell._replace(step=dataclasses.replace(step, **rates))


def _fold(key: jax.Array | None, site: int) -> jax.Array | None:
    return None if key is None else jax.random.fold_in(key, site)


def _drop_field(fields: Any, name: str, rate: float, key: jax.Array | None) -> Any:
    """Without a key, the same checks and no change."""
    if rate == 0:
        return fields
    value = _field(fields, name)
    if key is None:
        return fields
    keep = jax.random.bernoulli(key, 1 - rate, value.shape)
    return fields._replace(**{name: jnp.where(keep, value / (1 - rate), 0)})


def _zone_field(new: Any, old: Any, name: str, rate: float, key: jax.Array | None) -> Any:
    if rate == 0:
        return new
    before, after = _field(old, name), _field(new, name)
    if key is None:
        return new._replace(**{name: rate * before + (1 - rate) * after})
    keep = jax.random.bernoulli(key, rate, before.shape)
    return new._replace(**{name: jnp.where(keep, before, after)})


def _field(fields: Any, name: str) -> jax.Array:
    if not hasattr(fields, name):
        raise ValueError(f"This noise needs a field {name}, but {type(fields).__name__} has none.")
    return getattr(fields, name)
