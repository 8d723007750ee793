"""Other forms of an ONNX model: every opset, fixed sizes, weights of 8 bits."""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest

from birnn_jax import GRU, LSTM, Layer, cells, init_classifier
from birnn_jax.heads import init_crf
from birnn_jax.interop.onnx import (
    Graph,
    add_classifier,
    add_crf_decode,
    add_ctc_greedy_decode,
    add_embedding,
    quantized,
    stack_to_onnx,
    with_sizes,
)

from ._onnx import LENGTHS, B, run
from ._stacks import TOLERANCE_FLOAT32, D, H, T, assert_close, random_params, randomised


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
