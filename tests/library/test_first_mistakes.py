"""What people type first, from the habits of torch.nn, Keras and Flax: it works, or one sentence.

What lies deeper is in `test_errors.py`, what stands on top in `test_mistakes_on_top.py`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import birnn_jax
from birnn_jax import (
    LSTM,
    Bi,
    Cell,
    Layer,
    bidirectional,
    cells,
    classifier,
    init_bidirectional,
    init_classifier,
    init_stack,
    init_tagger,
    inspection,
    scan_cell,
    stack,
    stack_lengths,
    streaming,
    tagger,
)
from birnn_jax.stacks import LayerParams, stack_states, unstack_states
from tests.library._cases import LENGTHS, B, D, H, T, assert_equal, random_inputs
from tests.library._sentences import assert_says, read_sentences

PARAMS, XS, _, CARRY = random_inputs(LSTM)
LAYERS = (Layer(LSTM),)
STACKED = (LayerParams(PARAMS),)
both = functools.partial(bidirectional, LSTM, PARAMS)


def key():
    return jax.random.key(0)


TAGGER = init_tagger(LAYERS, key(), input_size=D, hidden_size=H, num_classes=4)
CLASSIFIER = init_classifier(LAYERS, key(), input_size=D, hidden_size=H, num_classes=4)


def init(input_size, hidden_size):
    return init_bidirectional(LSTM, key(), input_size, hidden_size)


class Tensor:
    """As the tensor of another framework that needs its gradient."""

    shape, dtype = (B, T, D), "torch.float32"

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


class Module:
    """As the layer of another framework."""


class Unhashable:
    __hash__ = None

    def __call__(self, key, input_size, hidden_size):
        return None


def _init(key, input_size, hidden_size):
    return jax.random.normal(key, [input_size, hidden_size])


def _carry(params):
    return jnp.zeros(params.shape[1])


def _step(params, carry, x):
    h = jnp.tanh(carry + x @ params)
    return h, h


def run_own(init_carry=_carry, step=_step):
    """Runs a user's cell with something wrong in it."""
    return scan_cell(Cell(_init, init_carry, step), _init(key(), D, H), XS)


