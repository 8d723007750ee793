"""What stands on a stack in ONNX graphs: decoders, attention, readers of words, seq2seq."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import GRU, LSTM, Layer, init_classifier, stack
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
    add_crf_decode,
    add_ctc_greedy_decode,
    add_dot_attention,
    add_general_attention,
    add_seq2seq_encoder,
    add_seq2seq_step,
    classifier_to_onnx,
)
from birnn_jax.models import (
    Seq2Seq,
    attention_pool,
    character_encoder,
    init_character_encoder,
    init_seq2seq,
    seq2seq,
)

from ._onnx import LENGTHS, B, batch, run, session
from ._stacks import TOLERANCE_FLOAT32, D, H, assert_close, randomised

TAGS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def chain(kind, rng):
    params = randomised(init_crf(num_classes=len(TAGS)), rng, jnp.float32)
    if kind == "constrained":
        return constrain_crf(params, tag_constraints(TAGS, scheme="BIO"))
    if kind == "forbidden":
        return params._replace(start=params.start.at[1:].set(-jnp.inf))
    if kind in ("start", "end"):  # nothing may stand there
        return params._replace(**{kind: jnp.full(len(TAGS), -jnp.inf)})
    return params


@pytest.mark.parametrize(
    ("kind", "steps"), [("free", 7), ("constrained", 7), ("forbidden", 7), ("start", 7),
                        ("end", 7), ("free", 1), ("free", 0)]
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
    lengths = rng.integers(0, steps + 3, 40).astype(np.int32)
    values = 2 * rng.normal(size=(40, steps, len(TAGS))).astype(np.float32)
    values[np.arange(steps) >= lengths[:, None]] = np.nan
    outputs = run(model, logits=values, lengths=lengths)
    want = crf_decode(params, jnp.asarray(values), lengths)
    np.testing.assert_array_equal(outputs["labels"], want[0])
    assert_close(outputs["scores"], want[1], TOLERANCE_FLOAT32)
    for rows in (0, 1):
        outputs = run(model, logits=values[:rows], lengths=lengths[:rows])
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
    with pytest.raises(ValueError, match="weights=True needs readout='attention', got readout"):
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
