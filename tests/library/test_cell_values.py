"""Cells and layers are values: they print as the code that makes them, copy, pickle and compile."""

import copy
import dataclasses
import pickle

import jax
import jax.numpy as jnp
import pytest

import birnn_jax
from birnn_jax import (
    ELMAN,
    GRU,
    LSTM,
    Bi,
    Cell,
    Layer,
    bidirectional,
    cells,
    init_bidirectional,
    init_stack,
    scan_cell,
    stack,
)
from birnn_jax.cells import (
    zoneout,
)
from tests.library import _annotated_cell
from tests.library._annotated_cell import ANNOTATED, AnnotatedParams
from tests.library._cases import LENGTHS, B, D, H, T, assert_close, random_inputs, random_xs

PUBLIC = {name: value for name, value in vars(cells).items() if isinstance(value, Cell)}

# The code that makes each, which is also its repr.
CODE = [
    *PUBLIC,
    "LSTM.with_init(forget_bias=2.0)",
    "LSTM.with_init(forget_bias=2.0, w_h='torch')",
    "cells.PROJECTED_LSTM.with_init(projection_size=3)",
    "zoneout(LSTM, h=0.1)",
    "zoneout(LSTM, h=0.1, c=0.25)",
    "recurrent_dropout(GRU, 0.2)",
    "zoneout(candidate_dropout(recurrent_dropout(GRU, 0.2), 0.3), h=0.1)",
    "zoneout(LSTM.with_init(b='torch'), h=0.1)",
    "zoneout(MINGRU, h=0.1)",
    "parallel(MINGRU)",
    "elman(jax.nn.relu)",
    "elman(jnp.sin)",
    "elman(jax.lax.tanh)",
    "indrnn(jnp.tanh)",
    "indrnn(jnp.tanh).with_init(time_span=40)",
    "Layer(LSTM)",
    "Layer(LSTM, subsample=2)",
    "Layer(zoneout(LSTM, h=0.1), direction='fwd', norm='pre', learned_carry=True)",
    "Layer(Bi(fwd=LSTM, bwd=elman(jax.nn.relu)), merge='concat', projection=8)",
    "Layer(GRU, residuals='chunked', backend='xla', connection='highway')",
]
NAMES = vars(cells) | vars(birnn_jax) | {"jax": jax, "jnp": jnp}


@pytest.mark.parametrize("code", CODE)
def test_value_prints_as_the_code_that_makes_it(code):
    value = eval(code, NAMES)
    assert repr(value) == code.replace("cells.", "").replace(", merge='concat'", "")
    assert eval(repr(value), NAMES) == value


@pytest.mark.parametrize("code", CODE)
def test_value_equals_its_pickle_and_its_copies(code):
    value = eval(code, NAMES)
    for same in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert same == value and hash(same) == hash(value)
    assert jax.tree.leaves(value) == []


def _own_init(key, input_size, hidden_size, *, scale=1.0):
    return scale * jax.random.normal(key, [input_size, hidden_size])


def _own_carry(params):
    return jnp.zeros(params.shape[1])


def _own_step(params, carry, x):
    h = jnp.tanh(0.5 * carry + x @ params)
    return h, h


OWN = Cell(_own_init, _own_carry, _own_step)


def test_cell_of_your_own_prints_by_its_name_or_by_its_functions():
    assert repr(OWN) == "OWN"
    assert repr(OWN.with_init(scale=2.0)) == "OWN.with_init(scale=2.0)"
    assert repr(zoneout(OWN, h=0.1)) == "zoneout(OWN, h=0.1)"
    other = Cell(_own_init, _own_carry, lambda params, carry, x: (carry, x))
    assert repr(other) == "Cell(_own_init, _own_carry, <lambda>)"
    mixed = LSTM._replace(step=GRU.step)
    assert repr(mixed) == "Cell(lstm_init, lstm_init_carry, GatedStep(_gru_gates, gru_update))"


def test_cells_and_layers_need_not_be_static_under_jit():
    params, xs, lengths, _ = random_inputs(LSTM)
    want = bidirectional(LSTM, params, xs, lengths)
    assert_close(jax.jit(bidirectional)(LSTM, params, xs, lengths), want)
    assert_close(jax.jit(bidirectional, static_argnums=0)(LSTM, params, xs, lengths), want)
    count = []

    @jax.jit
    def run(layers, params, xs):
        count.append(layers)
        return stack(layers, params, xs)

    layers = [Layer(ELMAN), Layer(Bi(GRU, ELMAN), merge="sum")]
    params = init_stack(layers, jax.random.key(0), input_size=D, hidden_size=H)
    want = stack(layers, params, xs)
    assert_close(run(layers, params, xs), want)
    same = pickle.loads(pickle.dumps(layers))
    assert_close(run(same, params, xs), want)
    assert count == [layers]