# What is typed, and below it what is said; ... stands for what JAX or Python say in their words.
MISTAKES = """
# A cell taken for a layer, a layer for a cell, and names for either.
LSTM(16, 32)
    TypeError: LSTM is a cell, without sizes and parameters, and is not called. Make parameters by params = init_bidirectional(LSTM, key, input_size=..., hidden_size=...), and run it by carry, ys = bidirectional(LSTM, params, xs, lengths).
LSTM(units=32)
    TypeError: LSTM is a cell, without sizes and parameters, and is not called. Make parameters by params = init_bidirectional(LSTM, key, input_size=..., hidden_size=...), and run it by carry, ys = bidirectional(LSTM, params, xs, lengths).
Cell(LSTM.init, LSTM.init_carry, 3)
    TypeError: A cell is made of three functions, init, init_carry and step; got 3 for step.
LSTM._replace(init=Unhashable())
    TypeError: The init of a cell must be hashable, such as a number, a name, a function defined once or a frozen dataclass, got Unhashable: JAX compiles once for each cell.
Layer("lstm")
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got the string 'lstm'.
Layer(32)
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got 32.
Layer([LSTM, GRU])
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got a list of 2 (Cell). Cells of two directions are given as birnn_jax.Bi(fwd, bwd), layers to a stack.
Layer(Module)
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got the class tests.library.test_first_mistakes.Module.
Layer(Module())
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got Module.
Layer(Layer(LSTM))
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got Layer. Layers are run by birnn_jax.stack, or give its field cell.
Layer(LSTM, direction=True)
    ValueError: direction must be one of 'both', 'fwd', 'bwd', got True.
Layer(LSTM, subsample=2.0)
    TypeError: subsample must be an integer, got 2.0.
Layer(LSTM, projection="64")
    TypeError: projection must be an integer, got the string '64'.
Layer(LSTM, projection=True)
    TypeError: projection must be an integer, got True.
Layer(LSTM, learned_carry="learned")
    TypeError: learned_carry must be a bool, got the string 'learned'.
init_stack("lstm", key(), D, H)
    TypeError: layers must be a tuple of birnn_jax.Layer, such as (Layer(LSTM),) * 2, got the string 'lstm'.
init_stack(2, key(), D, H)
    TypeError: layers must be a tuple of birnn_jax.Layer, such as (Layer(LSTM),) * 2, got 2.
init_stack(key(), LAYERS, D, H)
    TypeError: layers must be a tuple of birnn_jax.Layer, such as (Layer(LSTM),) * 2, got a random key. The layers come first.
init_stack(["lstm", "gru"], key(), D, H)
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got the string 'lstm'.
bidirectional("lstm", PARAMS, XS)
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got the string 'lstm'.
bidirectional(Module, PARAMS, XS)
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got the class tests.library.test_first_mistakes.Module.
bidirectional(Layer(LSTM), PARAMS, XS)
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got Layer. Layers are run by birnn_jax.stack, or give its field cell.
bidirectional((LSTM, GRU), PARAMS, XS)
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got a tuple of 2 (Cell). Cells of two directions are given as birnn_jax.Bi(fwd, bwd), layers to a stack.
bidirectional(PARAMS.fwd, XS, LENGTHS)
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got LSTMParams.
init_bidirectional(key(), LSTM, D, H)
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got a random key. The cell comes first, then what it is given.
scan_cell("lstm", PARAMS.fwd, XS)
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got the string 'lstm'.
zoneout("lstm", h=0.1)
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got the string 'lstm'.
zoneout(Layer(LSTM), h=0.1)
    TypeError: cell must be a Cell, such as birnn_jax.LSTM, got Layer. Layers are run by birnn_jax.stack, or give its field cell.
zoneout(LSTM, h="0.1")
    TypeError: zoneout_h must be a number, got the string '0.1'.
recurrent_dropout(MINGRU, 0.1)
    ValueError: recurrent_dropout and candidate_dropout reach inside the step: they need a cell whose step is a GatedStep, got LinearStep.
elman("relu")
    TypeError: activation must be a function, such as jax.nn.relu or jnp.tanh, got the string 'relu'.
indrnn("relu")
    TypeError: activation must be a function, such as jax.nn.relu or jnp.tanh, got the string 'relu'.
parallel(LSTM)
    ValueError: parallel needs a cell that is linear in its state, whose step is a LinearStep, such as MINGRU, or one whose units see their own state only, whose step is a DiagonalStep, such as PARA_GRU; got LSTM.
LSTM.with_init(forget_bais=1.0)
    ValueError: Unknown option 'forget_bais' for the init of LSTM. Available: w_x, w_h, b, forget_bias, time_span, heads.
LSTM.with_init(2.0)
    TypeError: with_init takes options by their names, such as LSTM.with_init(forget_bias=2.0), got 2.0.
LSTM.with_init(w_x=["torch"])
    TypeError: w_x must be hashable, such as a number, a name, a function defined once or a frozen dataclass, got a list of 1 (str): JAX compiles once for each cell.
LSTM.with_init(forget_bias="1").init(key(), D, H)
    TypeError: forget_bias must be a number, got the string '1'.

# A cell of one's own.
run_own(init_carry=_step, step=_carry)
    ValueError: Cell(_init, _step, _carry) does not work as a cell: its init_carry(params) raises TypeError: ...
run_own(step=lambda params, carry, x: carry + x @ params)
    ValueError: Cell(_init, _carry, <lambda>) does not work as a cell: its step must return (carry, y), not an array of shape (7,).
run_own(step=lambda params, carry, x: ((carry + x @ params)[:-1], carry))
    ValueError: Cell(_init, _carry, <lambda>) does not work as a cell: its step must return (carry, y) with a carry like the one that it is given, (7,), not (6,).
run_own(step=lambda params, x, carry: (carry + x @ params,) * 2)
    ValueError: Cell(_init, _carry, <lambda>) does not work as a cell: its step(params, carry, x) raises TypeError: ...
run_own(step=lambda params, carry, x: (carry + x @ params, (x @ params).sum()))
    ValueError: Cell(_init, _carry, <lambda>) does not work as a cell: its step must return a y of shape [H], not a number.
run_own(init_carry=lambda params: jnp.zeros(params.shape[0] + 2))
    ValueError: Cell(_init, <lambda>, _step) does not work as a cell: its step(params, carry, x) raises TypeError: ...

# Sizes.
init(D, 0)
    ValueError: hidden_size must be at least 1, got 0.
init(D, -1)
    ValueError: hidden_size must be at least 1, got -1.
init(D, None)
    TypeError: hidden_size must be an integer, got None.
init(D, "4")
    TypeError: hidden_size must be an integer, got the string '4'.
init(D, 32.0)
    TypeError: hidden_size must be an integer, got 32.0.
init(D, True)
    TypeError: hidden_size must be an integer, got True.
init(D, [4, 5])
    TypeError: hidden_size must be an integer, got a list of 2 (int).
jax.jit(lambda size: init(D, size))(H)
    TypeError: hidden_size must be known when the function is traced, got a traced value: give a Python integer, under jax.jit as a static argument.
init(0, H)
    ValueError: input_size must be at least 1, got 0.
init(None, H)
    TypeError: input_size must be an integer, got None.
init(XS.shape, H)
    TypeError: input_size must be an integer, got a tuple of 3 (int).
init_stack(LAYERS, key(), D, None)
    TypeError: hidden_size must be an integer, got None.
init_stack(LAYERS, key(), D, np.array([4, 5]))
    ValueError: hidden_size has 2 sizes for 1 layers: give one for all, or one for each.
init_stack(LAYERS * 2, key(), D, [4, "5"])
    TypeError: hidden_size must be an integer, got the string '5'.
init_tagger(LAYERS, key(), D, H, num_classes=0)
    ValueError: num_classes must be at least 1, got 0.
init_classifier(LAYERS, key(), D, H, num_classes=["good", "bad"])
    TypeError: num_classes must be an integer, got a list of 2 (str).
LSTM.init(key(), 3, -1)
    ValueError: hidden_size must be at least 1, got -1.

# Keys.
init_bidirectional(LSTM, 0, D, H)
    TypeError: key must be a random key, got 0. Use jax.random.key(0), and one of jax.random.split(key) for each use.
init_stack(LAYERS, None, D, H)
    TypeError: key must be a random key, got None. Use jax.random.key(0), and one of jax.random.split(key) for each use.
init_tagger(LAYERS, jax.random.split(key(), 3), D, H, num_classes=4)
    TypeError: key must be a random key, got random keys of shape (3,). Use jax.random.key(0), and one of jax.random.split(key) for each use.
LSTM.init(0, 3, 4)
    TypeError: key must be a random key, got 0. Use jax.random.key(0), and one of jax.random.split(key) for each use.
stack(LAYERS, STACKED, XS, dropout=0.5, key=3)
    TypeError: key must be a random key, got 3. Use jax.random.key(3), and one of jax.random.split(key) for each use.
dropout(XS, key(), 0.5)
    TypeError: dropout rate must be a number, got a random key.
stack(LAYERS, STACKED, XS, dropout="0.5")
    TypeError: dropout must be a number, got the string '0.5'.
stack(LAYERS, STACKED, XS, dropout=None)
    TypeError: dropout must be a number, got None.
jax.jit(lambda rate: zoneout(LSTM, h=rate))(0.5)
    TypeError: zoneout_h is part of a cell, which must be known when a function is traced, got a traced value. birnn_jax.dropout and the like take one.

# Inputs.
both(Tensor())
    TypeError: xs must be an array of numbers, got a tests Tensor of shape (3, 5, 2), which JAX cannot read: RuntimeError: Can't call numpy() on Tensor that requires grad.
both([[[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]]])
    ValueError: xs must be one array of numbers, got a list of 2 (list) that does not make one. Rows of different lengths are padded to the longest first; lengths say how many steps of each are valid.
both("hello")
    TypeError: xs must be an array, got the string 'hello'.
both(["a", "b"])
    TypeError: xs must be an array of numbers, got a list of 2 (str), which JAX cannot read: ...
both(XS, Mask(LENGTHS))
    TypeError: Mask.valid must be bool, got int32.
both(None)
    TypeError: xs must be an array, got None.
both(Bi(XS, LENGTHS))
    TypeError: xs must be an array, got Bi.
both(XS * 1j)
    TypeError: xs must be real, as params are, got complex64: the imaginary part would be lost. Give it as features, jnp.concatenate([xs.real, xs.imag], axis=-1).
both(jnp.arange(B * T).reshape(B, T))
    ValueError: xs must be [B, T, D], got shape (3, 5). For one sequence use xs[None], for more batch dimensions jax.vmap; token ids are embedded first, by models made with num_tokens.
both(XS, LENGTHS[:, None])
    ValueError: lengths must be [B] with B = 3 as in xs, got shape (3, 1). Use lengths[:, 0].
both(XS, "532")
    TypeError: lengths must be an array, got the string '532'.
both(XS, [5.0, 2.0, 0.0])
    TypeError: lengths must be integers, the number of valid steps of each row, got float32. A mask is given as birnn_jax.Mask(mask).
both(XS, jnp.eye(B, T, dtype=bool))
    TypeError: lengths must be integers, the number of valid steps of each row, got bool. A mask is given as birnn_jax.Mask(mask).
both(XS.swapaxes(0, 1), LENGTHS)
    ValueError: lengths must be [B] with B = 5 as in xs, got shape (3,).

# Parameters.
bidirectional(LSTM, STACKED, XS)
    ValueError: params must be a Bi, one for each direction, got a tuple of 1 (LayerParams). These are the parameters of a stack: birnn_jax.stack(layers, params, xs) runs them.
bidirectional(LSTM, STACKED[0], XS)
    ValueError: params must be a Bi, one for each direction, got LayerParams. Give its field rnn, or run the function that these parameters were made for.
scan_cell(LSTM, STACKED[0], XS)
    ValueError: params must be LSTMParams, which the cell's init makes, got LayerParams. Give its field rnn, or run the function that these parameters were made for.
bidirectional(LSTM, PARAMS._asdict(), XS)
    ValueError: params must be a Bi, one for each direction, got a dict with the keys 'fwd', 'bwd'.
bidirectional(LSTM, tuple(PARAMS), XS)
    ValueError: params must be a Bi, one for each direction, got a tuple of 2 (LSTMParams).
bidirectional(LSTM, XS, PARAMS)
    ValueError: params must be a Bi, one for each direction, got an array of shape (3, 5, 2).
scan_cell(LSTM, None, XS)
    ValueError: params must be LSTMParams, which the cell's init makes, got None.
scan_cell(LSTM, PARAMS.fwd._replace(b=PARAMS.fwd.b.tolist()), XS)
    TypeError: params must be a tree of JAX arrays, got one with 0.32030558586120605 in it: convert it first, weights of other frameworks by birnn_jax.interop.
scan_cell(LSTM, PARAMS.fwd._replace(b=Tensor()), XS)
    TypeError: params must be a tree of JAX arrays, got one with a tests Tensor of shape (3, 5, 2) in it: convert it first, weights of other frameworks by birnn_jax.interop.
scan_cell(LSTM, jax.tree.map(lambda leaf: leaf.astype(int), PARAMS.fwd), XS)
    TypeError: params.w_x must be floats, as the cell's init makes them, got int32.
stack(LAYERS, {"params": STACKED}, XS)
    ValueError: params must hold a LayerParams for each layer, as init_stack makes them, got a dict with the keys 'params'.
stack(LAYERS, TAGGER, XS)
    ValueError: params must hold a LayerParams for each layer, as init_stack makes them, got TaggerParams. Give its field rnn, or run the function that these parameters were made for.
stack(LAYERS, PARAMS, XS)
    ValueError: params must hold a LayerParams for each layer, as init_stack makes them, got Bi.
tagger(LAYERS, CLASSIFIER, XS)
    ValueError: params must be TaggerParams, as init_tagger makes them, got ClassifierParams.
classifier(LAYERS, TAGGER, XS)
    ValueError: params must be ClassifierParams, as init_classifier makes them, got TaggerParams.
tagger(LAYERS, STACKED, XS)
    ValueError: params must be TaggerParams, as init_tagger makes them, got a tuple of 1 (LayerParams).

# Carries and settings.
scan_cell(LSTM, PARAMS.fwd, XS, initial_carry=tuple(CARRY.fwd))
    ValueError: initial_carry must be LSTMCarry(c=..., h=...), got a tuple of 2 (array).
scan_cell(LSTM, PARAMS.fwd, XS, initial_carry=CARRY.fwd.h)
    ValueError: initial_carry must be LSTMCarry(c=..., h=...), got an array of shape (3, 7).
scan_cell(LSTM, PARAMS.fwd, XS, initial_carry=CARRY)
    ValueError: initial_carry must be LSTMCarry(c=..., h=...), got Bi.
scan_cell(LSTM, PARAMS.fwd, XS, initial_carry=LSTMCarry(CARRY.fwd.c * 1j, CARRY.fwd.h))
    TypeError: initial_carry.c must be float32, as the cell makes it, got complex64.
both(XS, merge="ave")
    ValueError: merge must be one of 'concat', 'sum', 'mul', 'mean', 'none', got 'ave'.
both(XS, merge=None)
    ValueError: merge must be one of 'concat', 'sum', 'mul', 'mean', 'none', got None.
both(XS, merge=jnp.add)
    ValueError: merge must be one of 'concat', 'sum', 'mul', 'mean', 'none', got <jnp.ufunc 'add'>.
both(XS, merge=["sum"])
    ValueError: merge must be one of 'concat', 'sum', 'mul', 'mean', 'none', got ['sum'].
both(XS, backend="gpu")
    ValueError: backend must be one of 'auto', 'cpu_kernel', 'tpu_kernel', 'gpu_kernel', 'xla', 'reference', got 'gpu'.
scan_cell(LSTM, PARAMS.fwd, XS, reverse="bwd")
    TypeError: reverse must be True or False, got the string 'bwd'.
init_classifier(LAYERS, key(), D, H, num_classes=4, readout=None)
    ValueError: readout must be one of 'final', 'mean', 'max', 'attention', got None.
stack_states(())
    ValueError: stack_states needs the carries of at least one layer, got none.
birnn_jax.BiLSTM
    AttributeError: module 'birnn_jax' has no attribute 'BiLSTM'
"""  # noqa: E501
SENTENCES = read_sentences(MISTAKES)


