"""Checkpoints of PyTorch as they are found: wrapped, nested, in files, beside other things."""

import argparse
import collections
import json
import os
import pathlib

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn.utils import prune, weight_norm

from birnn_jax import GRU, Layer
from birnn_jax.interop.torch import from_torch

from ._stacks import EXACT, D, H, assert_close
from ._torch_warnings import OF_OLDER_PARTS

pytestmark = OF_OLDER_PARTS


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(3, D)
        self.encoder = nn.ModuleDict({"rnn": nn.GRU(D, H, 2, bidirectional=True)})
        self.head = nn.Linear(2 * H, 2)


def lightning(model):
    extras = {"best": np.float64(0.5), "args": argparse.Namespace(folder=pathlib.Path("runs"))}
    weights = {f"model.{key}": tensor for key, tensor in model.state_dict().items()}
    return {"epoch": 3, "state_dict": weights, "hyper_parameters": extras}


def with_optimizer(model):
    optimizer = torch.optim.Adam(model.parameters())
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    states = {
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
    }
    return states | {"loss": torch.tensor(0.5), "losses": np.arange(3.0)}


SOURCES = {
    "module": lambda model: model,
    "state dict": lambda model: model.state_dict(),
    "DataParallel": nn.DataParallel,
    "DataParallel, a dict": lambda model: nn.DataParallel(model).state_dict(),
    "compile": torch.compile,
    "compile, a dict": lambda model: torch.compile(model).state_dict(),
    "both": lambda model: nn.DataParallel(torch.compile(model)).state_dict(),
    "with the optimizer": with_optimizer,
    "lightning": lightning,
}


@pytest.mark.parametrize("prefix", ["", "rnn", "rnn.", "encoder.rnn", "encoder.rnn."])
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_only_recurrent_module_is_found_under_any_prefix(source, prefix):
    model = Tagger()
    found = source(model)
    layers, params = from_torch(found, prefix=prefix)
    want_layers, want = from_torch(model.encoder["rnn"])
    assert layers == want_layers == (Layer(GRU),) * 2
    assert_close(params, want, EXACT)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("source", [with_optimizer, lightning])
def test_files_of_training_loops_are_read_without_running_their_code(source, legacy, tmp_path):
    model = Tagger()
    path = tmp_path / "last.ckpt"
    torch.save(source(model), path, _use_new_zipfile_serialization=not legacy)
    assert_close(from_torch(path)[1], from_torch(model)[1], EXACT)
    safetensors.torch.save_file(nn.DataParallel(model).state_dict(), tmp_path / "weights.bin")
    assert_close(from_torch(tmp_path / "weights.bin")[1], from_torch(model)[1], EXACT)


def test_prefix_leaves_out_wrappers_in_the_middle():
    model = nn.ModuleDict({"a": nn.Sequential(torch.compile(nn.GRU(D, H))), "b": nn.GRU(D, H)})
    assert_close(from_torch(model, prefix="a.0")[1], from_torch(model["a"][0])[1], EXACT)
    with pytest.raises(ValueError, match=r"'a.0._orig_mod', 'b'\], of which prefix='' names 2"):
        from_torch(model)


