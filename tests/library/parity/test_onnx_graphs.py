"""Recurrences in ONNX graphs: any cell, states that go in and come out, fewer steps, parts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import GRU, LSTM, Bi, Cell, Layer, cells, init_stack, serving, stack, stack_lengths
from birnn_jax.cells import zoneout
from birnn_jax.interop.onnx import Graph, add_stack_lengths, stack_to_onnx

from ._onnx import LENGTHS, B, batch, run, session
from ._stacks import TOLERANCE_FLOAT32, D, H, T, assert_close, random_params, randomised


def named(carries):
    """Carries as a model names them, `[B, directions, ...]`."""
    found = {}
    for index, carry in enumerate(carries):
        sides = list(carry) if isinstance(carry, Bi) else [carry]
        for name in sides[0]._fields:
            leaves = [getattr(side, name) for side in sides if hasattr(side, name)]
            if len(leaves) == len(sides) and len({leaf.shape for leaf in leaves}) == 1:
                found[f"{name}_{index}"] = np.stack(leaves, axis=1)
    return found


def ours_step(params, carry, x):
    """A cell of nobody's library, with most of what a step is made of."""
    turned = jnp.concatenate([carry.h[2:], carry.h[:2]])
    mixed = jnp.where(x.sum() > 0, turned, jnp.maximum(carry.h, -1) ** 2)
    scale = jnp.broadcast_to(jax.nn.softplus(x[:1]), carry.h.shape)
    h = jnp.tanh(params.b + x @ params.w_x + scale * mixed / jnp.sqrt(1 + carry.h @ carry.h))
    return carry._replace(h=h), jnp.clip(h, -0.9, 0.9)


class LowRankParams(NamedTuple):
    w_x: jax.Array  # [D, H]
    w_h: jax.Array  # [2, H]


class LowRankCarry(NamedTuple):
    state: jax.Array  # [H]


def init_low_rank(key, input_size, hidden_size):
    del key
    return LowRankParams(jnp.zeros([input_size, hidden_size]), jnp.zeros([2, hidden_size]))


def step_low_rank(params, carry, x):
    """Its w_h is not the recurrent matrix of a built-in cell."""
    state = jnp.tanh(x @ params.w_x + carry.state[:2] @ params.w_h)
    return LowRankCarry(state), state


LOW_RANK = Cell(
    init_low_rank,
    lambda params: LowRankCarry(jnp.zeros(params.w_x.shape[1])),
    step_low_rank,
)
OURS = Cell(cells.INDRNN.init, cells.INDRNN.init_carry, ours_step)
OTHERS = {
    "indrnn": cells.INDRNN,
    "layer norm gru": cells.LAYER_NORM_GRU_BA,
    "layer norm lstm": cells.LAYER_NORM_LSTM_BA,
    "layer norm lstm tfa": cells.LAYER_NORM_LSTM_TFA,
    "mingru": cells.MINGRU,
    "minlstm": cells.MINLSTM,
    "projected": cells.PROJECTED_LSTM.with_init(projection_size=3),
    "slstm": cells.SLSTM,
    "slstm of heads": cells.SLSTM.with_init(heads=H),
    "layer norm lstm of heads": cells.LAYER_NORM_LSTM_TFA.with_init(heads=H),
    "zoneout": zoneout(LSTM, c=0.2, h=0.3),
    "one of our own": OURS,
    "a low rank of our own": LOW_RANK,
}


@pytest.mark.parametrize("name", OTHERS)
def test_cell_without_an_operator_becomes_a_loop(name, rng):
    cell, direction = OTHERS[name], "bwd" if name in ("projected", "minlstm") else "both"
    layers = (Layer(cell, direction=direction),)
    params = random_params(layers, rng, dtype=jnp.float32)
    xs = batch(rng)
    shapes = jax.eval_shape(lambda: stack(layers, params, jnp.zeros([B, T, D])))[0]
    initial = randomised(shapes, rng, jnp.float32)
    if name == "mingru" or name.startswith("slstm"):  # never below zero, or a divisor
        initial = jax.tree.map(lambda leaf: 0.5 + jnp.abs(leaf), initial)
    feeds = {f"initial_{name}": value for name, value in named(initial).items()}
    outputs = run(
        stack_to_onnx(layers, params, initial_carry=True), xs=xs, lengths=LENGTHS, **feeds
    )
    final, ys = stack(layers, params, jnp.asarray(xs), LENGTHS, initial_carry=initial)
    assert_close(outputs, {"ys": ys} | named(final), TOLERANCE_FLOAT32)


