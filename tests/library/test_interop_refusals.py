"""What does not fit is refused in a sentence: what was expected, what came, the likely cause."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import ELMAN, GRU, LSTM, Bi, Layer, init_stack
from birnn_jax.cells import GRU_RESET_BEFORE, MINGRU, PROJECTED_LSTM, GRUCarry, zoneout
from birnn_jax.interop.cudnn import from_cudnn, to_cudnn
from birnn_jax.interop.equinox import from_equinox, to_equinox
from birnn_jax.interop.haiku import from_haiku, to_haiku
from birnn_jax.interop.keras import from_keras
from birnn_jax.interop.linen import from_linen, states_from_linen, to_linen
from birnn_jax.interop.nnx import from_nnx, to_nnx
from birnn_jax.interop.onnx import from_onnx, to_onnx
from birnn_jax.interop.torch import from_torch, states_from_torch, to_torch
from birnn_jax.stacks import LayerParams
from tests.library._golden import keras_layer, load, nest, part

D, H = 3, 5


def weights_of(name):
    return part(load(name), "weights.")


def random_stack(*layers, hidden_size=H):
    params = jax.eval_shape(lambda key: init_stack(layers, key, D, hidden_size), jax.random.key(0))
    rng = np.random.default_rng(0)
    return layers, jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params)


def without(weights, *ends):
    return {key: array for key, array in weights.items() if not key.endswith(ends)}


def with_shape(weights, key, *shape):
    return weights | {key: np.zeros(shape)}


LSTM_L0 = without(weights_of("torch_lstm"), "_reverse")
TWO_LAYERS = weights_of("torch_lstm_two_layers")

TORCH = {
    "one direction in one layer": (
        without(TWO_LAYERS, "l1_reverse"),
        "missing 'weight_ih_l1_reverse'.* Likely cause: another number of directions",
    ),
    "bias in one layer": (
        {key: a for key, a in TWO_LAYERS.items() if not key.startswith("bias") or "l0" in key},
        "missing 'bias_ih_l1'.* Likely cause: biases in some of the layers",
    ),
    "one of two biases": (
        without(LSTM_L0, "bias_hh_l0"),
        "missing 'bias_hh_l0'. Likely cause: biases",
    ),
    "weights of something else": (
        LSTM_L0 | {"head.weight": np.zeros(3)},
        "surplus 'head.weight'. Likely cause: .*parameters of other layers",
    ),
    "two modules": (
        {f"{name}.rnn.{key}": a for name in "ab" for key, a in LSTM_L0.items()},
        r"\['a.rnn', 'b.rnn'\], of which prefix='' names 2. Give prefix as one of \['a.rnn.', 'b",
    ),
    "nothing recurrent": ({"weight": np.zeros(3)}, r"Keys are \['weight'\]"),
    "transposed": (
        LSTM_L0 | {"weight_hh_l0": LSTM_L0["weight_hh_l0"].T},
        r"got \(5, 20\). Likely cause: it is transposed, as in Keras or Flax",
    ),
    "five gates": (
        with_shape(LSTM_L0, "weight_hh_l0", 25, 5),
        r"\[4 H, H\] in an LSTM, got \(25, 5\). Likely cause: another cell",
    ),
    "input weights transposed": (
        with_shape(LSTM_L0, "weight_ih_l0", 3, 20),
        r"'weight_ih_l0' must have shape \(20, 20\), got \(3, 20\)",
    ),
    "bias of another cell": (
        with_shape(LSTM_L0, "bias_ih_l0", 15),
        r"'bias_ih_l0' must have shape \(20,\), got \(15,\). .*another number of gates",
    ),
    "inputs of one direction": (
        with_shape(TWO_LAYERS, "weight_ih_l1", 20, 5),
        r"must have shape \(20, 10\), got \(20, 5\).* another number of directions",
    ),
}


@pytest.mark.parametrize(("weights", "match"), TORCH.values(), ids=TORCH.keys())
def test_state_dicts_that_do_not_fit_are_refused(weights, match):
    with pytest.raises(ValueError, match=match):
        from_torch(weights)


LINEN_GRU, LINEN_LSTM = weights_of("linen_gru"), weights_of("linen_lstm")
NNX_GRU, NNX_LSTM = weights_of("nnx_gru"), weights_of("nnx_optimized_lstm")
HAIKU_LSTM, HAIKU_GRU = weights_of("haiku_lstm"), weights_of("haiku_gru")
ONNX_GRU = weights_of("onnx_gru")

IMPORTS = {
    "linen without a bias": (
        lambda: from_linen([nest(without(LINEN_GRU, "hn.bias"))]),
        "missing 'hn.bias'. Likely cause: biases",
    ),
    "linen with a surplus": (
        lambda: from_linen([nest(LINEN_LSTM | {"forward_rnn.cell.ii.bias": np.zeros(H)})]),
        "surplus 'ii.bias'",
    ),
    "linen given nnx": (
        lambda: from_linen([nest(NNX_LSTM)]),
        "Likely cause: a cell of flax.nnx: from_nnx converts it",
    ),
    "linen of another shape": (
        lambda: from_linen([nest(with_shape(LINEN_GRU, "forward_rnn.cell.hr.kernel", 5, 4))]),
        r"'hr.kernel' must have shape \(5, 5\), got \(5, 4\). Likely cause: weights of a layer of",
    ),
    "nnx given linen": (
        lambda: from_nnx([nest(weights_of("linen_simple"))]),
        "Likely cause: a cell of flax.linen: from_linen converts it",
    ),
    "nnx with the bias of an LSTM on the wrong side": (
        lambda: from_nnx([nest(NNX_GRU | {"forward_rnn.cell.dense_h.bias": np.zeros(15)})]),
        "surplus 'dense_h.bias'. Likely cause: biases",
    ),
    "nnx of other sizes": (
        lambda: from_nnx([nest(with_shape(NNX_GRU, "forward_rnn.cell.dense_h.kernel", 5, 14))]),
        r"'dense_h.kernel' must have shape \(5, 5\), got \(5, 14\)",
    ),
    "haiku under another name": (
        lambda: from_haiku(nest(HAIKU_LSTM), ["lstm"]),
        r"missing '/linear'. Likely cause: the cores are \['bwd', 'fwd'\]",
    ),
    "haiku GRU of another shape": (
        lambda: from_haiku(nest(with_shape(HAIKU_GRU, "fwd.w_h", 5, 20)), ["fwd"]),
        r"a GRU: 'w_h' must have shape \(5, 15\), got \(5, 20\). .*another number of gates",
    ),
    "haiku LSTM without bias": (
        lambda: from_haiku(nest(without(HAIKU_LSTM, ".b")), ["fwd"]),
        "missing 'b'. Likely cause: biases",
    ),
    "keras without its bias": (
        lambda: from_keras(keras_layer("LSTM", without(weights_of("keras_lstm"), "bias"))),
        "LSTM 'layer': missing 'bias'. Likely cause: biases",
    ),
    "keras bias of reset_after=False": (
        lambda: from_keras(
            keras_layer("GRU", weights_of("keras_gru_reset_before"), reset_after=True)
        ),
        r"'bias' must have shape \(2, 15\), got \(15,\). Likely cause: one bias where two",
    ),
    "keras with another activation": (
        lambda: from_keras(keras_layer("LSTM", weights_of("keras_lstm"), activation="relu")),
        "has activation='relu'",
    ),
    "keras with another cell": (
        lambda: from_keras(keras_layer("ConvLSTM1D", weights_of("keras_lstm"))),
        "ConvLSTM1DCell 'layer' cannot be converted; SimpleRNN, GRU, LSTM and their cells can",
    ),
    "keras of two forward directions": (
        lambda: from_keras(keras_layer("LSTM", weights_of("keras_lstm"), go_backwards=True)),
        "the forward layer goes forward",
    ),
    "keras file of another kind": (
        lambda: from_keras(__file__),
        r"test_interop_refusals.py is of an unknown kind; from_keras reads the .keras and .h5 fi",
    ),
    "equinox of another class": (lambda: from_equinox([object()]), "LSTMCell and GRUCell, got obj"),
    "cudnn of another length": (
        lambda: from_cudnn(
            np.zeros(100), input_size=D, hidden_size=H, num_layers=1, bidirectional=False
        ),
        r"must be a vector of 200 for .*got shape \(100,\)",
    ),
    "onnx without R": (
        lambda: from_onnx("GRU", without(ONNX_GRU, "R"), direction="bidirectional"),
        "GRU: missing 'R'",
    ),
    "onnx of one direction": (
        lambda: from_onnx("GRU", ONNX_GRU, linear_before_reset=1),
        r"'R' must have shape \(1, 15, 5\), got \(2, 15, 5\).* another number of directions",
    ),
    "onnx that clips": (
        lambda: from_onnx("GRU", ONNX_GRU, direction="bidirectional", clip=1.0),
        "GRU has clip=1.0, which bounds what goes into its activations",
    ),
    "torch ReLU spelt wrong": (
        lambda: from_torch(weights_of("torch_rnn_relu"), nonlinearity="ReLU"),
        "must be 'tanh' or 'relu', got 'ReLU'",
    ),
    "torch states of another cell": (
        lambda: states_from_torch([Layer(LSTM)], np.zeros([2, 1, H])),
        "The states of LSTM are h and c, got h alone",
    ),
    "flax states of another cell": (
        lambda: states_from_linen([Layer(GRU, direction="fwd")], [(np.zeros(H), np.zeros(H))]),
        "The states of GRU are h alone, got h and c",
    ),
    "states of too few layers": (
        lambda: states_from_linen([Layer(GRU)] * 2, [np.zeros(H)]),
        "one for each layer, got 1 for 2",
    ),
}


@pytest.mark.parametrize(("convert", "match"), IMPORTS.values(), ids=IMPORTS.keys())
def test_imports_that_do_not_fit_are_refused(convert, match):
    with pytest.raises(ValueError, match=match):
        convert()


BOTH_GRUS = "GRU applies the reset gate after the product with w_h, the GRU of Haiku before it"
EXPORTS = {
    "nnx GRU with b_hn": (to_nnx, random_stack(Layer(GRU)), "no bias inside the reset gate"),
    "haiku GRU": (
        lambda *stack: to_haiku(*stack, [Bi("a", "b")]),
        random_stack(Layer(GRU)),
        BOTH_GRUS,
    ),
    "torch GRU reset before": (
        to_torch,
        random_stack(Layer(GRU_RESET_BEFORE)),
        "before the product with w_h, the GRU of torch.nn after it. No weights make them equal",
    ),
    "linen GRU reset before": (to_linen, random_stack(Layer(GRU_RESET_BEFORE)), "flax.linen after"),
    "a cell with noise": (
        to_torch,
        random_stack(Layer(zoneout(LSTM, h=0.1))),
        "torch.nn has no cell that computes the same as",
    ),
    "equinox has no Elman": (to_equinox, random_stack(Layer(ELMAN)), "It has GRU, LSTM"),
    "onnx has no minGRU": (
        lambda layers, params: to_onnx(layers[0], params[0]),
        random_stack(Layer(MINGRU)),
        "ONNX has no cell",
    ),
    "onnx with two sizes": (
        lambda layers, params: to_onnx(layers[0], params[0]),
        random_stack(Layer(GRU), hidden_size=Bi(4, 5)),
        "one cell and one size for both directions",
    ),
    "torch backwards": (to_torch, random_stack(Layer(LSTM, direction="bwd")), "no layer with dir"),
    "torch with a sum": (to_torch, random_stack(Layer(LSTM, merge="sum")), "and merge='sum'"),
    "torch with a connection": (
        to_torch,
        random_stack(Layer(LSTM), Layer(LSTM, norm="post", connection="residual")),
        "one of the layers has more: norm='post', connection='residual'. birnn_jax.interop.stable",
    ),
    "linen with a projection": (to_linen, random_stack(Layer(GRU, projection=4)), "projection=4"),
    "onnx operator with fewer steps": (
        lambda layers, params: to_onnx(layers[0], params[0]),
        random_stack(Layer(GRU, subsample=2, subsample_mode="first")),
        "Only the recurrence .* subsample=2, subsample_mode='first'",
    ),
    "nnx with a learned carry": (
        to_nnx,
        random_stack(Layer(LSTM, learned_carry=True)),
        "learned_carry=True",
    ),
    "torch of two cells": (
        to_torch,
        random_stack(Layer(LSTM), Layer(GRU)),
        "Export the layers one",
    ),
    "cudnn GRU": (to_cudnn, random_stack(Layer(GRU)), "the LSTM of cuDNN and no other cell"),
    "cudnn projection": (
        to_cudnn,
        random_stack(Layer(PROJECTED_LSTM.with_init(projection_size=4))),
        "the LSTM of cuDNN and no other cell",
    ),
    "haiku with one name for two": (
        lambda *stack: to_haiku(*stack, ["a"]),
        random_stack(Layer(LSTM)),
        r"of 2 directions has the names \['a'\]",
    ),
}


@pytest.mark.parametrize(("convert", "stack", "match"), EXPORTS.values(), ids=EXPORTS.keys())
def test_exports_without_a_counterpart_are_refused(convert, stack, match):
    with pytest.raises(ValueError, match=match):
        convert(*stack)


def test_nnx_gru_with_b_hn_of_zero_is_exported():
    layers, (params,) = random_stack(Layer(GRU, direction="fwd"))
    params = LayerParams(params.rnn._replace(b_hn=jnp.zeros(H)))
    assert (to_nnx(layers, [params])[0]["cell"]["dense_i"]["bias"] == params.rnn.b).all()


def test_states_come_in_by_name_not_by_place():
    c, h = np.full([1, H], 1.0), np.full([1, H], 2.0)
    layer = [Layer(LSTM, direction="fwd")]
    (from_flax,), (torch,) = (
        states_from_linen(layer, [(c, h)]),
        states_from_torch(layer, (h[None], c[None])),
    )
    assert (from_flax.c == 1).all() and (torch.c == 1).all()
    assert isinstance(states_from_linen([Layer(GRU, direction="fwd")], [h])[0], GRUCarry)


def test_importing_the_converters_imports_no_framework():
    modules = "torch keras linen nnx haiku equinox cudnn onnx safetensors stablehlo".split()
    code = "import sys\nimport birnn_jax.interop\n"
    code += "".join(f"import birnn_jax.interop.{name}\n" for name in modules)
    code += "print(*{name.split('.')[0] for name in sys.modules})"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = set(result.stdout.split())
    assert "birnn_jax" in loaded
    assert not loaded & {*modules, "flax", "h5py", "orbax"}
