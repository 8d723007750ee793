"""The calls that the documentation of Flax teaches for its recurrent layers, with Flax's own cells.

Every case is computed by `nn.RNN`, `nn.Bidirectional` or their like in NNX too.
"""

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import birnn_jax.linen
import birnn_jax.nnx
from birnn_jax import ELMAN, Layer, Mask
from tests.library._cases import (
    B,
    D,
    H,
    T,
    assert_close,
    random_like,
    random_xs,
    weigh,
)

LENGTHS = np.array([T, 2, 1], np.int32)  # at 0 Flax goes on into padding


def shifted_difference(fwd, bwd):
    """Merges zeros to another number, which must not be seen in padding."""
    return fwd - 2 * bwd + 1


class Case(NamedTuple):
    """Settings of a layer and of its call; batch is None for [T, D], or the batch dimensions."""

    cell: str
    both: bool = False
    layer: Mapping[str, Any] = MappingProxyType({})
    call: Mapping[str, Any] = MappingProxyType({})
    batch: tuple[int, ...] = (B,)
    with_carry: bool = False


CALLS = [
    Case("SimpleCell", layer={"return_carry": True}),
    Case("GRUCell", layer={"reverse": True, "keep_order": False, "return_carry": False}),
    Case(
        "LSTMCell",
        call={"reverse": True, "keep_order": True, "time_major": True, "return_carry": True},
        with_carry=True,
    ),
    Case(
        "OptimizedLSTMCell",
        both=True,
        layer={"merge_fn": shifted_difference},
        call={"return_carry": True},
        with_carry=True,
    ),
]
# The same functions run both, so that NNX needs no more than one case a cell.
LINEN = [
    *CALLS,
    Case("GRUCell", both=True, layer={"return_carry": False}, batch=()),
    Case("SimpleCell", layer={"time_major": True, "return_carry": True}, batch=(2, B)),
    Case("MGUCell", both=True, layer={"time_major": True, "return_carry": False}),
]


def linen_layers(case):
    """Our layer and Flax's with the same random weights: each a function, and its weights."""
    cells = [getattr(nn, case.cell)(H) for _ in range(1 + case.both)]
    if case.both:
        ours = birnn_jax.linen.Bidirectional(*map(nn.RNN, cells), **case.layer)
        theirs = nn.Bidirectional(*map(nn.RNN, cells), **case.layer)
    else:
        ours = birnn_jax.linen.RNN(*cells, **case.layer)
        theirs = nn.RNN(*cells, **case.layer)
    weights = random_like(jax.eval_shape(theirs.init, jax.random.key(0), random_xs())["params"], 7)
    if case.both:
        same = {"fwd": weights["forward_rnn"]["cell"], "bwd": weights["backward_rnn"]["cell"]}
    else:
        same = weights["cell"]

    def call(layer, weights, xs, inputs):
        return layer.apply({"params": weights}, xs, **inputs, **case.call)

    return [
        (functools.partial(call, ours), {"rnn": same}),
        (functools.partial(call, theirs), weights),
    ]


def nnx_layers(case):
    """The same for NNX, where both layers hold the same cells."""
    cells = [getattr(nnx, case.cell)(D, H, rngs=nnx.Rngs(0)) for _ in range(1 + case.both)]
    for seed, cell in enumerate(cells):
        nnx.update(cell, random_like(nnx.as_pure(nnx.state(cell, nnx.Param)), seed))
    if case.both:
        ours = birnn_jax.nnx.Bidirectional(*map(nnx.RNN, cells), **case.layer)
        theirs = nnx.Bidirectional(*map(nnx.RNN, cells), **case.layer)
    else:
        ours = birnn_jax.nnx.RNN(*cells, **case.layer)
        theirs = nnx.RNN(*cells, **case.layer)

    def call(graphdef, rest, weights, xs, inputs):
        return nnx.merge(graphdef, weights, rest)(xs, **inputs, **case.call)

    parts = [nnx.split(layer, nnx.Param, ...) for layer in (ours, theirs)]
    return [
        (functools.partial(call, graphdef, nnx.as_pure(rest)), weights)
        for graphdef, weights, rest in parts
    ]


