"""One file for a model: safetensors with its configuration, and StableHLO by jax.export."""

import importlib
import json
import pkgutil
import re
import struct
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import birnn_jax
from birnn_jax import ELMAN, GRU, LSTM, Bi, Layer, serving
from birnn_jax.cells import PROJECTED_LSTM, LSTMCarry, elman
from birnn_jax.checkpoint import Checkpoints
from birnn_jax.interop.onnx import to_onnx
from birnn_jax.interop.safetensors import load, save
from birnn_jax.interop.stablehlo import Input, deserialize, serialize
from birnn_jax.interop.torch import from_torch, to_torch
from birnn_jax.training import TrainState

B, T, D, H, K = 4, 6, 3, 5, 7
LENGTHS = jnp.array([T, 2, 0, T + 3])
RELU = elman(jax.nn.relu)


def random_like(tree):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), tree)


def make_tagger(*layers):
    params = birnn_jax.init_tagger(
        layers, jax.random.key(0), input_size=D, hidden_size=H, num_classes=K
    )
    return layers, random_like(params)


def assert_equal(got, want):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_model_comes_back_from_its_file_with_its_layers(tmp_path):
    layers, params = make_tagger(
        Layer(Bi(LSTM, GRU)),
        Layer(PROJECTED_LSTM.with_init(projection_size=2), merge="sum"),
        Layer(LSTM, direction="bwd"),
        Layer(GRU, subsample=2, projection=2 * H, connection="highway"),
        Layer(ELMAN, norm="pre", learned_carry=True),
    )
    save(tmp_path / "m.safetensors", params, {"layers": layers, "tags": ["NOUN", "VERB"]})
    loaded = load(tmp_path / "m.safetensors")
    assert_equal(loaded.params, params)
    assert loaded.config == {"layers": list(layers), "tags": ["NOUN", "VERB"]}


def test_layers_and_models_come_back_from_a_file_of_before_their_fields_of_today(tmp_path):
    layers, params = make_tagger(Layer(ELMAN, learned_carry=True), Layer(GRU))
    save(tmp_path / "new.safetensors", params, {"layers": layers})
    with safetensors.safe_open(tmp_path / "new.safetensors", "np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}
        metadata = file.metadata()
    config = metadata["config"]
    for old, new in [('"cell"', "false"), ('"learned"', "true")]:
        config = config.replace(f'"learned_carry": {new}', f'"initial_carry": {old}')
    assert config.count("initial_carry") == 2
    assert metadata["tree"].count('"embedding": null') == 1  # which taggers did not have
    metadata["tree"] = metadata["tree"].replace(', "embedding": null', "")
    path = tmp_path / "old.safetensors"
    safetensors.numpy.save_file(arrays, path, metadata | {"config": config})
    assert load(path).config == {"layers": list(layers)}


def test_classifier_comes_back_with_what_it_has_not(tmp_path):
    params = birnn_jax.init_classifier(
        (Layer(GRU),), jax.random.key(0), input_size=D, hidden_size=H, num_classes=K
    )
    save(tmp_path / "m.safetensors", params, {})
    assert load(tmp_path / "m.safetensors").params.attention is None


def test_any_tree_comes_back(tmp_path):
    class Model(NamedTuple):
        words: jax.Array
        rest: dict

    rest = {"a": [jnp.zeros([2, 3], jnp.bfloat16), ()], "b": jnp.int32(4), "c": None}
    tree = Model(np.arange(6, dtype=np.float32).reshape(2, 3).T, rest)
    save(tmp_path / "m.safetensors", tree, {})
    with pytest.raises(ValueError, match=r"has a Model .*none of that name. Give it in `types`"):
        load(tmp_path / "m.safetensors")
    assert_equal(load(tmp_path / "m.safetensors", types=[Model]).params, tree)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "bfloat16", "complex64", "bool"])
def test_arrays_of_every_dtype_come_back(dtype, tmp_path):
    array = np.random.default_rng(0).normal(size=(2, 3)).astype(jnp.dtype(dtype))
    save(tmp_path / "m.safetensors", {"a": array}, {})
    assert_equal(load(tmp_path / "m.safetensors").params, {"a": array})