def test_torchscript_is_read_in_memory_and_told_in_a_file(tmp_path):
    module = nn.GRU(D, H)
    torch.jit.save(torch.jit.script(module), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt is a TorchScript program.*torch\.jit\.load"):
        from_torch(tmp_path / "model.pt")
    loaded = torch.jit.load(tmp_path / "model.pt")
    assert_close(from_torch(loaded)[1], from_torch(module)[1], EXACT)


def test_exported_programs_are_told_and_their_state_dict_read(tmp_path):
    module = nn.Sequential(nn.GRU(D, H))
    program = torch.export.export(module, (torch.zeros(2, 3, D),))
    torch.export.save(program, tmp_path / "model.pt2")
    with pytest.raises(ValueError, match=r"model\.pt2 is a program of torch\.export"):
        from_torch(tmp_path / "model.pt2")
    state_dict = torch.export.load(tmp_path / "model.pt2").state_dict
    assert_close(from_torch(state_dict)[1], from_torch(module)[1], EXACT)


class Code:
    def __init__(self, function=print):
        self.function = function

    def __reduce__(self):
        return self.function, ("echo must not run",)


@pytest.mark.parametrize("code", [Code(), Code(os.system), {Code(): 3}], ids=["", "os", "key"])
def test_code_in_a_file_is_not_run(code, tmp_path, capfd):
    gru = nn.GRU(D, H)
    torch.save({"weights": gru.state_dict(), "more": code}, tmp_path / "model.pt")
    if isinstance(code, Code) and code.function is os.system:
        with pytest.raises(ValueError, match=r"model\.pt holds a posix\.system, .*its code"):
            from_torch(tmp_path / "model.pt")
    else:
        assert_close(from_torch(tmp_path / "model.pt")[1], from_torch(gru)[1], EXACT)
    assert capfd.readouterr().out == ""


def test_files_whose_code_makes_the_containers_are_refused_with_what_to_save(tmp_path):
    gru, path = nn.GRU(D, H), tmp_path / "model.pt"
    refused = r"model\.pt holds a {}, .* torch\.save\(model\.state_dict\(\), path\)"
    torch.save(collections.defaultdict(list, gru.state_dict()), path)
    with pytest.raises(ValueError, match=refused.format("collections.defaultdict")):
        from_torch(path)
    torch.save(gru, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=refused.format("torch.nn.modules.rnn.GRU")):
        from_torch(path)


WHOLE = {
    "layer": lambda: nn.GRU(D, H, 2, bidirectional=True),
    "model": Tagger,
    "wrapped": lambda: nn.DataParallel(nn.Sequential(nn.GRU(D, H), nn.ReLU())),
    "relu": lambda: nn.ModuleDict({"rnn": nn.RNN(D, H, nonlinearity="relu")}),
    "cell": lambda: nn.RNNCell(D, H, nonlinearity="relu"),
    "pruned": lambda: prune.random_unstructured(nn.GRU(D, H), "weight_hh_l0", 0.4),
    "normed": lambda: nn.Sequential(weight_norm(nn.GRU(D, H), "weight_hh_l0")),
    "beside others": lambda: {"model": Tagger(), "optimizer": torch.optim.SGD, "epoch": 3},
}


@pytest.mark.parametrize("make", WHOLE.values(), ids=WHOLE.keys())
def test_whole_modules_in_files_are_read_without_their_classes(make, tmp_path, monkeypatch):
    model = make()
    torch.save(model, tmp_path / "model.pt")
    want = from_torch(model)
    monkeypatch.delattr(f"{__name__}.Tagger")
    got = from_torch(tmp_path / "model.pt")
    assert got[0] == want[0]
    assert_close(got[1], want[1], EXACT)


@pytest.mark.parametrize("ending", ["bin", "safetensors"])
def test_checkpoints_in_several_files_are_read_by_their_index(ending, tmp_path):
    model = Tagger()
    items = list(model.state_dict().items())
    names = [f"model-0000{n}-of-00003.{ending}" for n in (1, 2, 3)]
    shards = [dict(items[:4]), dict(items[4:-2]), dict(items[-2:])]
    for name, shard in zip(names, shards, strict=True):
        save = torch.save if ending == "bin" else safetensors.torch.save_file
        save(shard, tmp_path / name)
    (tmp_path / names[2]).unlink()  # in which nothing is that is asked for
    index = {key: n for n, shard in zip(names, shards, strict=True) for key in shard}
    path = tmp_path / f"model.{ending}.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": index}))
    assert_close(from_torch(path, prefix="rnn")[1], from_torch(model)[1], EXACT)
    with pytest.raises(ValueError, match=f"{names[0]}: .*missing"):
        from_torch(tmp_path / names[0])
    path.write_text(path.read_text().replace("weight_ih_l0", "extra"))
    with pytest.raises(ValueError, match=r"index\.json: .*surplus 'extra'"):
        from_torch(path)
    (tmp_path / names[1]).unlink()
    with pytest.raises(FileNotFoundError, match=names[1]):
        from_torch(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_truncated_files_are_told(legacy, tmp_path):
    path = tmp_path / "model.pt"
    torch.save(nn.GRU(D, H).state_dict(), path, _use_new_zipfile_serialization=not legacy)
    content = path.read_bytes()
    for length in [0, 1, 9, 100, len(content) // 2, len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"model\.pt (is (empty|damaged|no |of an unk)|: )"):
            from_torch(path)