def test_directions_may_differ_in_their_cells(rng):
    layers = (Layer(Bi(LSTM, GRU)), Layer(Bi(GRU, LSTM), learned_carry=True))
    params = random_params(layers, rng, hidden_size=[H, Bi(4, 6)], dtype=jnp.float32)
    xs = batch(rng)
    outputs = run(stack_to_onnx(layers, params), xs=xs, lengths=LENGTHS)
    (first, second), ys = stack(layers, params, jnp.asarray(xs), LENGTHS)
    want = {"ys": ys, "h_fwd_0": first.fwd.h, "c_fwd_0": first.fwd.c, "h_bwd_0": first.bwd.h}
    want |= {"h_fwd_1": second.fwd.h, "h_bwd_1": second.bwd.h, "c_bwd_1": second.bwd.c}
    want = {name: value[:, None] if name != "ys" else value for name, value in want.items()}
    assert_close(outputs, want, TOLERANCE_FLOAT32)


LAYERS = {
    "initial states": (Layer(LSTM), Layer(GRU, direction="fwd")),
    "learned states": (Layer(LSTM, learned_carry=True), Layer(cells.INDRNN, learned_carry=True)),
    "groups of steps": (Layer(GRU), Layer(LSTM, subsample=3, projection=4, norm="post")),
    "first of a group": (Layer(GRU, subsample=2, subsample_mode="first"), Layer(LSTM, subsample=2)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_states_go_in_and_steps_become_fewer(name, rng):
    layers = LAYERS[name]
    params = random_params(layers, rng, dtype=jnp.float32)
    xs = batch(rng)
    shapes = jax.eval_shape(lambda: stack(layers, params, jnp.zeros([B, T, D])))[0]
    initial = randomised(shapes, rng, jnp.float32) if name == "initial states" else None
    feeds = {f"initial_{key}": value for key, value in named(initial or ()).items()}
    model = stack_to_onnx(layers, params, initial_carry=initial is not None)
    outputs = run(model, xs=xs, lengths=LENGTHS, **feeds)
    final, ys = stack(layers, params, jnp.asarray(xs), LENGTHS, initial_carry=initial)
    assert_close(outputs, {"ys": ys} | named(final), TOLERANCE_FLOAT32)

    graph = Graph()
    fewer = add_stack_lengths(graph, layers, graph.input("lengths", np.int32, ["batch"]))
    graph.output("fewer", fewer, rank=1, dtype=np.int32)
    lengths = np.array([0, 1, 2, 3, 4, 7, 12], np.int32)
    (found,) = run(graph.model(), lengths=lengths).values()
    np.testing.assert_array_equal(found, stack_lengths(layers, jnp.asarray(lengths)))


def test_sequence_in_parts_is_the_whole_one(rng):
    layers = (Layer(LSTM, direction="fwd"), Layer(cells.MINGRU, direction="fwd"))
    params = random_params(layers, rng, dtype=jnp.float32)
    xs = rng.normal(size=(2, 9, D)).astype(np.float32)
    made = session(stack_to_onnx(layers, params, initial_carry=True))
    whole = stack(layers, params, jnp.asarray(xs))
    states = {one.name: np.zeros([2, *one.shape[1:]], np.float32) for one in made.get_inputs()[2:]}
    parts = []
    for start, end in ((0, 4), (4, 4), (4, 9)):
        lengths = np.full(2, end - start, np.int32)
        ys, *finals = made.run(None, {"xs": xs[:, start:end], "lengths": lengths} | states)
        states = dict(zip(states, finals, strict=True))
        parts.append(ys)
    assert_close(np.concatenate(parts, axis=1), whole[1], TOLERANCE_FLOAT32)
    assert_close(list(states.values()), [*named(whole[0]).values()], TOLERANCE_FLOAT32)


def test_operation_without_an_operator_is_named(rng):
    def step(params, carry, x):
        h = jnp.sort(carry.h + x @ params.w_x)
        return carry._replace(h=h), h

    layers = (Layer(OURS._replace(step=step)),)
    params = random_params(layers, rng, dtype=jnp.float32)
    with pytest.raises(ValueError, match=r"The JAX operation sort cannot be exported to ONNX here"):
        stack_to_onnx(layers, params)


def test_graphs_are_made_of_plain_parameters():
    layers = (Layer(LSTM),)
    params = init_stack(layers, jax.random.key(0), input_size=D, hidden_size=H)
    with pytest.raises(ValueError, match="Use the parameters that were given to serving"):
        stack_to_onnx(layers, serving.prepare(layers, params))
    with pytest.raises(ValueError, match="8 bits cannot be written for other frameworks"):
        stack_to_onnx(layers, serving.quantize(layers, params))