def test_big_endian_arrays_come_back_as_their_numbers(tmp_path):
    array = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    save(tmp_path / "m.safetensors", {"a": array.astype(">f4")}, {})
    assert_equal(load(tmp_path / "m.safetensors").params, {"a": array})


@pytest.mark.parametrize("data", [b"", b"no program" * 9, bytes(99)], ids=["none", "text", "zeros"])
def test_data_that_are_no_program_are_told(data):
    with pytest.raises(ValueError, match="data is damaged or of another kind"):
        deserialize(data)


def test_cells_of_ones_own_are_given_names(tmp_path):
    config = {"layers": [Layer(RELU)]}
    with pytest.raises(TypeError, match="has no name"):
        save(tmp_path / "m.safetensors", {}, config)
    save(tmp_path / "m.safetensors", {}, config, cells={"relu": RELU})
    with pytest.raises(ValueError, match="needs the cell 'relu'"):
        load(tmp_path / "m.safetensors")
    assert load(tmp_path / "m.safetensors", cells={"relu": RELU}).config == config


def test_options_that_the_library_does_not_know_are_told_with_the_name_of_the_file(tmp_path):
    path = tmp_path / "m.safetensors"
    save(path, {}, {"layers": [Layer(LSTM)]})
    path.write_bytes(path.read_bytes().replace(b"concat", b"boncat"))
    with pytest.raises(ValueError, match=r"m\.safetensors does not fit: .*'boncat'"):
        load(path)


def test_file_may_be_read_by_those_who_may_read_other_files(tmp_path):
    save(tmp_path / "m.safetensors", {"w": np.arange(3.0)}, {})
    (tmp_path / "other").write_bytes(b"")
    modes = [path.stat().st_mode for path in tmp_path.iterdir()]
    assert len(modes) == 2 and modes[0] == modes[1]


def test_file_is_read_without_the_library(tmp_path):
    layers, params = make_tagger(Layer(LSTM))
    save(tmp_path / "m.safetensors", params, {"layers": layers})
    data = (tmp_path / "m.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    begin, end = header["rnn.0.rnn.bwd.w_h"]["data_offsets"]
    w_h = np.frombuffer(data[8 + size :][begin:end], np.float32).reshape(H, 4 * H)
    np.testing.assert_array_equal(w_h, params.rnn[0].rnn.bwd.w_h)
    config = json.loads(header["__metadata__"]["config"])
    assert config["layers"][0]["birnn_jax.Layer"]["cell"] == {"name": "LSTM", "init": {}}


def test_trees_and_configurations_that_cannot_be_told_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"a dot, got 'a.b'"):
        save(tmp_path / "m.safetensors", {"a.b": jnp.zeros(1)}, {})
    with pytest.raises(TypeError, match="JSON and Layers"):
        save(tmp_path / "m.safetensors", {}, {"optimizer": object()})
    assert list(tmp_path.iterdir()) == []


def test_prepared_parameters_are_refused_wherever_parameters_leave(tmp_path):
    layers, params = make_tagger(Layer(LSTM))
    prepared = serving.prepare(layers, params)
    state = TrainState(jnp.array(0), prepared, ())
    for leave in (
        lambda: save(tmp_path / "m.safetensors", prepared, {"layers": layers}),
        lambda: Checkpoints(tmp_path / "run").save(state, position={}),
        lambda: to_torch(layers, prepared.rnn),
        lambda: to_onnx(layers[0], prepared.rnn[0]),
    ):
        with pytest.raises(ValueError, match="Use the parameters that were given to serving"):
            leave()
    assert not (tmp_path / "m.safetensors").exists()


def test_weights_of_8_bits_are_saved_and_not_converted(tmp_path):
    layers, params = make_tagger(Layer(LSTM))
    small = serving.quantize(layers, params)
    save(tmp_path / "m.safetensors", small, {"layers": layers})
    assert_equal(load(tmp_path / "m.safetensors").params, small)
    with pytest.raises(ValueError, match=r"8 bits cannot be written for other frameworks"):
        to_torch(layers, small.rnn)


def test_weights_of_pytorch_are_read_by_their_converter(tmp_path):
    layers, params = make_tagger(Layer(LSTM))
    safetensors.numpy.save_file(to_torch(layers, params.rnn), tmp_path / "torch.safetensors")
    with pytest.raises(ValueError, match=r"from_torch"):
        load(tmp_path / "torch.safetensors")
    again_layers, again = from_torch(tmp_path / "torch.safetensors")
    assert again_layers == layers
    assert_equal(again, params.rnn)


