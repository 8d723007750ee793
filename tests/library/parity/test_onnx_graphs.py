"""Parts of ONNX graphs in ONNX Runtime: any cell, states in and out, heads, opsets, other forms."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest

from birnn_jax import GRU, LSTM, Bi, Cell, Layer, cells, init_classifier, stack, stack_lengths
from birnn_jax.cells import zoneout
from birnn_jax.heads import (
    CRFParams,
    additive_attention,
    constrain_crf,
    crf_decode,
    ctc_greedy_decode,
    dot_attention,
    general_attention,
    init_additive_attention,
    init_crf,
    init_general_attention,
    tag_constraints,
)
from birnn_jax.interop.onnx import (
    Graph,
    add_additive_attention,
    add_character_encoder,
    add_classifier,
    add_crf_decode,
    add_ctc_greedy_decode,
    add_dot_attention,
    add_embedding,
    add_general_attention,
    add_seq2seq_encoder,
    add_seq2seq_step,
    add_stack_lengths,
    classifier_to_onnx,
    quantized,
    stack_to_onnx,
    with_sizes,
)
from birnn_jax.models import (
    Seq2Seq,
    attention_pool,
    character_encoder,
    init_character_encoder,
    init_seq2seq,
    seq2seq,
)

from ._stacks import TOLERANCE_FLOAT32, D, H, T, assert_close, random_params, randomised
from .test_onnx import LENGTHS, batch, session

B = len(LENGTHS)


def run(model, **feeds) -> dict[str, Any]:
    made = session(model)
    return dict(zip([one.name for one in made.get_outputs()], made.run(None, feeds), strict=True))


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


OURS = Cell(cells.INDRNN.init, cells.INDRNN.init_carry, ours_step)
OTHERS = {
    "indrnn": cells.INDRNN,
    "layer norm gru": cells.LAYER_NORM_GRU_BA,
    "layer norm lstm": cells.LAYER_NORM_LSTM_BA,
    "layer norm lstm tfa": cells.LAYER_NORM_LSTM_TFA,
    "mingru": cells.MINGRU,
    "minlstm": cells.MINLSTM,
    "projected": cells.PROJECTED_LSTM.with_init(projection_size=3),
    "zoneout": zoneout(LSTM, c=0.2, h=0.3),
    "one of our own": OURS,
}


@pytest.mark.parametrize("name", OTHERS)
def test_cell_without_an_operator_becomes_a_loop(name, rng):
    cell, direction = OTHERS[name], "bwd" if name in ("projected", "minlstm") else "both"
    layers = (Layer(cell, direction=direction),)
    params = random_params(layers, rng, dtype=jnp.float32)
    xs = batch(rng)
    shapes = jax.eval_shape(lambda: stack(layers, params, jnp.zeros([B, T, D])))[0]
    initial = randomised(shapes, rng, jnp.float32)
    if cell is cells.MINGRU:
        initial = jax.tree.map(jnp.abs, initial)
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


TAGS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def chain(kind, rng):
    params = randomised(init_crf(num_classes=len(TAGS)), rng, jnp.float32)
    if kind == "constrained":
        return constrain_crf(params, tag_constraints(TAGS, scheme="BIO"))
    if kind == "forbidden":
        return params._replace(start=params.start.at[1:].set(-jnp.inf))
    if kind == "impossible":
        return params._replace(end=jnp.full(len(TAGS), -jnp.inf))
    return params


@pytest.mark.parametrize(
    ("kind", "steps"), [("free", 7), ("constrained", 7), ("forbidden", 7), ("impossible", 7),
                        ("free", 1), ("free", 0)]
)  # fmt: skip
def test_viterbi_finds_the_best_labels(kind, steps, rng):
    params = CRFParams(*chain(kind, rng))
    graph = Graph()
    logits = graph.input("logits", np.float32, ["batch", "time", len(TAGS)])
    lengths = graph.input("lengths", np.int32, ["batch"])
    labels, scores = add_crf_decode(graph, params, logits, lengths)
    graph.output("labels", labels, rank=2, dtype=np.int32)
    graph.output("scores", scores, rank=1)
    model = graph.model()
    values = 2 * rng.normal(size=(B, steps, len(TAGS))).astype(np.float32)
    values[1, 2:] = np.nan
    outputs = run(model, logits=values, lengths=LENGTHS)
    want = crf_decode(params, jnp.asarray(values), LENGTHS)
    np.testing.assert_array_equal(outputs["labels"], want[0])
    assert_close(outputs["scores"], want[1], TOLERANCE_FLOAT32)
    for rows in (0, 1):
        outputs = run(model, logits=values[:rows], lengths=LENGTHS[:rows])
        np.testing.assert_array_equal(outputs["labels"], want[0][:rows])


@pytest.mark.parametrize("blank", [0, 2])
def test_best_path_of_ctc_loses_repetitions_and_blanks(blank, rng):
    graph = Graph()
    logits = graph.input("logits", np.float32, ["batch", "time", 3])
    lengths = graph.input("lengths", np.int32, ["batch"])
    labels, counts = add_ctc_greedy_decode(graph, logits, lengths, blank=blank)
    graph.output("labels", labels, rank=2, dtype=np.int32)
    graph.output("label_lengths", counts, rank=1, dtype=np.int32)
    made = session(graph.model())
    lengths = rng.integers(0, 14, 40).astype(np.int32)
    values = rng.normal(size=(40, 12, 3)).astype(np.float32)
    for rows, steps in ((40, 12), (3, 0), (0, 5)):
        feeds = {"logits": values[:rows, :steps], "lengths": lengths[:rows]}
        want = ctc_greedy_decode(jnp.asarray(feeds["logits"]), feeds["lengths"], blank=blank)
        for found, expected in zip(made.run(None, feeds), want, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_attention_over_states(rng):
    sizes = {"query_size": 4, "state_size": D}
    additive = init_additive_attention(jax.random.key(0), **sizes, attention_size=5)
    additive = randomised(additive, rng, jnp.float32)
    general = randomised(init_general_attention(jax.random.key(0), **sizes), rng, jnp.float32)
    states = batch(rng)
    queries = rng.normal(size=(B, 2, 4)).astype(np.float32)
    kinds = [
        (add_additive_attention, additive_attention, (additive,), queries),
        (add_general_attention, general_attention, (general,), queries),
        (add_dot_attention, dot_attention, (), queries[..., :D]),
    ]
    for add, attend, params, given in kinds:
        graph = Graph()
        names = [
            graph.input("queries", np.float32, ["batch", "queries", given.shape[-1]]),
            graph.input("states", np.float32, ["batch", "time", D]),
            graph.input("lengths", np.int32, ["batch"]),
        ]
        for name, value in zip(("contexts", "weights"), add(graph, *params, *names), strict=True):
            graph.output(name, value, rank=3)
        found = run(graph.model(), queries=given, states=states, lengths=LENGTHS)
        want = attend(*params, jnp.asarray(given), jnp.asarray(states), LENGTHS)
        assert_close([*found.values()], [*want], TOLERANCE_FLOAT32)


def test_classifier_says_what_its_attention_rests_on(rng):
    layers = (Layer(GRU),)
    init = functools.partial(
        init_classifier, layers, jax.random.key(0), input_size=D, hidden_size=H, num_classes=6
    )
    params = init(readout="attention")
    params = randomised(params, rng, jnp.float32)
    xs = batch(rng)
    model = classifier_to_onnx(layers, params, readout="attention", weights=True)
    outputs = run(model, xs=xs, lengths=LENGTHS)
    _, ys = stack(layers, params.rnn, jnp.asarray(xs), LENGTHS)
    _, weights = attention_pool(params.attention, ys, LENGTHS)
    assert_close(outputs["weights"], weights, TOLERANCE_FLOAT32)
    with pytest.raises(ValueError, match="weights are those of readout='attention', got readout"):
        classifier_to_onnx(layers, init(), weights=True)


def test_characters_spell_words(rng):
    sizes = {"num_characters": 9, "character_size": 3, "hidden_size": 4}
    params = init_character_encoder(LSTM, jax.random.key(0), **sizes)
    params = randomised(params, rng, jnp.float32)
    graph = Graph()
    characters = graph.input("characters", np.int32, ["batch", "time", "width"])
    lengths = graph.input("lengths", np.int32, ["batch", "time"])
    graph.output("ys", add_character_encoder(graph, LSTM, params, characters, lengths), rank=3)
    made = session(graph.model())
    tokens = rng.integers(9, size=(2, 5, 6)).astype(np.int32)
    counts = rng.permutation(10).reshape(2, 5).astype(np.int32)
    tokens = np.where(np.arange(6) < counts[..., None], tokens, 10**6).astype(np.int32)
    (found,) = made.run(None, {"characters": tokens, "lengths": counts})
    want = character_encoder(LSTM, params, jnp.asarray(tokens), jnp.asarray(counts))
    assert_close(found, want, TOLERANCE_FLOAT32)
    (found,) = made.run(None, {"characters": tokens[:, :0], "lengths": counts[:, :0]})
    assert np.asarray(found).shape == (2, 0, 8)


@pytest.mark.parametrize("cell", [GRU, LSTM], ids=["gru", "lstm"])
@pytest.mark.parametrize("attention", ["additive", "general", "none"])
def test_decoder_goes_on_step_by_step(cell, attention, rng):
    layers = (Layer(LSTM), Layer(cell, subsample=2))
    model = Seq2Seq(layers, cell, begin=1, end=2, attention=attention)
    params = init_seq2seq(model, jax.random.key(0), 3, 4, num_classes=7, num_tokens=9)
    params = randomised(params, rng, jnp.float32)
    source = rng.integers(9, size=(3, 5)).astype(np.int32)
    lengths = np.array([5, 0, 2], np.int32)
    target = rng.integers(7, size=(3, 4)).astype(np.int32)
    graphs = Graph(), Graph()
    add_seq2seq_encoder(graphs[0], model, params)
    add_seq2seq_step(graphs[1], model, params)
    step = session(graphs[1].model())
    known = run(graphs[0].model(), source=source, source_lengths=lengths)
    needed = {one.name for one in step.get_inputs()}
    outputs = [one.name for one in step.get_outputs()]
    scores, weights = [], []
    for tokens in np.concatenate([np.ones((3, 1), np.int32), target[:, :-1]], axis=1).T:
        feeds = {name: value for name, value in known.items() if name in needed}
        found = dict(zip(outputs, step.run(None, feeds | {"tokens": tokens}), strict=True))
        scores.append(found["logits"])
        weights.append(found.get("weights"))
        known |= {name.removeprefix("next_"): value for name, value in found.items()}
    want = seq2seq(model, params, jnp.asarray(source), jnp.asarray(target), lengths=lengths)
    assert_close(np.stack(scores, axis=1), want[0], TOLERANCE_FLOAT32)
    if attention != "none":
        assert_close(np.stack(weights, axis=1), want[1], TOLERANCE_FLOAT32)


def everything(opset):
    """A graph of most operators that are used anywhere, its feeds, and what it gives."""
    rng = np.random.default_rng(0)
    layers = (
        Layer(LSTM, subsample=2, norm="post"),
        Layer(GRU, merge="mean"),
        Layer(cells.LAYER_NORM_LSTM_BA),
    )
    sizes = {"input_size": D, "hidden_size": H, "num_classes": 4}
    params = init_classifier(layers, jax.random.key(0), **sizes, readout="max")
    params = randomised(params, rng, jnp.float32)
    graph = Graph(opset)
    tokens = graph.input("tokens", np.int32, ["batch", "time"])
    lengths = graph.input("lengths", np.int32, ["batch"])
    embedding = rng.normal(size=(8, D)).astype(np.float32)
    xs = add_embedding(graph, embedding, tokens)
    logits, _ = add_classifier(graph, layers, params, xs, lengths, readout="max")
    graph.output("logits", logits, shape=["batch", 4])
    labels, counts = add_ctc_greedy_decode(graph, xs, lengths)
    graph.output("labels", labels, shape=["batch", "time"], dtype=np.int32)
    graph.output("counts", counts, shape=["batch"], dtype=np.int32)
    best, _ = add_crf_decode(
        graph, randomised(init_crf(num_classes=D), rng, jnp.float32), xs, lengths
    )
    graph.output("best", best, shape=["batch", "time"], dtype=np.int32)
    feeds = {"tokens": rng.integers(8, size=(B, T)).astype(np.int32), "lengths": LENGTHS}
    return graph.model(), feeds


@pytest.fixture(scope="module")
def usual():
    model, feeds = everything(18)
    return model, feeds, run(model, **feeds)


def test_every_opset_computes_the_same(usual):
    _, feeds, want = usual
    for opset in (17, 21, onnx.defs.onnx_opset_version()):
        model, _ = everything(opset)
        assert model.opset_import[0].version == opset
        assert_close(run(model, **feeds), want, TOLERANCE_FLOAT32)
    for opset in (16, onnx.defs.onnx_opset_version() + 1):
        with pytest.raises(ValueError, match=f"opset must be from 17 to .*, got {opset}"):
            Graph(opset)


def test_model_of_fixed_sizes_computes_the_same(usual):
    model, feeds, want = usual
    fixed = with_sizes(model, batch=B, time=T)
    inputs = onnxruntime.InferenceSession(fixed.SerializeToString()).get_inputs()
    assert [one.shape for one in inputs] == [[B, T], [B]]
    assert_close(run(fixed, **feeds), want, TOLERANCE_FLOAT32)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    shapes = {
        one.name: [dim.dim_value for dim in one.type.tensor_type.shape.dim]
        for one in fixed.graph.output
    }
    assert shapes == {"logits": [B, 4], "labels": [B, T], "counts": [B], "best": [B, T]}
    with pytest.raises(ValueError, match=r"have no size 'length'; they have batch, time\."):
        with_sizes(model, length=3)
    with pytest.raises(ValueError, match="time must be at least 1, got 0"):
        with_sizes(model, time=0)


@pytest.mark.filterwarnings("ignore")
def test_weights_of_8_bits_are_close_and_smaller(rng):
    layers = (Layer(LSTM),) * 2
    params = random_params(layers, rng, hidden_size=64, dtype=jnp.float32)
    xs = rng.normal(size=(B, T, D)).astype(np.float32)
    model = stack_to_onnx(layers, params)
    small = quantized(model)
    assert len(small.SerializeToString()) < 0.4 * len(model.SerializeToString())
    lengths = np.minimum(LENGTHS, T)
    found, want = (run(one, xs=xs, lengths=lengths)["ys"] for one in (small, model))
    assert 0 < np.abs(found - want).mean() < 0.02
    assert (found[2] == 0).all() and (found[1, 2:] == 0).all()


def test_operation_without_an_operator_is_named(rng):
    def step(params, carry, x):
        h = jnp.sort(carry.h + x @ params.w_x)
        return carry._replace(h=h), h

    layers = (Layer(OURS._replace(step=step)),)
    params = random_params(layers, rng, dtype=jnp.float32)
    with pytest.raises(ValueError, match=r"The operation sort of JAX is not written as ONNX here"):
        stack_to_onnx(layers, params)
