"""Reads tests/library/golden, and gives each file to the converter of its framework."""

import functools
import pathlib
import types

import jax
import jax.numpy as jnp
import numpy as np

import birnn_jax
from birnn_jax import Bi
from birnn_jax.interop.equinox import from_equinox
from birnn_jax.interop.haiku import from_haiku
from birnn_jax.interop.keras import from_keras
from birnn_jax.interop.linen import from_linen
from birnn_jax.interop.nnx import from_nnx
from birnn_jax.interop.onnx import from_onnx
from birnn_jax.interop.torch import from_torch

FOLDER = pathlib.Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))


def load(name):
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def part(arrays, prefix):
    return {key.removeprefix(prefix): one for key, one in arrays.items() if key.startswith(prefix)}


def nest(flat):
    tree = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        functools.reduce(lambda node, name: node.setdefault(name, {}), path, tree)[last] = value
    return tree


def keras_layer(kind, weights, *, merge_mode="concat", go_backwards=False, **settings):
    """As much of a built `Bidirectional` of Keras as a converter sees."""

    def direction(name):
        members = {"name": "cell", "call": None, "get_config": lambda self: settings}
        cell = type(f"{kind}Cell", (), members | part(weights, f"{name}."))()
        return types.SimpleNamespace(name=name, built=True, go_backwards=go_backwards, cell=cell)

    parts = {name: direction(name) for name in ("forward_layer", "backward_layer")}
    return types.SimpleNamespace(name="layer", built=True, merge_mode=merge_mode, **parts)


def equinox_cell(kind, weights):
    sizes = {"hidden_size": weights["weight_hh"].shape[1]}
    sizes |= {"input_size": weights["weight_ih"].shape[1]}
    return type(kind, (), weights | sizes)()


def import_keras(kind, **settings):
    return lambda weights: from_keras(keras_layer(kind, weights, **settings))


def import_equinox(kind):
    return lambda weights: from_equinox(
        [Bi(*(equinox_cell(kind, part(weights, f"{one}.")) for one in ["fwd", "bwd"]))]
    )


def import_onnx(op_type, **attributes):
    return lambda weights: from_onnx(op_type, weights, direction="bidirectional", **attributes)


IMPORTERS = {
    "torch": from_torch,
    "torch_rnn_relu": functools.partial(from_torch, nonlinearity="relu"),
    "linen": lambda weights: from_linen([nest(weights)]),
    "nnx": lambda weights: from_nnx([nest(weights)]),
    "haiku": lambda weights: from_haiku(nest(weights), [Bi("fwd", "bwd")]),
    "keras_simple_rnn": import_keras("SimpleRNN"),
    "keras_gru": import_keras("GRU", reset_after=True),
    "keras_gru_reset_before": import_keras("GRU", reset_after=False),
    "keras_lstm": import_keras("LSTM"),
    "equinox_gru": import_equinox("GRUCell"),
    "equinox_lstm": import_equinox("LSTMCell"),
    "onnx_rnn": import_onnx("RNN"),
    "onnx_gru": import_onnx("GRU", linear_before_reset=1),
    "onnx_gru_reset_before": import_onnx("GRU"),
    "onnx_lstm": import_onnx("LSTM"),
    "onnx_lstm_peephole": import_onnx("LSTM"),
}


def import_weights(name, weights):
    convert = IMPORTERS.get(name) or IMPORTERS[name.split("_")[0]]
    return convert(weights)


def carries(layers, params, arrays, prefix):
    """The states of a file, in the form of the carries of `stack`."""
    made = []
    for index, (layer, one) in enumerate(zip(layers, params, strict=True)):
        slot = f"{prefix}.{index}." if index else f"{prefix}."
        like = layer.cell.init_carry(one.rnn.fwd)
        pair = [
            type(like)(**{n: jnp.asarray(arrays[f"{slot}{d}.{n}"]) for n in like._fields})
            for d in ["fwd", "bwd"]
        ]
        made.append(Bi(*pair))
    return tuple(made)


def run(layers, arrays):
    """Outputs and final states as a function of parameters, inputs and initial states."""

    def of_arrays(params, xs, initial):
        final, ys = birnn_jax.stack(layers, params, xs, arrays["lengths"], initial_carry=initial)
        return ys, final

    return of_arrays


@functools.cache
def results(name):
    """What the library makes of a file: outputs, final states, gradients if the file has some."""
    arrays = load(name)
    layers, params = import_weights(name, part(arrays, "weights."))
    inputs = params, jnp.asarray(arrays["xs"]), carries(layers, params, arrays, "initial")
    if "cotangents.ys" not in arrays:
        return jax.jit(run(layers, arrays))(*inputs), None
    cotangents = carries(layers, params, arrays, "cotangents.final")

    @jax.jit
    def outputs_and_grads(*inputs):
        outputs, pull_back = jax.vjp(run(layers, arrays), *inputs)
        return outputs, pull_back((jnp.asarray(arrays["cotangents.ys"]), cotangents))

    return outputs_and_grads(*inputs)