@pytest.mark.parametrize("code", SENTENCES)
def test_mistake_gets_one_plain_sentence(code):
    assert_says(code, SENTENCES[code], vars(birnn_jax) | vars(cells) | globals())


# What is no mistake, and once was.
WORKS = {
    "sizes by position": lambda: init_bidirectional(LSTM, key(), D, H),
    "size of NumPy": lambda: init(D, np.int64(H)),
    "size without axes": lambda: init(np.array(D), jnp.int32(H)),
    "bare cells": lambda: init_stack((LSTM,), key(), D, H),
    "a layer alone": lambda: init_stack(Layer(LSTM), key(), D, H),
    "a cell alone": lambda: init_stack(LSTM, key(), D, H),
    "one pair of cells": lambda: init_stack(Bi(LSTM, LSTM), key(), D, H),
    "layers from a generator": lambda: init_stack((Layer(LSTM) for _ in range(1)), key(), D, H),
    "sizes in an array": lambda: init_stack(LAYERS, key(), D, np.array([H])),
    "sizes in an array of JAX": lambda: init_stack(LAYERS, key(), D, jnp.array([H])),
    "size of a stack without axes": lambda: init_stack(LAYERS, key(), D, np.array(H)),
}


@pytest.mark.parametrize("call", WORKS.values(), ids=WORKS.keys())
def test_what_is_meant_is_done(call):
    got = call()
    stacked = init_stack(LAYERS, key(), input_size=D, hidden_size=H)
    assert_equal(got, init(D, H) if isinstance(got, Bi) else stacked)


