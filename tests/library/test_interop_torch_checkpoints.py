"""State dicts and files of PyTorch as they are found, without PyTorch."""

import io
import json
import struct
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from birnn_jax import ELMAN, GRU, LSTM, Layer
from birnn_jax.interop.safetensors import load as load_safetensors
from birnn_jax.interop.torch import from_torch
from tests.library._golden import load, part
from tests.library.test_interop_files import assert_equal

WEIGHTS = {
    key: array.astype(np.float32) for key, array in part(load("torch_gru"), "weights.").items()
}


def assert_same_stacks(got, want):
    assert got[0] == want[0]
    assert_equal(got[1], want[1])


def under(prefix, weights=WEIGHTS):
    return {prefix + key: array for key, array in weights.items()}


SOURCES = {
    "module": (under("encoder.rnn."), ["", "rnn", "rnn.", "encoder.rnn", "encoder.rnn."]),
    "wrapped": (under("module.encoder._orig_mod.rnn."), ["", "rnn", "encoder.rnn"]),
    "checkpoint": (
        {"epoch": 3, "model_state_dict": under("rnn."), "optimizer": {0: {"exp_avg": np.ones(3)}}},
        ["", "rnn", "model_state_dict.rnn"],
    ),
    "two": (
        under("a.rnn.") | under("b.rnn.", dict.fromkeys(WEIGHTS, np.ones(3))),
        ["a.rnn", "a.rnn."],
    ),
    "the whole": (WEIGHTS, ["", "."]),
}


@pytest.mark.parametrize(
    ("source", "prefix"), [(s, prefix) for s, prefixes in SOURCES.values() for prefix in prefixes]
)
def test_recurrent_module_is_found(source, prefix):
    assert_same_stacks(from_torch(source, prefix=prefix), from_torch(WEIGHTS))


@pytest.mark.parametrize("prefix", ["c", "rnn", "nn", "a", "rnn.weight"])
def test_prefixes_that_name_none_or_several_are_refused(prefix):
    with pytest.raises(ValueError, match=r"prefix='.*' names [02]\. Give prefix as one of"):
        from_torch(under("a.rnn.") | under("b.rnn."), prefix=prefix)


def norm(w, axis):
    return np.sqrt((w.astype(np.float64) ** 2).sum(axis, keepdims=axis is not None))


def spectral(w):
    u, s, v = np.linalg.svd(w.astype(np.float64))
    return u[:, 0], v[0], w / s[0]


def parts_of(kind, name, w, rng):
    """What a state dict has in place of `w`, and the weight that it stands for."""
    g = rng.normal(size=w.shape)
    match kind:
        case "weight_norm":
            norms = norm(w, 1)
            g = rng.normal(size=norms.shape)
            return {f"{name}_g": g, f"{name}_v": w}, w * g / norms
        case "weight_norm of columns":
            norms = norm(w, 0)
            g = rng.normal(size=norms.shape)
            return {f"{name}_g": g, f"{name}_v": w}, w * g / norms
        case "parametrised weight_norm of all":
            start = f"parametrizations.{name}.original"
            return {f"{start}0": np.array(1.5), f"{start}1": w}, w * 1.5 / norm(w, None)
        case "spectral_norm":
            u, v, normed = spectral(w)
            return {f"{name}_orig": w, f"{name}_u": u, f"{name}_v": v}, normed
        case "parametrised spectral_norm of columns":
            v, u, normed = spectral(w)
            start = f"parametrizations.{name}"
            return {f"{start}.original": w, f"{start}.0._u": u, f"{start}.0._v": v}, normed
        case "pruned":
            mask = rng.integers(2, size=w.shape).astype(bool)
            return {f"{name}_orig": w, f"{name}_mask": mask}, np.where(mask, w, 0)
        case "dropped":
            return {f"{name}_raw": w}, w
        case "dropped, with what was dropped last":
            return {f"{name}_raw": w, name: 3 * w}, w


PARTS = """weight_norm/weight_norm of columns/parametrised weight_norm of all/spectral_norm/
parametrised spectral_norm of columns/pruned/dropped/dropped, with what was dropped last""".replace(
    "\n", ""
).split("/")


@pytest.mark.parametrize("kind", PARTS)
def test_computed_weights_are_resolved(kind):
    rng = np.random.default_rng(0)
    name = "weight_hh_l0_reverse"
    given, meant = parts_of(kind, name, WEIGHTS[name], rng)
    rest = {key: array for key, array in WEIGHTS.items() if key != name}
    layers, (params,) = from_torch(under("rnn.", rest | given))
    _, (want,) = from_torch(WEIGHTS | {name: meant.astype(np.float32)})
    assert layers == (Layer(GRU),)
    np.testing.assert_allclose(params.rnn.bwd.w_h, want.rnn.bwd.w_h, rtol=1e-6)
    assert_equal(params.rnn.fwd, want.rnn.fwd)