def test_old_spellings_of_a_cell_work_and_say_what_to_write():
    with pytest.warns(DeprecationWarning, match=r"is now Cell\(init_carry=\.\.\.\)") as warned:
        assert Cell(init=_own_init, initial_carry=_own_carry, step=_own_step) == OWN
    assert warned[0].filename == __file__
    with pytest.warns(DeprecationWarning, match=r"Cell\.initial_carry is now Cell\.init_carry"):
        assert OWN.initial_carry is _own_carry
    with pytest.warns(DeprecationWarning, match="is now Cell"):
        assert OWN._replace(initial_carry=LSTM.init_carry).init_carry is LSTM.init_carry


def test_old_spellings_of_a_layer_work_and_say_what_to_write():
    learned = Layer(LSTM, learned_carry=True)
    with pytest.warns(DeprecationWarning, match=r"is now Layer\(learned_carry=True\)") as warned:
        assert Layer(LSTM, initial_carry="learned") == learned
    assert warned[0].filename == __file__
    with pytest.warns(DeprecationWarning, match=r"is now Layer\(learned_carry=False\)"):
        assert dataclasses.replace(learned, initial_carry="cell") == Layer(LSTM)
    with pytest.warns(DeprecationWarning, match=r"Layer\.initial_carry is now"):
        assert (learned.initial_carry, Layer(LSTM).initial_carry) == ("learned", "cell")
    assert dataclasses.replace(learned, norm="pre") == Layer(LSTM, learned_carry=True, norm="pre")


# The same recurrence, written in the three ways in which its parameters cannot be seen in the
# signature: annotations that are strings, an object that is called, a method of an object.


@dataclasses.dataclass(frozen=True)
class _CalledInit:
    scale: float = 1.0

    def __call__(self, key, input_size, hidden_size) -> AnnotatedParams:
        return _annotated_cell.init(key, input_size, hidden_size)


@dataclasses.dataclass(frozen=True)
class _CalledStep:
    decay: float = 0.5

    def __call__(self, params, carry, x):
        return _annotated_cell.step(params, carry, x)


@dataclasses.dataclass(frozen=True)
class _Methods:
    decay: float = 0.5

    def init(self, key, input_size, hidden_size):
        return _annotated_cell.init(key, input_size, hidden_size)

    def init_carry(self, params):
        return _annotated_cell.init_carry(params)

    def step(self, params, carry, x):
        return _annotated_cell.step(params, carry, x)


METHODS = _Methods()
WRITTEN = {
    "annotations that are strings": ANNOTATED,
    "dataclasses": Cell(_CalledInit(), _annotated_cell.init_carry, _CalledStep()),
    "methods": Cell(METHODS.init, METHODS.init_carry, METHODS.step),
}


@pytest.mark.parametrize("cell", WRITTEN.values(), ids=WRITTEN.keys())
def test_cell_runs_however_it_is_written(cell):
    params = init_bidirectional(cell, jax.random.key(0), input_size=D, hidden_size=H)
    xs = random_xs()
    got = jax.jit(bidirectional, static_argnums=0)(cell, params, xs, LENGTHS)
    assert_close(got, bidirectional(OWN, Bi(params.fwd.w, params.bwd.w), xs, LENGTHS))
    assert copy.deepcopy(cell) == cell


@pytest.mark.parametrize("cell", WRITTEN.values(), ids=WRITTEN.keys())
def test_cell_gets_the_same_checks_however_it_is_written(cell):
    params, xs = random_inputs(cell).params.fwd, random_xs()
    wrong = {
        "params must be AnnotatedParams, which the cell's init makes, got LSTMParams": (
            LSTM.init(jax.random.key(0), D, H)
        ),
        "params must be AnnotatedParams of one direction, got a Bi of two": Bi(params, params),
        f"xs has {D} features but params were made for {D + 1}": (
            cell.init(jax.random.key(0), D + 1, H)
        ),
        "Arrays of AnnotatedParams must fit one another, got w": params._replace(b=params.b[1:]),
    }
    for text, given in wrong.items():
        with pytest.raises(ValueError, match=text):
            scan_cell(cell, given, xs)
    with pytest.raises(TypeError, match=r"params\.w must be floats, as the cell's init makes them"):
        scan_cell(cell, params._replace(w=jnp.zeros([D, H], int)), xs)


def test_params_of_a_cell_whose_init_cannot_be_traced_are_checked_by_its_step():
    def init(key, input_size, hidden_size):
        return jnp.full([input_size, hidden_size], float(jax.random.normal(key)))  # concrete

    cell = Cell(init, _own_carry, _own_step)
    params = cell.init(jax.random.key(0), D, H)
    _, ys = scan_cell(cell, params, random_xs())
    assert ys.shape == (B, T, H)
    with pytest.raises(ValueError, match=r"Arrays of an array must fit one another, got \(3, 7\)"):
        scan_cell(cell, cell.init(jax.random.key(0), D + 1, H), random_xs())
