"""Attributes of ONNX's operators: what each makes of a cell, and what no cell computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import ELMAN, GRU, LSTM, Bi, Layer, init_stack, stack
from birnn_jax.cells import COUPLED_LSTM, GRU_RESET_BEFORE, elman
from birnn_jax.interop.onnx import from_onnx, to_onnx
from tests.library._golden import load, part
from tests.library.test_interop_files import assert_equal

B, T, D, H = 3, 6, 4, 5


def random_weights(op_type, num_directions, *, peepholes=False):
    rng = np.random.default_rng(0)
    rows = {"RNN": 1, "GRU": 3, "LSTM": 4}[op_type] * H
    shapes = {"W": (rows, D), "R": (rows, H), "B": (2 * rows,)}
    shapes |= {"P": (3 * H,)} if peepholes else {}
    return {key: rng.normal(size=(num_directions, *shape)) for key, shape in shapes.items()}


WRITTEN_OUT = {
    "RNN": [{"activations": ["Tanh"] * 2}, {"activations": [b"tanh", b"TANH"]}],
    "GRU": [{"activations": ["sigmoid", "tanh"] * 2}, {"linear_before_reset": 0}],
    "LSTM": [{"activations": [b"Sigmoid", b"Tanh", b"Tanh"] * 2}, {"input_forget": 0}],
}
FOR_ALL = [
    {"layout": 0},
    {"layout": 1},  # of the inputs and outputs, not of the weights
    {"hidden_size": H},
    {"activations": [], "activation_alpha": [], "activation_beta": []},
    {"clip": None},
    {"clip": float("inf")},
    {"clip": 3.4028234663852886e38},
    {"direction": b"bidirectional"},
]
CASES = [(op_type, one) for op_type, ones in WRITTEN_OUT.items() for one in [*ones, *FOR_ALL]]


@pytest.mark.parametrize(("op_type", "written"), CASES, ids=str)
def test_defaults_may_be_written_out(op_type, written):
    weights = random_weights(op_type, 2)
    got = from_onnx(op_type, weights, **{"direction": "bidirectional"} | written)
    want = from_onnx(op_type, weights, direction="bidirectional")
    assert got[0] == want[0]
    assert_equal(got[1], want[1])


def test_directions_are_texts_or_bytes():
    weights = random_weights("GRU", 1)
    found = [
        from_onnx("GRU", weights, direction=d)[0][0] for d in ["reverse", b"reverse", b"forward"]
    ]
    assert found == [Layer(GRU_RESET_BEFORE, direction=d) for d in ["bwd", "bwd", "fwd"]]


def test_directions_may_have_activations_of_their_own():
    names = [b"Tanh", b"Relu"]
    ((layer,), _) = from_onnx(
        "RNN", random_weights("RNN", 2), direction="bidirectional", activations=names
    )
    assert layer == Layer(Bi(ELMAN, elman(jax.nn.relu)))


GRU_ACTIVATIONS = ["Sigmoid", "Tanh"]
OTHERWISE = ["Sigmoid", "Tanh", "Tanh", "Tanh", "Sigmoid", "Tanh"]
REFUSED = {
    "another order": ("GRU", {"activations": ["Tanh", "Sigmoid"]}, r"have \['sigmoid', 'tanh'\]"),
    "a second sigmoid": ("LSTM", {"activations": ["Sigmoid", "Sigmoid", "Tanh"]}, "in this order"),
    "another order in the second direction": (
        "LSTM",
        {
            "direction": "bidirectional",
            "activations": OTHERWISE,
        },
        r"activations=\['Sigmoid', 'Tanh', 'Tanh', 'Tanh', 'Sigmoid', 'Tanh'\] for 2 direction",
    ),
    "those of one direction for two": (
        "GRU",
        {"direction": "bidirectional", "activations": GRU_ACTIVATIONS},
        "for 2 direction",
    ),
    "those of two directions for one": ("GRU", {"activations": GRU_ACTIVATIONS * 2}, "for 1 dir"),
    "activations of one gate": ("LSTM", {"activations": ["Sigmoid"]}, "in each direction"),
    "HardSigmoid": ("GRU", {"activations": ["HardSigmoid", "Tanh"]}, r"\['HardSigmoid', 'Tanh'\]"),
    "sigmoid in an RNN": ("RNN", {"activations": ["Sigmoid"]}, r"\['tanh'\] or \['relu'\]"),
    "clip": ("LSTM", {"clip": 1.0}, "clip=1.0, which bounds"),
    "clip at zero": ("RNN", {"clip": 0.0}, "clip=0.0, which bounds"),
    "another direction": ("RNN", {"direction": "both"}, "one of forward, reverse, bidirectional"),
    "a misspelt attribute": ("RNN", {"activation": ["Tanh"]}, "no attribute 'activation'. It has"),
    "an attribute of another operator": ("LSTM", {"linear_before_reset": 1}, "LSTM of ONNX has no"),
    "another hidden size": ("GRU", {"hidden_size": H + 1}, "but its input R has 5"),
    "another operator": ("QLinearLSTM", {}, "RNN, GRU and LSTM, got 'QLinearLSTM'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_cell_computes_is_refused(name):
    op_type, attributes, match = REFUSED[name]
    num_directions = 2 if attributes.get("direction") == "bidirectional" else 1
    weights = random_weights(op_type if op_type in WRITTEN_OUT else "LSTM", num_directions)
    with pytest.raises(ValueError, match=match):
        from_onnx(op_type, weights, **attributes)


def test_coupled_gates_with_peepholes_are_refused():
    with pytest.raises(ValueError, match="coupled gates and peepholes"):
        from_onnx("LSTM", random_weights("LSTM", 1, peepholes=True), input_forget=1)


def lstm_with_input_forget(weights, xs):
    """The equations of ONNX, with f = 1 - i."""
    w, r, b = (weights[key][0] for key in "WRB")
    h, c, ys = np.zeros([B, H]), np.zeros([B, H]), []
    for t in range(T):
        a = xs[:, t] @ w.T + h @ r.T + b[: 4 * H] + b[4 * H :]
        i, o, _, g = (a[:, at * H : (at + 1) * H] for at in range(4))
        i, o = 1 / (1 + np.exp(-i)), 1 / (1 + np.exp(-o))
        c = (1 - i) * c + i * np.tanh(g)
        h = o * np.tanh(c)
        ys.append(h)
    return np.stack(ys, axis=1)


def test_coupled_gates_compute_the_equations_of_onnx(x64):
    weights = random_weights("LSTM", 1)
    xs = np.random.default_rng(1).normal(size=(B, T, D))
    layers, params = from_onnx("LSTM", weights, input_forget=1)
    assert layers == (Layer(COUPLED_LSTM, direction="fwd"),)
    ys = stack(layers, params, jnp.asarray(xs))[1]
    np.testing.assert_allclose(ys, lstm_with_input_forget(weights, xs), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("cell", [COUPLED_LSTM, LSTM, GRU], ids=["coupled", "lstm", "gru"])
def test_exported_operator_comes_back(cell):
    layers = (Layer(cell),)
    rng = np.random.default_rng(0)
    params = init_stack(layers, jax.random.key(0), input_size=D, hidden_size=H)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), params)
    op_type, weights, attributes = to_onnx(layers[0], params[0])
    again_layers, again = from_onnx(op_type, weights, **attributes)
    assert again_layers == layers
    assert_equal(again, params)


def test_weights_are_those_of_any_byte_order():
    weights = part(load("onnx_lstm"), "weights.")
    swapped = {key: array.astype(">f8") for key, array in weights.items()}
    got = from_onnx("LSTM", swapped, direction="bidirectional")
    assert_equal(got[1], from_onnx("LSTM", weights, direction="bidirectional")[1])