@pytest.mark.parametrize("layers", [LSTM, Layer(LSTM), [LSTM], Bi(LSTM, LSTM)], ids=repr)
def test_layers_may_be_cells_wherever_layers_are_taken(layers):
    def run(layers):
        lengths = stack_lengths(layers, LENGTHS)
        carries, ys = stack(layers, STACKED, XS, lengths)
        states = unstack_states(layers, stack_states(carries))
        labels = tagger(layers, TAGGER, XS, LENGTHS), classifier(layers, CLASSIFIER, XS, LENGTHS)
        start = streaming.initial_carry(layers, STACKED, B)
        chunks = streaming.latency_controlled(layers, STACKED, XS, chunk_size=2, lookahead=1)
        return lengths, ys, states, labels, start, chunks, inspection.trace(layers, STACKED, XS)

    assert_equal(run(layers), run((Layer(LSTM),)))
    assert inspection.tabulate(layers, STACKED, XS) == inspection.tabulate(LAYERS, STACKED, XS)


def test_layers_in_a_list_that_is_static_are_named_by_jax():
    with pytest.raises(ValueError, match=r"Non-hashable static arguments .*, \[Layer\(LSTM\)\]\."):
        jax.jit(stack, static_argnums=0)([Layer(LSTM)], STACKED, XS)


def test_a_name_like_one_that_there_is_is_proposed():
    with pytest.raises(AttributeError) as raised:
        birnn_jax.bidirectionl  # noqa: B018
    assert (raised.value.name, raised.value.obj) == ("bidirectionl", birnn_jax)
