"""Long trainings: does anything grow, and what do long sequences, many words and saves take?

    python -m benchmarks.long_runs steps --picture docs/figures/long_run.png
    python -m benchmarks.long_runs lengths
    python -m benchmarks.long_runs words
    python -m benchmarks.long_runs saves

One JSON line a measurement; `--tiny` is for tests.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

import birnn_jax
from benchmarks._watched import Watched, plot_steps
from birnn_jax import (
    LSTM,
    Layer,
    Total,
    init_train_state,
    make_optimizer,
    make_train_step,
    streaming,
)
from birnn_jax.checkpoint import Checkpoints
from birnn_jax.data import choose_buckets
from experiments.runner.data.batches import Batches
from experiments.runner.run import loop
from experiments.runner.run.folder import RunFolder

_PARTS = 40  # of a long run
_CLASSES = 5


def measure_steps(tiny: bool, picture: pathlib.Path | None) -> Iterator[dict[str, Any]]:
    """A whole run of the runner; memory and time of each of its parts, the first left out."""
    num_steps = 200 if tiny else 20_000
    training = _tagging(num_steps)
    watched = Watched(training.train, num_steps // _PARTS)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.start(pathlib.Path(folder) / "r", experiment="long", settings={}, data={})
        loop.fit(run, dataclasses.replace(training, train=watched), Console(quiet=True))
    steps, seconds, sizes = map(np.array, zip(*watched.samples[2:], strict=True))
    halves = {"first": slice(0, len(steps) // 2), "second": slice(len(steps) // 2, None)}
    yield {"steps": num_steps} | {
        f"{name}_half": {
            "cpu_ms_a_step": round(float(np.median(seconds[half])) * 1e3, 3),
            "resident_MB": round(float(np.median(sizes[half])), 1),
        }
        for name, half in halves.items()
    }
    if picture:
        plot_steps(picture, steps, 1e3 * seconds, sizes)


def measure_lengths(tiny: bool) -> Iterator[dict[str, Any]]:
    """The gradient of one long sequence: all of it, in chunks, and window by window."""
    num_steps, window = (256, 32) if tiny else (32_768, 512)
    xs = np.random.default_rng(0).normal(size=[1, num_steps, 16]).astype("f")
    for residuals in ("gates", "chunked"):
        layers = (Layer(LSTM, residuals=residuals),)
        yield {"steps": num_steps, "gradient": residuals} | _time_gradient(layers, xs)
    layers = (Layer(LSTM, direction="fwd"),)
    yield {"steps": num_steps, "gradient": f"windows of {window}"} | _time_windows(
        layers, xs, window
    )


def measure_words(tiny: bool) -> Iterator[dict[str, Any]]:
    """A step with a table of a million words, and batches of which one row is very long."""
    num_words = 1000 if tiny else 1_000_000
    layers = (Layer(LSTM),)
    key_tagger, key_table, key = jax.random.split(jax.random.key(0), 3)
    optimizer = make_optimizer(1e-3)
    tagger = birnn_jax.init_tagger(
        layers, key_tagger, input_size=32, hidden_size=32, num_classes=_CLASSES
    )
    table = jax.random.normal(key_table, [num_words, 32])
    state = init_train_state({"table": table, "tagger": tagger}, optimizer)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    batch = {"words": np.arange(16 * 32).reshape(16, 32) % num_words, "lengths": np.full(16, 32)}
    step: Any = make_train_step(functools.partial(_word_loss, layers), optimizer)
    compiled = step.lower(state, batch, key).compile()
    yield {
        "words": num_words,
        "state_MB": round(size / 1e6, 1),
        "temporary_MB": _temporary(compiled),
        "seconds_a_step": _seconds(lambda s: compiled(s, batch, key)[0], state),
    }
    lengths = [20] * 1000 + [500 if tiny else 50_000]
    examples = [{"xs": np.zeros([length], np.float32)} for length in lengths]
    batches = Batches(examples, buckets=choose_buckets(lengths, 4), tokens_per_batch=1024)
    shapes = {batches[i]["xs"].shape for i in range(len(batches))}
    yield {"longest_row": max(lengths), "shapes": sorted(map(list, shapes))}


def measure_saves(tiny: bool) -> Iterator[dict[str, Any]]:
    """How long a training waits for a checkpoint, at once and in the background."""
    params = {"w": jnp.ones([10_000 if tiny else 10_000_000])}
    state = init_train_state(params, make_optimizer(1e-3))
    step = jax.jit(lambda state: state._replace(step=state.step + 1))
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    for background in (False, True):
        waits, wholes = [], []
        with tempfile.TemporaryDirectory() as folder:
            with Checkpoints(folder, background=background) as checkpoints:
                for _ in range(3):
                    state = jax.block_until_ready(step(state))
                    start = time.perf_counter()
                    checkpoints.save(state, position={})
                    waits.append(time.perf_counter() - start)
                    checkpoints.wait()
                    wholes.append(time.perf_counter() - start)
        medians = {"waits_s": statistics.median(waits), "whole_s": statistics.median(wholes)}
        rounded = {name: round(value, 4) for name, value in medians.items()}
        yield {"state_MB": round(size / 1e6, 1), "background": background} | rounded


def _tagging(num_steps: int) -> loop.Training:
    """A tagger of rows of several lengths."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 25, size=400)
    examples = [
        {
            "xs": rng.normal(size=[n, 8]).astype("f"),
            "labels": rng.integers(0, _CLASSES, size=n).astype(np.int32),
        }
        for n in lengths
    ]
    batches = functools.partial(
        Batches, examples, buckets=choose_buckets(lengths.tolist(), 3), tokens_per_batch=256
    )
    per_epoch = batches().per_epoch
    layers = (Layer(LSTM),)
    return loop.Training(
        loss_fn=functools.partial(_loss, layers),
        optimizer=make_optimizer(1e-3, clip_norm=1.0),
        init_params=lambda key: birnn_jax.init_tagger(
            layers, key, input_size=8, hidden_size=16, num_classes=_CLASSES
        ),
        train=batches(epochs=-(-num_steps // per_epoch), seed=0),
        dev=batches(),
        steps_per_evaluation=max(10, num_steps // 20),
        patience=10**9,
        seed=0,
        score=lambda means: -means["loss"],
    )


def _loss(layers: Any, params: Any, batch: Any, key: Any) -> dict[str, Total]:
    del key
    mask = jnp.arange(batch["xs"].shape[1])[None] < batch["lengths"][:, None]
    logits = birnn_jax.tagger(layers, params, batch["xs"], batch["lengths"])
    return {"loss": birnn_jax.cross_entropy(logits, batch["labels"], mask)}


def _word_loss(layers: Any, params: Any, batch: Any, key: Any) -> dict[str, Total]:
    xs = params["table"][batch["words"]]
    labels = batch["words"] % _CLASSES
    batch = {"xs": xs, "labels": labels, "lengths": batch["lengths"]}
    return _loss(layers, params["tagger"], batch, key)


def _time_gradient(layers: Any, xs: np.ndarray) -> dict[str, Any]:
    params = birnn_jax.init_stack(layers, jax.random.key(0), input_size=16, hidden_size=64)
    grad = jax.jit(jax.grad(lambda params, xs: birnn_jax.stack(layers, params, xs)[1].sum()))
    compiled = grad.lower(params, xs).compile()
    return {
        "temporary_MB": _temporary(compiled),
        "seconds": _seconds(lambda xs: compiled(params, xs), xs),
    }


def _time_windows(layers: Any, xs: np.ndarray, window: int) -> dict[str, Any]:
    """Truncated back-propagation: one compiled step, one carry."""
    params = birnn_jax.init_stack(layers, jax.random.key(0), input_size=16, hidden_size=64)
    carry = streaming.initial_carry(layers, params, 1)

    def loss(params: Any, xs: Any, carry: Any) -> Any:
        carry, ys = birnn_jax.stack(layers, params, xs, initial_carry=carry)
        return ys.sum(), jax.lax.stop_gradient(carry)

    compiled = jax.jit(jax.grad(loss, has_aux=True)).lower(params, xs[:, :window], carry).compile()

    def whole(xs: np.ndarray) -> Any:
        last, grads = carry, None
        for start in range(0, xs.shape[1], window):
            grads, last = compiled(params, xs[:, start : start + window], last)
        return grads

    return {"temporary_MB": _temporary(compiled), "seconds": _seconds(whole, xs)}


def _temporary(compiled: Any) -> float:
    return round(compiled.memory_analysis().temp_size_in_bytes / 1e6, 2)


def _seconds(function: Any, argument: Any) -> float:
    """Of the second call."""
    result = jax.block_until_ready(function(argument))
    argument = result if isinstance(result, birnn_jax.TrainState) else argument
    start = time.perf_counter()
    jax.block_until_ready(function(argument))
    return round(time.perf_counter() - start, 3)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Long trainings.")
    parser.add_argument("what", choices=["steps", "lengths", "words", "saves"])
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--picture", type=pathlib.Path)
    options = parser.parse_args()
    measures = {"lengths": measure_lengths, "words": measure_words, "saves": measure_saves}
    if options.what == "steps":
        found = measure_steps(options.tiny, options.picture)
    else:
        found = measures[options.what](options.tiny)
    for line in found:
        print(json.dumps({"measure": options.what} | line), flush=True)


if __name__ == "__main__":
    main()