def test_dropped_weights_may_be_kept_by_the_module_around():
    rest = {key: array for key, array in WEIGHTS.items() if "weight_hh" not in key}
    raw = {f"{key}_raw": array for key, array in WEIGHTS.items() if "weight_hh" in key}
    source = under("rnns.0.module.", rest) | under("rnns.0.", raw)
    assert_same_stacks(from_torch(source), from_torch(WEIGHTS))


@pytest.mark.parametrize(
    "parts",
    [["_orig"], ["_g"], ["_orig", "_u"], ["_orig", "_mask", "_u", "_v"]],
    ids=" ".join,
)
def test_other_computations_are_refused_with_what_removes_them(parts):
    w = WEIGHTS["weight_hh_l0"]
    source = {key: array for key, array in WEIGHTS.items() if key != "weight_hh_l0"}
    source |= {f"weight_hh_l0{part}": w for part in parts}
    with pytest.raises(ValueError, match=r"make it a plain weight again: torch.nn.utils"):
        from_torch(source)


@pytest.mark.parametrize(("gates", "cell"), [(1, ELMAN), (3, GRU), (4, LSTM)])
def test_cells_are_layers_with_one_direction(gates, cell):
    rng = np.random.default_rng(0)
    shapes = {"weight_ih": (gates * 5, 3), "weight_hh": (gates * 5, 5)}
    shapes |= {"bias_ih": gates * 5, "bias_hh": gates * 5}
    weights = {key: rng.normal(size=shape) for key, shape in shapes.items()}
    layers, params = from_torch(under("decoder.cell.", weights))
    assert layers == (Layer(cell, direction="fwd"),)
    assert_equal(params, from_torch({f"{key}_l0": array for key, array in weights.items()})[1])


def test_big_endian_arrays_are_those_of_their_numbers():
    swapped = {key: array.astype(">f4") for key, array in WEIGHTS.items()}
    assert_same_stacks(from_torch(swapped), from_torch(WEIGHTS))


@pytest.mark.parametrize("dtype", [jnp.float8_e4m3fn, jnp.float8_e5m2, np.int8, np.complex64])
def test_dtypes_in_which_no_cell_computes_are_refused(dtype, tmp_path):
    weights = {key: array.astype(dtype) for key, array in WEIGHTS.items()}
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(weights, path)
    with pytest.raises(
        ValueError, match=rf"model.safetensors: .* are {np.dtype(dtype)}, but cells"
    ):
        from_torch(path)


def zipped(*names):
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, b"")
        return file.getvalue()


header = json.dumps({"a": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}).encode()
FILES = {
    "empty": (b"", "is empty"),
    "text": (b"weights", "is of an unknown kind"),
    "page": (b"\n<!DOCTYPE html>", "is a web page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "JSON": (b'{"weights": {}}', "is a JSON file"),
    "hdf5": (b"\x89HDF\r\n\x1a\n\0", "keras.from_keras reads it"),
    "gzip": (b"\x1f\x8b\x08", "Uncompress it"),
    "array": (b"\x93NUMPY\x01", "by their names"),
    "arrays": (zipped("a.npy", "b.npy"), r"dict\(numpy\.load\(path\)\)"),
    "keras": (zipped("config.json", "model.weights.h5"), "is a model of Keras"),
    "TorchScript": (zipped("m/data.pkl", "m/constants.pkl"), r"torch\.jit\.load"),
    "torch.export": (zipped("m/archive_format", "m/models/model.json"), r"torch\.export\.load"),
    "archive": (zipped("readme.txt"), "is a ZIP archive of something else"),
    "truncated archive": (zipped("m/data.pkl")[:-30], "its end is missing"),
    "truncated safetensors": (struct.pack("<Q", 90) + b'{"a": {', "is damaged"),
    "another dtype": (struct.pack("<Q", len(header)) + header + b"12", "in F4, which neither"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("read", [from_torch, load_safetensors])
def test_files_that_are_not_what_they_should_be_are_named(read, name, tmp_path):
    content, sentence = FILES[name]
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(ValueError, match=rf"model\.bin .*{sentence}"):
        read(tmp_path / "model.bin")


def test_folders_are_told(tmp_path):
    with pytest.raises(ValueError, match="is a folder; from_torch reads"):
        from_torch(tmp_path)
    (tmp_path / ".metadata").write_bytes(b"1")
    with pytest.raises(ValueError, match=r"is a distributed checkpoint .*dcp_to_torch"):
        from_torch(tmp_path)


def test_index_of_nothing_recurrent_is_told(tmp_path):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text('{"weight_map": {"head.weight": "model-00001-of-00002.safetensors"}}')
    with pytest.raises(ValueError, match=r"index\.json: state_dict has no weights of .*head.weig"):
        from_torch(path)
    with pytest.raises(ValueError, match=r"the index of a checkpoint .*from_torch reads it"):
        load_safetensors(path)
    path.write_text('{"weight_map": 3}')
    with pytest.raises(ValueError, match=r"index\.json is damaged"):
        from_torch(path)


@pytest.mark.parametrize("source", [None, 3, [WEIGHTS]], ids=str)
def test_what_is_no_source_is_refused(source):
    with pytest.raises(ValueError, match=r"a module, its state dict or the path .*, got "):
        from_torch(source)