def inputs_of(case):
    settings = {**case.layer, **case.call}
    xs = random_xs(0, *case.batch, T, D)
    # Flax takes lengths for one batch dimension.
    lengths = LENGTHS if len(case.batch) == 1 else None
    valid = np.arange(T) < LENGTHS[:, None] if lengths is not None else np.ones([*case.batch, T])
    if settings.get("time_major"):
        xs, valid = jnp.moveaxis(xs, -2, 0), np.moveaxis(valid, -1, 0)
    h = jnp.zeros([*case.batch, H])
    carry = (h, h) if "LSTM" in case.cell else h
    carry = random_like((carry, carry) if case.both else carry, 9) if case.with_carry else None
    return xs, {"seq_lengths": lengths, "initial_carry": carry}, valid[..., None]


@pytest.mark.parametrize(
    ("make", "case"),
    [*((linen_layers, case) for case in LINEN), *((nnx_layers, case) for case in CALLS)],
    ids=lambda value: value.cell if isinstance(value, Case) else value.__name__[:-7],
)
def test_call_gives_what_flax_gives(make, case):
    xs, inputs, valid = inputs_of(case)
    got, want = (jax.jit(run)(weights, xs, inputs) for run, weights in make(case))
    if {**case.layer, **case.call}["return_carry"]:
        (got_carry, got), (want_carry, want) = got, want
        assert_close(jax.tree.leaves(got_carry), jax.tree.leaves(want_carry))
    assert_close(got, jnp.where(valid, want, 0))  # Flax leaves what it read in padding


@pytest.mark.parametrize("make", [linen_layers, nnx_layers])
def test_gradients_through_a_cell_of_flax_are_those_of_flax(make):
    case = Case("GRUCell", call={"return_carry": False})
    xs, inputs, valid = inputs_of(case)

    def grads(run, weights):
        def loss(weights, xs):
            return weigh(jnp.where(valid, run(weights, xs, inputs), 0))

        return jax.tree.leaves(jax.jit(jax.grad(loss, (0, 1)))(weights, xs))

    assert_close(*(grads(*layer) for layer in make(case)))


# What is no pure function of its parameters, or is not meant, is refused with what to use.


class _Normed(nn.SimpleCell):
    @nn.compact
    def __call__(self, carry, inputs):
        y = nn.BatchNorm(use_running_average=False)(nn.Dense(self.features)(inputs))
        return y, y


class _Dropping(nn.SimpleCell):
    @nn.compact
    def __call__(self, carry, inputs):
        y = nn.Dropout(0.5, deterministic=False)(nn.Dense(self.features)(inputs))
        return y, y


class _AsWideAsItsInput(nn.SimpleCell):
    @nn.nowrap
    def initialize_carry(self, rng, input_shape):
        return jnp.zeros(input_shape)


class _Counting(nnx.SimpleCell):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.steps = nnx.Variable(jnp.zeros([]))


class _Drawing(nnx.SimpleCell):
    def initialize_carry(self, input_shape, rngs=None, carry_init=None):
        return jax.random.normal(rngs.carry(), [*input_shape[:-1], self.hidden_features])


class _Imaging(nnx.SimpleCell):
    num_feature_axes = 3


def linen_rnn(*args, **settings):
    return birnn_jax.linen.RNN(*args, **settings).init(jax.random.key(0), random_xs())


def linen_both(*args, **settings):
    return birnn_jax.linen.Bidirectional(*args, **settings).init(jax.random.key(0), random_xs())


def linen_call(*args, **settings):
    return birnn_jax.linen.RNN(ELMAN, H).init(jax.random.key(0), *args, **settings)


def nnx_rnn(*args, **settings):
    return birnn_jax.nnx.RNN(*args, **settings)


def nnx_both(*args, **settings):
    return birnn_jax.nnx.Bidirectional(*args, **settings)


def nnx_cell(kind=nnx.SimpleCell):
    return kind(D, H, rngs=nnx.Rngs(0))


