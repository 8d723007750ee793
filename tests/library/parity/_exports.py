"""Runs that were never trained: random weights and tiny data, ready to be exported."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
from rich.console import Console

from birnn_jax.interop import safetensors
from birnn_jax.interop.stablehlo import deserialize
from experiments.runner.run.folder import RUN_OF_EXPORT, RunFolder
from tests.experiments._commands import command

from ._stacks import TOLERANCE_FLOAT32, assert_close, randomised

SIZES = {"batch": 4, "time": 6, "width": 5}
LENGTHS = [6, 2, 0, 9]  # the last one is more than there are steps


def random_run(experiment, config, path, rng, scale=1.0):
    """A folder as that of an exported model, with random weights; returns its path."""
    path.mkdir(exist_ok=True)
    run = path / RUN_OF_EXPORT
    console = Console(quiet=True)
    prepared = experiment.prepare(config, run, console)
    folder = experiment.start(config, run, prepared.learned)
    for name, write in prepared.files.items():
        write(folder.path / name)
    params = randomised(prepared.training.init_params(jax.random.key(0)), rng, jnp.float32)
    params = jax.tree.map(lambda leaf: scale * leaf, params)
    safetensors.save(path / "model.safetensors", params, {})
    return path


def random_inputs(part, rng, limit, lengths=LENGTHS, missing=False, **sizes):
    """Arrays for the inputs of a part, rows of all kinds of lengths among them."""
    sizes = SIZES | sizes
    made = {}
    for name, (shape, dtype) in part.inputs.items():
        given = [size if size.isdigit() else sizes[size] for size in shape.split(", ") if size]
        shape = [int(size) for size in given]
        if name.endswith("lengths"):
            made[name] = np.array(lengths[: shape[0]], np.int32)
        elif np.dtype(dtype).kind == "i":
            made[name] = rng.integers(0, limit, size=shape).astype(np.int32)
        else:
            made[name] = rng.normal(size=shape).astype(dtype)
            if missing:
                made[name][rng.random(shape) < 0.3] = np.nan
    return made


def check(exported, path, rng, *, limit, tolerance=TOLERANCE_FLOAT32, **sizes):
    """Every graph and every StableHLO file of a folder computes what the model does in JAX."""
    for name, part in exported.parts.items():
        feeds = random_inputs(part, rng, limit, **sizes)
        session = onnxruntime.InferenceSession(path / f"{name}.onnx")
        names = [one.name for one in session.get_outputs()]
        found = dict(zip(names, session.run(None, feeds), strict=True))
        given = {key: jnp.asarray(value) for key, value in feeds.items()}
        want = dict(part.function(given))
        assert {key: value.dtype for key, value in found.items()} == {
            key: value.dtype for key, value in want.items()
        }
        assert_close(found, want, tolerance)
        written = (path / f"{name}.stablehlo").read_bytes()
        assert {*jax.export.deserialize(written).platforms} == {"cpu", "cuda", "tpu"}
        again = deserialize(written)(given)
        assert_close(again, want, tolerance)
        yield name, feeds, found


def export(monkeypatch, module, run, to, *words):
    """Runs the command `export`, and returns what the experiment says of the exported model."""
    *task, module = module.split(" ")[::-1]
    main = importlib.import_module(f"experiments.{module}.__main__")
    arguments = [*task, "export", "--run", run, "--to", to, *words]
    assert command(monkeypatch, main, *arguments) == 0
    exporting = importlib.import_module(".".join(["experiments", module, *task, "export"]))
    return exporting.exported(RunFolder.open(to))
