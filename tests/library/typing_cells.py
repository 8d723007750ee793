"""What a type checker knows about cells: read by `_typing.py`, never run."""

from typing import reveal_type

import jax

from birnn_jax import GRU, LSTM, Bi, Cell, Layer, bidirectional, init_bidirectional, scan_cell
from birnn_jax.cells import (
    MINGRU,
    PEEPHOLE_LSTM,
    GRUParams,
    LSTMCarry,
    LSTMParams,
    elman,
    parallel,
    recurrent_dropout,
    zoneout,
)

key = jax.random.key(0)
xs = jax.random.normal(key, [3, 5, 2])


def two_directions() -> None:
    """Parameters, carries and outputs of `bidirectional`."""
    params = init_bidirectional(LSTM, key, input_size=2, hidden_size=7)
    reveal_type(params)  # reveals Bi[LSTMParams]
    reveal_type(params.bwd.w_h)  # reveals Array
    params.fwd.w_typo  # refused
    carry, ys = bidirectional(LSTM, params, xs)
    reveal_type(carry)  # reveals Bi[LSTMCarry]
    reveal_type(carry.fwd.h)  # reveals Array
    reveal_type(ys)  # reveals Array
    carry.fwd.z  # refused
    carry.left  # refused
    _, parts = bidirectional(LSTM, params, xs, merge="none")
    reveal_type(parts.bwd)  # reveals Array
    bidirectional(LSTM, params, xs, merge="average")  # refused
    bidirectional(GRU, params, xs)  # refused
    bidirectional(LSTM, params.fwd, xs)  # refused
    bidirectional(LSTM, params, xs, None, carry)  # refused
    bidirectional(LSTM, params, xs, initial_carry=Bi(None, carry.bwd))
    bidirectional(LSTM, params, xs, initial_carry=carry.fwd)  # refused
    bidirectional(LSTM, params, xs, backend="cuda")  # refused


def one_direction() -> None:
    """Parameters and carries of `scan_cell`."""
    params = LSTM.init(key, 2, 7)
    reveal_type(params)  # reveals LSTMParams
    carry, ys = scan_cell(LSTM, params, xs, reverse=True)
    reveal_type(carry.c)  # reveals Array
    reveal_type(ys)  # reveals Array
    scan_cell(LSTM, GRU.init(key, 2, 7), xs)  # refused
    scan_cell(LSTM, params, xs, initial_carry=LSTMCarry(c=ys, h=ys))
    scan_cell(LSTM, params, xs, initial_carry=ys)  # refused


def different_cells() -> None:
    """A cell for each direction."""
    cells = Bi(LSTM, GRU)
    params = Bi(LSTM.init(key, 2, 7), GRU.init(key, 2, 7))
    bidirectional(cells, params, xs)
    Layer(cells)
    Layer(LSTM, merge="none")  # refused
    Layer(LSTM, norm="batch")  # refused


def options() -> None:
    """Options of `init`, by `with_init`."""
    reveal_type(LSTM.with_init(forget_bias=1.0).init(key, 2, 7))  # reveals LSTMParams
    LSTM.with_init(forget_biass=1)  # refused
    LSTM.with_init(forget_bias="one")  # refused
    LSTM.with_init(1.0)  # refused
    LSTM.with_init(w_h="orthogonal").with_init(forget_bias=2.0)
    GRU.with_init(forget_bias=1.0)  # refused
    PEEPHOLE_LSTM.with_init(forget_bias=1.0)
    PEEPHOLE_LSTM.with_init(forget_biass=1.0)  # refused
    elman(jax.nn.relu).with_init(w_h="identity")
    LSTM.init(key, 2, 7, forget_bias=1.0)
    LSTM.init(key, 2)  # refused


def cells_of_cells() -> None:
    """Functions from a cell to a cell know what the new cell has."""
    noisy = zoneout(recurrent_dropout(LSTM, 0.2), h=0.1).with_init(forget_bias=2.0)
    reveal_type(noisy.init(key, 2, 7))  # reveals LSTMParams
    zoneout(LSTM, h=0.1).with_init(forget_biass=2.0)  # refused
    reveal_type(parallel(MINGRU).init(key, 2, 7).w_x)  # reveals Array


def own_cells() -> None:
    """A cell of the user's, with names of arguments of her own, and her own annotations."""

    def init(rng: jax.Array, size: int, units: int, *, scale: float = 1.0) -> jax.Array:
        return scale * jax.random.normal(rng, [size, units])

    def init_carry(w: jax.Array) -> LSTMCarry:
        return LSTMCarry(w[0], w[0])

    def step(w: jax.Array, state: LSTMCarry, x: jax.Array) -> tuple[LSTMCarry, jax.Array]:
        h = 0.9 * state.h + x @ w
        return LSTMCarry(state.c, h), h

    cell = Cell(init, init_carry, step)
    cell.with_init(scale=2.0)
    cell.with_init(scales=2.0)  # refused
    carry, _ = bidirectional(cell, init_bidirectional(cell, key, 2, 7), xs)
    reveal_type(carry.bwd)  # reveals LSTMCarry
    Cell(init, init_carry, init_carry)  # refused
    cell(xs)


def takes_any_cell(cell: Cell) -> None:
    """Annotations without parameters stay as they were."""
    params = cell.init(key, 2, 7)
    cell.with_init(anything=1)
    scan_cell(cell, params, xs)[0].whatever


def takes_one_kind(cell: Cell[LSTMParams, LSTMCarry]) -> None:
    """The annotation of a cell with known parameters."""
    reveal_type(cell.init(key, 2, 7))  # reveals LSTMParams


takes_any_cell(GRU)
takes_one_kind(LSTM.with_init(forget_bias=2.0))
takes_one_kind(zoneout(LSTM, h=0.1))
takes_one_kind(GRU)  # refused
GRUParams(w_x=xs, w_h=xs, b=xs)  # refused