LINEN_RNN, NNX_CELL = nn.RNN(nn.GRUCell(H)), nnx_cell()
REFUSED = {
    "images": (lambda: linen_rnn(nn.ConvLSTMCell(H, (2, 2))), "3 axes of features; .* flax.linen"),
    "state": (lambda: linen_rnn(_Normed(H)), "state beside its parameters: batch_stats"),
    "noise": (lambda: linen_rnn(_Dropping(H)), "_Dropping draws random numbers .*recurrent_drop"),
    "drawn_carry": (
        lambda: linen_rnn(nn.GRUCell(H, carry_init=nn.initializers.normal())),
        "GRUCell draws its initial carry. Leave carry_init out",
    ),
    "carry_of_input": (lambda: linen_rnn(_AsWideAsItsInput(H)), "has sizes of the input in it"),
    "rnn_in_rnn": (lambda: linen_rnn(LINEN_RNN), "got RNN. Of a layer give its cell"),
    "class": (lambda: linen_rnn(nn.GRUCell), "such as nn.GRUCell.64., got the class flax.linen"),
    "nnx_in_linen": (lambda: linen_rnn(NNX_CELL), "cells of flax.nnx go into birnn_jax.nnx"),
    "shared": (lambda: linen_both(LINEN_RNN, LINEN_RNN), "Both directions are one object"),
    "two_sizes": (lambda: linen_rnn(nn.GRUCell(H), 4), "hidden_size is 4, but GRUCell has .*=7"),
    "no_size": (lambda: linen_rnn(ELMAN), "hidden_size is missing"),
    "both_lengths": (
        lambda: linen_call(random_xs(), LENGTHS, seq_lengths=LENGTHS),
        "seq_lengths is Flax's name of lengths",
    ),
    "both_merges": (
        lambda: linen_both(ELMAN, H, merge="sum", merge_fn=jnp.add),
        "merge_fn goes in place of merge",
    ),
    "order_of_mask": (
        lambda: linen_call(
            random_xs(), Mask(np.arange(T) < LENGTHS[:, None]), reverse=True, keep_order=False
        ),
        "begin with their valid steps, got Mask",
    ),
    "flag": (lambda: linen_call(random_xs(), time_major="B"), "time_major must be True or False"),
    "cell_in_layer": (lambda: Layer(nn.GRUCell(H)), "linen.as_cell makes a Cell"),
    "no_steps": (lambda: linen_call(random_xs(0, 3)), r"or \[T, B, D\] .*, got shape \(3,\)"),
    "lengths_of_two_batches": (
        lambda: linen_call(random_xs(0, 2, B, T, D), LENGTHS),
        r"lengths must be \[B\] .* B = 6",
    ),
    "nnx_images": (lambda: nnx_rnn(nnx_cell(_Imaging)), "3 axes of features; .* flax.nnx.RNN"),
    "nnx_state": (lambda: nnx_rnn(nnx_cell(_Counting)), "state beside its parameters: Variable"),
    "nnx_drawn_carry": (lambda: nnx_rnn(nnx_cell(_Drawing)), "_Drawing draws its initial carry"),
    "nnx_class": (lambda: nnx_rnn(nnx.GRUCell), "got the class flax.nnx"),
    "nnx_rnn_in_rnn": (lambda: nnx_rnn(nnx.RNN(NNX_CELL)), "got RNN. Of a layer give"),
    "linen_in_nnx": (lambda: nnx_rnn(nn.GRUCell(H)), "cells of flax.linen go into birnn_jax.linen"),
    "nnx_shared": (lambda: nnx_both(NNX_CELL, NNX_CELL), "Both directions are one object"),
    "nnx_one": (lambda: nnx_both(NNX_CELL), "SimpleCell holds the parameters of one direction"),
    "nnx_two_sizes": (lambda: nnx_rnn(NNX_CELL, hidden_size=H), "leave hidden_size out"),
    "nnx_no_sizes": (lambda: nnx_rnn(ELMAN), "give input_size, hidden_size"),
    "nnx_no_rngs": (lambda: nnx_rnn(ELMAN, input_size=D, hidden_size=H), "rngs=nnx.Rngs"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_means_something_else_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
