"""Exported models in ONNX Runtime keep the contract, where the operators do not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import (
    ELMAN,
    GRU,
    LSTM,
    Bi,
    Layer,
    classifier,
    init_classifier,
    init_tagger,
    stack,
    tagger,
)
from birnn_jax.cells import COUPLED_LSTM, GRU_RESET_BEFORE, PEEPHOLE_LSTM, elman
from birnn_jax.interop.onnx import Graph, classifier_to_onnx, stack_to_onnx, tagger_to_onnx, to_onnx

from ._onnx import LENGTHS, batch, session
from ._stacks import TOLERANCE_FLOAT32, D, H, T, assert_close, random_params, randomised

CELLS = {
    "elman": ELMAN,
    "relu": elman(jax.nn.relu),
    "gru": GRU,
    "reset before": GRU_RESET_BEFORE,
    "lstm": LSTM,
    "peephole": PEEPHOLE_LSTM,
    "coupled": COUPLED_LSTM,
}


@pytest.mark.parametrize("direction", ["both", "fwd", "bwd"])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
def test_stack_keeps_the_contract(cell, direction, rng):
    layers = (Layer(cell, direction=direction), Layer(cell))
    params = random_params(layers, rng, hidden_size=[H, 4], dtype=jnp.float32)
    xs = batch(rng)
    made = session(stack_to_onnx(layers, params))
    outputs = dict(
        zip(
            [one.name for one in made.get_outputs()],
            made.run(None, {"xs": xs, "lengths": LENGTHS}),
            strict=True,
        )
    )
    final, ys = stack(layers, params, jnp.asarray(xs), LENGTHS)
    assert_close(outputs.pop("ys"), ys, TOLERANCE_FLOAT32)
    want = {
        f"{name}_{index}": np.stack([getattr(one, name) for one in directions], axis=1)
        for index, carry in enumerate(final)
        for directions in [carry if isinstance(carry, Bi) else [carry]]
        for name in directions[0]._fields
    }
    assert_close(outputs, want, TOLERANCE_FLOAT32)


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "mean"])
def test_tagger_with_every_merge(merge, rng):
    layers = (Layer(LSTM, merge=merge), Layer(GRU, merge=merge))
    params = init_tagger(layers, jax.random.key(0), input_size=D, hidden_size=H, num_classes=6)
    params = randomised(params, rng, jnp.float32)
    xs = batch(rng)
    (logits,) = session(tagger_to_onnx(layers, params)).run(None, {"xs": xs, "lengths": LENGTHS})
    assert_close(logits, tagger(layers, params, jnp.asarray(xs), LENGTHS), TOLERANCE_FLOAT32)


def test_tagger_and_classifier_of_tokens_with_anything_in_padding(rng):
    layers = (Layer(LSTM),)
    sizes = {"input_size": D, "hidden_size": H, "num_classes": 6, "num_tokens": 9}
    tokens = rng.integers(9, size=batch(rng).shape[:2]).astype(np.int32)
    padding = np.arange(tokens.shape[1]) >= LENGTHS[:, None]
    feed = {"xs": np.where(padding, -100, tokens).astype(np.int32), "lengths": LENGTHS}
    for init, run, write in (
        (init_tagger, tagger, tagger_to_onnx),
        (init_classifier, classifier, classifier_to_onnx),
    ):
        params = randomised(init(layers, jax.random.key(0), **sizes), rng, jnp.float32)
        (logits,) = session(write(layers, params)).run(None, feed)
        assert_close(logits, run(layers, params, tokens, LENGTHS), TOLERANCE_FLOAT32)


def test_tagger_with_what_stands_around_a_recurrence(rng):
    layers = (
        Layer(LSTM, projection=D, connection="residual", norm="post"),
        Layer(GRU, norm="pre", projection=D, connection="highway"),
        Layer(ELMAN, direction="bwd", norm="post", projection=4),
    )
    params = init_tagger(layers, jax.random.key(0), input_size=D, hidden_size=H, num_classes=6)
    params = randomised(params, rng, jnp.float32)
    xs = batch(rng)
    (logits,) = session(tagger_to_onnx(layers, params)).run(None, {"xs": xs, "lengths": LENGTHS})
    assert_close(logits, tagger(layers, params, jnp.asarray(xs), LENGTHS), TOLERANCE_FLOAT32)


@pytest.mark.parametrize("readout", ["final", "mean", "max", "attention"])
def test_classifier_with_every_readout(readout, rng):
    layers = (Layer(GRU),)
    params = init_classifier(
        layers, jax.random.key(0), input_size=D, hidden_size=H, num_classes=6, readout=readout
    )
    params = randomised(params, rng, jnp.float32)
    xs = batch(rng)
    model = classifier_to_onnx(layers, params, readout=readout)
    (logits,) = session(model).run(None, {"xs": xs, "lengths": LENGTHS})
    want = classifier(layers, params, jnp.asarray(xs), LENGTHS, readout=readout)
    assert_close(logits, want, TOLERANCE_FLOAT32)


@pytest.mark.parametrize(("num_rows", "num_steps"), [(1, 1), (3, 11), (2, 0), (0, 4), (0, 0)])
def test_batch_and_time_are_free(num_rows, num_steps, rng):
    layers = (Layer(LSTM),)
    params = random_params(layers, rng, dtype=jnp.float32)
    xs = rng.normal(size=(num_rows, num_steps, D)).astype(np.float32)
    lengths = np.full(num_rows, num_steps, np.int32)
    made = session(stack_to_onnx(layers, params))
    ys, *_ = made.run(None, {"xs": xs, "lengths": lengths})
    assert_close(ys, stack(layers, params, jnp.asarray(xs), lengths)[1], TOLERANCE_FLOAT32)


@pytest.mark.parametrize("readout", ["final", "mean", "max", "attention"])
def test_batch_without_rows_has_no_outputs(readout, rng):
    """The LSTM and the GRU of ONNX Runtime end the process for such a batch."""
    layers = (Layer(LSTM, merge="sum"), Layer(GRU), Layer(ELMAN, direction="bwd"))
    params = init_classifier(
        layers, jax.random.key(0), input_size=D, hidden_size=H, num_classes=6, readout=readout
    )
    made = session(classifier_to_onnx(layers, params, readout=readout))
    feeds = {"xs": np.zeros((0, T, D), np.float32), "lengths": np.zeros(0, np.int32)}
    (logits,) = made.run(None, feeds)
    assert logits.shape == (0, 6)


def test_operators_never_see_padding(rng):
    """`sequence_lens` guards outputs; a runtime that masks by a product would still spread NaN."""
    layers = (Layer(LSTM),)
    model = stack_to_onnx(layers, random_params(layers, rng))
    (inputs,) = [node.input[0] for node in model.graph.node if node.op_type == "LSTM"]
    (source,) = [node.op_type for node in model.graph.node if inputs in node.output]
    assert source == "Where"


def test_runtime_drops_the_initial_state_of_rows_without_steps(rng):
    """What the operator gives by itself: zero where the contract keeps the initial state."""
    params = random_params((Layer(GRU),), rng, dtype=jnp.float32)[0]
    op_type, weights, attributes = to_onnx(Layer(GRU), params)
    graph = Graph()
    xs = graph.input("xs", np.float32, ["time", "batch", D])
    lengths = graph.input("lengths", np.int32, ["batch"])
    initial = graph.input("initial", np.float32, [2, "batch", H])
    inputs = [xs, *(graph.constant(weights[key]) for key in "WRB"), lengths, initial]
    _, final = graph.ops(op_type, 2, *inputs, **attributes)
    graph.output("final", final, rank=3)
    feeds = {
        "xs": np.ones((3, 2, D), np.float32),
        "lengths": np.array([3, 0], np.int32),
        "initial": np.ones((2, 2, H), np.float32),
    }
    (got,) = session(graph.model()).run(None, feeds)
    assert (got[:, 1] == 0).all()
