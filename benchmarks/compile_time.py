"""How long a training step of a CRF tagger compiles: `python -m benchmarks.compile_time --help`.

For each shape the CPU seconds that tracing, lowering and compiling take, in one process, after a
first shape that is not counted. Nothing is run.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from birnn_jax import LSTM, Layer, init_train_state, make_optimizer, make_train_step
from birnn_jax.heads import tag_constraints
from birnn_jax.models import crf_tagger, crf_tagger_loss, init_crf_tagger
from birnn_jax.training import quick_compilation

TAGS = ("O", *(f"{part}-{kind}" for kind in "ABCDEF" for part in "BI"))


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a row for each shape, and their mean."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compile_time",
        description="Measure how long a training step compiles: a tagger with a CRF, dropout and "
        "Adam with clipping.",
    )
    parser.add_argument("--layers", type=int, default=1, help="of LSTM, in both directions")
    parser.add_argument("--size", type=int, default=100, help="of words and states")
    parser.add_argument("--words", type=int, default=4000, help="in the vocabulary")
    parser.add_argument(
        "--steps",
        type=int,
        nargs="+",
        default=[8, 12, 16, 20, 24, 32, 40],
        help="of each shape; rows fill 512 words",
    )
    parser.add_argument("--quick", action="store_true", help="with `quick_compilation`")
    options = parser.parse_args(argv)
    seconds = []
    print("rows, steps: trace + lower + compile, CPU seconds")
    for num_steps in options.steps:
        rows = 512 // num_steps
        parts = measure(rows, num_steps, options)
        seconds.append(sum(parts))
        print(f"{rows}, {num_steps}: " + " + ".join(f"{part:.2f}" for part in parts))
    later = seconds[1:] or seconds
    print(f"mean without the first: {sum(later) / len(later):.2f}")


def measure(rows: int, num_steps: int, options: Any) -> tuple[float, float, float]:
    """CPU seconds of tracing, lowering and compiling the step for one shape."""
    layers = (Layer(LSTM),) * options.layers
    allowed = tag_constraints(TAGS, scheme="BIO")
    optimizer = make_optimizer(1e-3, clip_norm=1.0)

    def loss_fn(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Any]:
        words, labels, lengths = batch
        logits = crf_tagger(layers, params, words, lengths, dropout=0.4, key=key)
        return {"loss": crf_tagger_loss(params, logits, labels, lengths, allowed=allowed)}

    def init(key: jax.Array) -> Any:
        sizes = {"input_size": options.size, "hidden_size": options.size}
        params = init_crf_tagger(
            layers, key, **sizes, num_classes=len(TAGS), num_tokens=options.words
        )
        return init_train_state(params, optimizer)

    key = jax.random.key(0)
    state = jax.eval_shape(init, key)
    numbers = jax.ShapeDtypeStruct((rows, num_steps), jnp.int32)
    batch = numbers, numbers, jax.ShapeDtypeStruct((rows,), jnp.int32)
    compiler_options = quick_compilation() if options.quick else None
    step: Any = make_train_step(loss_fn, optimizer, compiler_options=compiler_options)
    times = [time.process_time()]
    traced = step.trace(state, batch, key)
    times.append(time.process_time())
    lowered = traced.lower()
    times.append(time.process_time())
    lowered.compile()
    times.append(time.process_time())
    first, second, third, last = times
    return second - first, third - second, last - third


if __name__ == "__main__":
    main()