def test_serialised_prediction_is_free_in_batch_and_time():
    layers, params = make_tagger(Layer(LSTM), Layer(GRU, merge="mean"))

    def predict(xs, lengths):
        return birnn_jax.tagger(layers, params, xs, lengths)

    again = deserialize(serialize(predict, input_size=D))
    for num_rows, num_steps in [(B, T), (1, 1), (2, 11)]:
        xs = jax.random.normal(jax.random.key(1), [num_rows, num_steps, D])
        lengths = LENGTHS[:num_rows]
        np.testing.assert_allclose(again(xs, lengths), predict(xs, lengths), rtol=1e-5, atol=1e-5)


def parameter_types():
    """Every class in the library, wherever it is, but for what imports Flax or Orbax."""
    for _, name, _ in pkgutil.walk_packages(birnn_jax.__path__, "birnn_jax."):
        if not re.search("linen|nnx|checkpoint|training|kernels|__main__|interop", name):
            yield from vars(importlib.import_module(name)).values()


TYPES = {
    value.__name__: value
    for value in parameter_types()
    if isinstance(value, type)
    and issubclass(value, tuple)
    and value.__name__.endswith(("Params", "Carry"))
    and value.__name__ != "PreparedParams"  # which belong to one machine and are not saved
}


@pytest.mark.parametrize("name", [*sorted(TYPES), "Bi", "Mask", "Segments"])
def test_every_type_of_parameters_comes_back_by_itself(name, tmp_path):
    kind = TYPES.get(name) or getattr(birnn_jax, name)
    rng = np.random.default_rng(0)
    sizes = range(1, 1 + len(kind._fields))
    tree = kind(*(jnp.asarray(rng.normal(size=size), jnp.float32) for size in sizes))
    save(tmp_path / "m.safetensors", [tree], {})
    assert_equal(load(tmp_path / "m.safetensors").params, [tree])


class Pair(NamedTuple):
    w: jax.Array  # dicts are in the order of their names, this is not
    b: jax.Array


def test_function_of_any_tree_comes_back_for_any_sizes():
    layers, params = make_tagger(Layer(LSTM, direction="fwd"))

    def step(batch, carry, pair):
        carries, ys = birnn_jax.stack(
            layers, params.rnn, batch["xs"], batch["lengths"], initial_carry=carry
        )
        return carries, (ys @ pair.w + pair.b[None, None]).argmax(axis=-1)

    state = Input(f"batch, {H}")
    inputs = (
        {"xs": Input(f"batch, time, {D}"), "lengths": Input("batch", jnp.int32)},
        (LSTMCarry(h=state, c=state),),
        Pair(w=Input(f"{H}, classes"), b=Input("classes")),
    )
    again = deserialize(serialize(step, *inputs))
    rng = np.random.default_rng(0)
    for rows, steps, classes in ((4, 6, 7), (1, 9, 2)):
        xs, w, h, c, b = (
            jnp.asarray(rng.normal(size=shape), jnp.float32)
            for shape in [(rows, steps, D), (H, classes), (rows, H), (rows, H), (classes,)]
        )
        given = {"xs": xs, "lengths": LENGTHS[:rows]}, (LSTMCarry(h=h, c=c),), Pair(w, b)
        carries, best = step(*given)
        got = again(*given)
        np.testing.assert_allclose(got[0][0]["h"], carries[0].h, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(got[0][0]["c"], carries[0].c, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(got[1], best)
        assert_equal(again(given[0], ({"h": h, "c": c},), {"w": w, "b": b}), got)


def test_inputs_of_a_function_are_told_in_one_way():
    with pytest.raises(ValueError, match="got 0 inputs and input_size=None"):
        serialize(lambda xs: xs)
    with pytest.raises(ValueError, match="got 1 inputs and input_size=3"):
        serialize(lambda xs: xs, Input("batch"), input_size=3)
    with pytest.raises(TypeError, match=r"inputs must hold an Input for each array, got 3\."):
        serialize(lambda xs: xs, {"xs": 3})
