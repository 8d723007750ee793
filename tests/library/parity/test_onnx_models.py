"""Recurrent nodes of ONNX models: what PyTorch exports, and what ONNX Runtime computes."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from birnn_jax import ELMAN, GRU, LSTM, Bi, Layer, stack
from birnn_jax.cells import COUPLED_LSTM, PEEPHOLE_LSTM, elman
from birnn_jax.interop.onnx import from_onnx, from_onnx_model, stack_to_onnx
from birnn_jax.interop.torch import from_torch

from ._stacks import LENGTHS, TOLERANCE_FLOAT32, B, D, H, T, assert_close, random_params

EXACT = {"rtol": 1e-6, "atol": 1e-7}  # biases are added up in another order
pytestmark = pytest.mark.filterwarnings("ignore")  # the exporters warn of themselves


class First(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.rnn = module

    def forward(self, xs):
        return self.rnn(xs)[0]


def export(module, path, *, dynamo, **options):
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    xs = (torch.randn(T, B, D),)
    torch.onnx.export(First(module).eval(), xs, path, dynamo=dynamo, verbose=False, **options)
    return path


def recurrent(path):
    nodes = onnx.load(path, load_external_data=False).graph.node
    return [node for node in nodes if node.op_type in ("RNN", "GRU", "LSTM")]


OPTIONS = {
    "one": {},
    "stacked both ways": {"bidirectional": True, "num_layers": 2},
    "without bias": {"bias": False, "batch_first": True},
}
MODULES = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn": nn.RNN,
    "relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
}
EXPORTS = [(name, options, False) for name in MODULES for options in OPTIONS]
EXPORTS += [(name, options, True) for name in ("lstm", "gru") for options in OPTIONS]


@pytest.mark.parametrize(("name", "options", "dynamo"), EXPORTS)
def test_modules_that_pytorch_exported_come_in(name, options, dynamo, tmp_path):
    module = MODULES[name](D, H, **OPTIONS[options])
    path = export(module, tmp_path / "model.onnx", dynamo=dynamo)
    nodes = recurrent(path)
    names = [node.name for node in nodes] if len(nodes) > 1 else None
    layers, params = from_onnx_model(path, names)
    want_layers, want = from_torch(module)
    assert layers == want_layers
    assert_close(params, want, EXACT)

    xs = np.random.default_rng(0).normal(size=(B, T, D)).astype(np.float32)
    batch_first = OPTIONS[options].get("batch_first", False)
    inputs = xs if batch_first else xs.transpose(1, 0, 2)
    if batch_first:  # exported for T rows of B steps
        inputs = xs = xs.transpose(1, 0, 2)
    session = onnxruntime.InferenceSession(path)
    (ys,) = session.run(None, {session.get_inputs()[0].name: inputs})
    ys = ys if batch_first else ys.transpose(1, 0, 2)
    assert_close(ys, stack(layers, params, jnp.asarray(xs))[1], TOLERANCE_FLOAT32)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_weights_that_the_graph_computes_are_computed(kind, tmp_path):
    module = kind(D, H, bidirectional=True)
    path = export(module, tmp_path / "model.onnx", dynamo=False, do_constant_folding=False)
    (node,) = recurrent(path)
    assert node.input[1] not in {array.name for array in onnx.load(path).graph.initializer}
    assert_close(from_onnx_model(path)[1], from_torch(module)[1], EXACT)


def test_rnn_that_was_written_step_by_step_is_refused(tmp_path):
    path = export(nn.RNN(D, H), tmp_path / "model.onnx", dynamo=True)
    with pytest.raises(ValueError, match=r"model\.onnx: .* export it with dynamo=False"):
        from_onnx_model(path)


@pytest.fixture(scope="module")
def two_layers():
    layers = (Layer(LSTM, direction="bwd"), Layer(GRU))
    params = random_params(layers, np.random.default_rng(0), dtype=jnp.float32)
    return layers, params, stack_to_onnx(layers, params)


def test_nodes_without_names_go_by_their_outputs(two_layers, tmp_path):
    layers, params, model = two_layers
    onnx.save(model, tmp_path / "model.onnx")
    names = [node.output[0] for node in recurrent(tmp_path / "model.onnx")]
    for source in [model, tmp_path / "model.onnx", str(tmp_path / "model.onnx")]:
        got_layers, got = from_onnx_model(source, names)
        assert got_layers == layers
        assert_close(got, params, EXACT)
    assert_close(from_onnx_model(model, names[1])[1], params[1:], EXACT)
    with pytest.raises(ValueError, match=rf"{names[0]}.* got names=None. Give the names"):
        from_onnx_model(model)
    assert from_onnx_model(model, names[::-1])[0] == layers[::-1]
    with pytest.raises(ValueError, match=r"got names=\['gru'\]"):
        from_onnx_model(model, ["gru"])


def test_node_comes_in_with_the_arrays_of_its_graph(two_layers):
    layers, params, model = two_layers
    arrays = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    (node, _) = [node for node in model.graph.node if node.op_type in ("LSTM", "GRU")]
    got_layers, got = from_onnx(node, arrays)
    assert got_layers == layers[:1]
    assert_close(got, params[:1], EXACT)


def test_peepholes_are_weights_of_the_node():
    layers = (Layer(PEEPHOLE_LSTM),)
    params = random_params(layers, np.random.default_rng(0), dtype=jnp.float32)
    got_layers, got = from_onnx_model(stack_to_onnx(layers, params))
    assert got_layers == layers
    assert_close(got, params, EXACT)


def test_operators_of_other_domains_are_not_those_of_onnx():
    model = model_of("GRU", linear_before_reset=1)
    want = from_onnx_model(model)
    other = helper.make_node("LSTM", ["X", "W", "R"], ["Z"], domain="com.example", hidden_size=H)
    model.graph.node.insert(0, other)
    layers, params = from_onnx_model(model)
    assert layers == want[0]
    assert_close(params, want[1], EXACT)


def model_of(op_type, *, initial=None, initial_c=None, computed=False, **attributes):
    """A model of one operator with `sequence_lens`, and float32 weights that are random."""
    rng = np.random.default_rng(0)
    num_directions = 2 if attributes.get("direction") == "bidirectional" else 1
    rows = {"RNN": 1, "GRU": 3, "LSTM": 4}[op_type] * H
    shapes = {"W": (rows, D), "R": (rows, H), "B": (2 * rows,)}
    arrays = {key: rng.normal(size=(num_directions, *shape)) for key, shape in shapes.items()}
    inputs = ["X", *arrays, "lengths"]
    if initial is not None:
        arrays["initial"] = np.broadcast_to(initial, (num_directions, B, H))
        inputs.append("initial")
    if initial_c is not None:
        arrays["initial_c"] = np.broadcast_to(initial_c, (num_directions, B, H))
        inputs += ["" for _ in range(6 - len(inputs))] + ["initial_c"]
    nodes = [helper.make_node(op_type, inputs, ["Y"], hidden_size=H, **attributes)]
    if computed:
        nodes[0].input[1] = "sum"
        nodes.insert(0, helper.make_node("Add", ["W", "X"], ["sum"]))
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [T, B, D]),
         helper.make_tensor_value_info("lengths", TensorProto.INT32, [B])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.float32(array), key) for key, array in arrays.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


LOWER = ["sigmoid", "tanh", "tanh"]
ATTRIBUTES = {
    "coupled": ("LSTM", {"input_forget": 1}, Layer(COUPLED_LSTM)),
    "lower case": ("LSTM", {"activations": LOWER * 2, "layout": 0}, Layer(LSTM)),
    "two cells": (
        "RNN",
        {"activations": ["Tanh", "Relu"]},
        Layer(Bi(ELMAN, elman(jax.nn.relu))),
    ),
    "no bound": ("GRU", {"clip": float("inf"), "linear_before_reset": 1}, Layer(GRU)),
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_runtime_computes_what_the_cell_does(name):
    op_type, attributes, layer = ATTRIBUTES[name]
    model = model_of(op_type, direction="bidirectional", initial=0.0, **attributes)
    layers, params = from_onnx_model(model)
    assert layers == (layer,)
    xs = np.random.default_rng(1).normal(size=(B, T, D)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feeds = {"X": xs.transpose(1, 0, 2), "lengths": LENGTHS.astype(np.int32)}
    (ys,) = session.run(None, feeds)  # [T, 2, B, H]
    want = stack(layers, params, jnp.asarray(xs), LENGTHS)[1]
    assert_close(ys.transpose(2, 0, 1, 3).reshape(B, T, 2 * H), want, TOLERANCE_FLOAT32)


@pytest.mark.parametrize(
    ("op_type", "states"),
    [("RNN", ["initial"]), ("GRU", ["initial"]), ("LSTM", ["initial", "initial_c"]),
     ("LSTM", ["initial_c"])],
)  # fmt: skip
def test_states_that_are_constant_become_a_learned_carry(op_type, states):
    rng = np.random.default_rng(2)
    given = {name: rng.normal(size=(2, 1, H)) for name in states}
    model = model_of(op_type, direction="bidirectional", **given)
    ((layer,), params) = from_onnx_model(model)
    assert layer.learned_carry
    xs = np.random.default_rng(1).normal(size=(B, T, D)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feeds = {"X": xs.transpose(1, 0, 2), "lengths": LENGTHS.astype(np.int32)}
    (ys,) = session.run(None, feeds)  # [T, 2, B, H]
    want = stack((layer,), params, jnp.asarray(xs), LENGTHS)[1]
    ys = np.asarray(ys).transpose(2, 0, 1, 3).reshape(B, T, 2 * H)
    assert_close(ys, want, TOLERANCE_FLOAT32)


def value_of(name, kind=TensorProto.FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def branch(name, nodes, arrays):
    """A graph of an LSTM that reads X with W, R and B, which `nodes` or `arrays` make."""
    lstm = helper.make_node("LSTM", ["X", "W", "R", "B"], [name], name, hidden_size=H)
    stored = [numpy_helper.from_array(array, key) for key, array in arrays.items()]
    return helper.make_graph([*nodes, lstm], name, [], [value_of(name)], stored)


def unsqueezed(key):
    """`key` from an array of the outermost graph, in a branch of a branch."""
    nodes = [helper.make_node("Unsqueeze", [f"{key}_outside", "axis"], [f"{key}_whole"])]
    inner = helper.make_graph(nodes, "inner", [], [value_of(f"{key}_whole")])
    return helper.make_node("If", ["yes"], [key], then_branch=inner, else_branch=inner)


def test_nodes_of_branches_come_in_by_their_names():
    rng = np.random.default_rng(3)
    shapes = {"W": (1, 4 * H, D), "R": (1, 4 * H, H), "B": (1, 8 * H)}
    first, second = (
        {key: np.float32(rng.normal(size=shape)) for key, shape in shapes.items()} for _ in "12"
    )
    outside = {f"{key}_outside": array[0] for key, array in first.items()}
    outside |= {"axis": np.array([0]), "yes": np.array(True)}
    branches = {
        "then_branch": branch("first", [unsqueezed(key) for key in shapes], {}),
        "else_branch": branch("second", [], second),
    }
    graph = helper.make_graph(
        [helper.make_node("If", ["which"], ["Y"], **branches)],
        "graph",
        [value_of("X", shape=[T, B, D]), value_of("which", TensorProto.BOOL, [])],
        [value_of("Y")],
        [numpy_helper.from_array(array, key) for key, array in outside.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    xs = rng.normal(size=(B, T, D)).astype(np.float32)
    for name, which in (("first", True), ("second", False)):
        (ys,) = session.run(None, {"X": xs.transpose(1, 0, 2), "which": np.array(which)})
        layers, params = from_onnx_model(model, name)
        want = stack(layers, params, jnp.asarray(xs))[1]
        assert_close(np.asarray(ys)[:, 0].transpose(1, 0, 2), want, TOLERANCE_FLOAT32)
    with pytest.raises(ValueError, match=r"nodes .*'first'.*, got names=None"):
        from_onnx_model(model)


def test_states_and_weights_of_other_kinds_are_refused():
    rows = np.arange(B)[:, None]
    for op_type, name, state in (
        ("GRU", "initial_h", {"initial": rows}),
        ("LSTM", "initial_c", {"initial": 0.5, "initial_c": rows}),
    ):
        with pytest.raises(ValueError, match=f"start from an {name} each of their own"):
            from_onnx_model(model_of(op_type, **state))
    with pytest.raises(ValueError, match=r"The weights \['sum'\] of the node 'Y' are computed"):
        from_onnx_model(model_of("GRU", computed=True))
    with pytest.raises(ValueError, match=r"got NodeProto\. from_onnx takes a node"):
        from_onnx_model(model_of("GRU").graph.node[0])


def test_files_of_other_kinds_are_named(tmp_path):
    path = tmp_path / "model.onnx"
    content = model_of("GRU").SerializeToString()
    for broken, match in [
        (b"", "is empty"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file; from_onnx_model reads models of ONNX"),
        (b"weights", "is damaged|is no model"),
        (content[:-9], "is damaged"),
        (content[:3], "is damaged|is no model"),
    ]:
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=rf"model\.onnx .*({match})"):
            from_onnx_model(path)
