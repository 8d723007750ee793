"""Random stacks on random batches, values and gradients, against the loops in float64.

    python tests/library fuzz                 10,000 cases from a seed that it prints
    python tests/library fuzz --seed 7 --first 31 --cases 50    what failed, once more

A program is a stack with its options, its sizes and its dtype: compiled once, and run on `_CASES`
draws of parameters, carries, inputs and lengths. Of gradients, the derivative in one random
direction, of everything at once, is compared with central differences of the loops.
"""

import argparse
import contextlib
import dataclasses
import functools
import math
import secrets
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import ELMAN, GRU, LSTM, Bi, Layer, Mask, Segments, init_stack, stack
from birnn_jax.cells import COUPLED_LSTM, GRU_RESET_BEFORE, MINGRU, MINLSTM, PEEPHOLE_LSTM, parallel
from tests.library import _layer_oracles, _oracles
from tests.library import _variant_oracles as _variants

_CASES = 50  # of a program
_STEPS = {
    ELMAN: _oracles.elman_step,
    GRU: _oracles.gru_step,
    LSTM: _oracles.lstm_step,
    GRU_RESET_BEFORE: _variants.gru_reset_before_step,
    PEEPHOLE_LSTM: _variants.peephole_lstm_step,
    COUPLED_LSTM: _variants.coupled_lstm_step,
    MINGRU: _variants.mingru_step,
    parallel(MINLSTM): _variants.minlstm_step,
}
_TOLERANCES = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 6e-2}  # of the largest value


@dataclasses.dataclass(frozen=True)
class Program:
    """All that is compiled into one function."""

    layers: tuple[Layer, ...]
    sizes: tuple[Any, ...]
    batch_size: int
    num_steps: int
    input_size: int
    dtype: str
    visits: str


def draw_program(rng: np.random.Generator) -> Program:
    """A program; none has rows, steps or sizes of one number by chance only."""
    dtype = str(rng.choice(["float32", "float32", "float64", "bfloat16"]))
    visits = str(rng.choice(["none", "lengths", "lengths", "mask", "segments"]))
    layers, sizes, input_size = [], [], int(rng.integers(1, 4))
    size = input_size
    for _ in range(rng.choice([1, 1, 2, 3])):
        layer, hidden = _draw_layer(rng, size, visits, dtype)
        try:
            params = jax.eval_shape(
                functools.partial(init_stack, [layer], input_size=size, hidden_size=[hidden]),
                jax.random.key(0),
            )
        except ValueError:  # a connection that does not fit
            layer = dataclasses.replace(layer, connection="none")
            params = jax.eval_shape(
                functools.partial(init_stack, [layer], input_size=size, hidden_size=[hidden]),
                jax.random.key(0),
            )
        _, ys = jax.eval_shape(
            functools.partial(stack, [layer]), params, jax.ShapeDtypeStruct((1, 6, size), "float32")
        )
        size = ys.shape[-1]
        layers.append(layer)
        sizes.append(hidden)
    return Program(
        layers=tuple(layers),
        sizes=tuple(sizes),
        batch_size=int(rng.choice([0, 1, 2, 3], p=[0.06, 0.24, 0.3, 0.4])),
        num_steps=int(rng.choice([0, 1, 2, 5, 6], p=[0.06, 0.24, 0.2, 0.25, 0.25])),
        input_size=input_size,
        dtype=dtype,
        visits=visits,
    )


def _draw_layer(rng: np.random.Generator, size: int, visits: str, dtype: str) -> Any:
    cells = list(_STEPS)
    direction = str(rng.choice(["both", "both", "fwd", "bwd"]))
    cell: Any = cells[rng.integers(len(cells))]
    hidden: Any = int(rng.integers(1, 6))
    options: dict[str, Any] = {}
    if direction == "both":
        options["merge"] = str(rng.choice(list(_oracles.MERGES)))
        if rng.random() < 0.3:
            cell = Bi(cell, cells[rng.integers(len(cells))])
            if options["merge"] == "concat":
                hidden = Bi(hidden, int(rng.integers(1, 6)))
    if rng.random() < 0.2 and visits != "segments":
        options["subsample"] = int(rng.integers(2, 4))
        options["subsample_mode"] = str(rng.choice(["concat", "first"]))
    if rng.random() < 0.25:
        options["projection"] = size if rng.random() < 0.5 else int(rng.integers(1, 5))
    if dtype != "bfloat16":  # of few features a norm may blow a rounding up to anything
        options["norm"] = str(rng.choice(["none", "none", "pre", "post"]))
    options["connection"] = str(rng.choice(["none", "none", "residual", "highway"]))
    options["residuals"] = str(rng.choice(["auto", "gates", "states", "chunked"]))
    options["backend"] = str(rng.choice(["auto", "auto", "xla"]))
    options["learned_carry"] = bool(rng.choice(["cell", "cell", "learned"]) == "learned")
    return Layer(cell, direction=direction, **options), hidden


def compile_program(program: Program) -> Any:
    """`(params, xs, visits, carries)` to the outputs and the gradients of `_weigh`."""

    @jax.jit
    def run(params: Any, xs: Any, visits: Any, carries: Any) -> Any:
        def loss(params: Any, xs: Any, carries: Any) -> Any:
            lengths = _as_lengths(program, visits)
            carries, ys = stack(program.layers, params, xs, lengths, initial_carry=carries)
            return _weigh((carries, ys)), (carries, ys)

        return jax.grad(loss, (0, 1, 2), has_aux=True)(params, xs, carries)

    return run


def _as_lengths(program: Program, visits: Any) -> Any:
    kinds = {"none": lambda _: None, "mask": Mask, "segments": Segments}
    return kinds.get(program.visits, lambda lengths: lengths)(visits)


def check_case(program: Program, run: Any, rng: np.random.Generator) -> None:
    """Draws one batch and compares; fails with what differs."""
    params, carries = _draw_arrays(program, rng)
    visits, valid = _draw_visits(program, rng)
    xs = rng.normal(size=[*valid.shape, program.input_size])
    xs = np.asarray(jnp.asarray(xs, program.dtype), np.float64)  # rounded as the parameters are
    padded = jnp.asarray(np.where(valid[..., None], xs, np.nan), program.dtype)
    given = [
        None if layer.learned_carry else carry
        for layer, carry in zip(program.layers, carries, strict=True)
    ]
    grads, (got_carries, got_ys) = run(params, padded, visits, given)
    args = jax.tree.map(_float64, (params, xs, given))
    segments = visits if program.visits == "segments" else None
    oracle = functools.partial(_outputs, program, valid, segments, got_ys.shape)
    want_carries, want_ys = oracle(*args)
    tolerance = _TOLERANCES[program.dtype]
    _compare("outputs", got_ys, want_ys, tolerance)
    for got, want in zip(jax.tree.leaves(got_carries), jax.tree.leaves(want_carries), strict=True):
        _compare("carries", got, want, tolerance)
    if program.dtype == "bfloat16" or 0 in valid.shape:
        return
    np.testing.assert_array_equal(np.asarray(grads[1])[~valid], 0)
    direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), args)
    direction[1][~valid] = 0
    slope = sum(
        np.vdot(_float64(grad), one)
        for grad, one in zip(jax.tree.leaves(grads), jax.tree.leaves(direction), strict=True)
    )
    scale = 1 + sum(np.abs(_float64(grad)).sum() for grad in jax.tree.leaves(grads))
    epsilon = 1e-6
    ends = [
        _weigh(oracle(*jax.tree.map(lambda a, d, e=e: a + e * d, args, direction)))
        for e in (epsilon, -epsilon)
    ]
    want = (ends[0] - ends[1]) / (2 * epsilon)
    assert abs(slope - want) <= max(tolerance, 1e-6) * scale, ("gradient", slope, want, scale)


@functools.lru_cache(maxsize=2)
def _shapes(program: Program) -> Any:
    """Of the parameters and of the carries."""
    init = functools.partial(
        init_stack, program.layers, input_size=program.input_size, hidden_size=program.sizes
    )
    params = jax.eval_shape(init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, program.dtype), params)
    shape = (program.batch_size, program.num_steps, program.input_size)
    xs = jax.ShapeDtypeStruct(shape, program.dtype)
    carries, _ = jax.eval_shape(functools.partial(stack, program.layers), params, xs)
    return params, carries


def _draw_arrays(program: Program, rng: np.random.Generator) -> Any:
    def draw(leaf: Any) -> jax.Array:
        return jnp.asarray(0.7 * rng.normal(size=leaf.shape), leaf.dtype)

    params, carries = jax.tree.map(draw, _shapes(program))
    carries = list(carries)
    for i, layer in enumerate(program.layers):
        if layer.learned_carry:
            carries[i] = None
    return params, carries


def _draw_visits(program: Program, rng: np.random.Generator) -> tuple[Any, np.ndarray]:
    """What is given in place of lengths, and which steps are valid."""
    shape = program.batch_size, program.num_steps
    if program.visits == "none":
        return None, np.ones(shape, bool)
    if program.visits == "lengths":
        lengths = rng.integers(0, program.num_steps + 3, size=shape[0]).astype(np.int32)
        return lengths, np.arange(shape[1]) < lengths[:, None]
    if program.visits == "mask":
        valid = rng.random(shape) < rng.random([shape[0], 1])
        return valid, valid
    ids = rng.integers(0, 4, size=shape).astype(np.int32)
    return ids, ids != 0


def _outputs(
    program: Program,
    valid: np.ndarray,
    segments: np.ndarray | None,
    shape: tuple[int, ...],
    params: Any,
    xs: Any,
    carries: Any,
) -> tuple[list[Any], np.ndarray]:
    """Carries `[B, ...]` and outputs `[B, T, S]` from the loops, row by row."""
    ys = np.zeros(shape)
    rows = [
        _row_outputs(
            program,
            valid[b],
            None if segments is None else segments[b],
            params,
            xs[b],
            _row_carries(program, params, carries, b),
            ys[b],
        )
        for b in range(len(valid))
    ]
    if not rows:
        pairs = zip(params, carries, strict=True)
        return [_no_rows(one.initial) if carry is None else carry for one, carry in pairs], ys
    return list(jax.tree.map(lambda *leaves: np.stack(leaves), *rows)), ys


def _row_outputs(program, valid, ids, params, xs, carries, ys):
    """The carries of one row; fills in its outputs."""
    places = np.flatnonzero(valid)
    runs = [places]
    if ids is not None and len(places):
        cuts = np.flatnonzero(np.diff(ids[places])) + 1
        runs = np.split(places, cuts)
    ends = []
    for run in runs:
        end, outputs = _loops(program, params, xs[run], carries)
        ends.append(end)
        subsampled = any(layer.subsample > 1 for layer in program.layers)
        where = np.arange(len(outputs)) if subsampled else run
        if len(outputs):
            ys[where] = outputs
    return [_last(layer, ends[0][i], ends[-1][i]) for i, layer in enumerate(program.layers)]


def _last(layer, first, last):
    """Of several segments, the one that each direction visits last."""
    if layer.direction == "both":
        return Bi(last[0], first[1])
    return first if layer.direction == "bwd" else last


def _loops(program, params, xs, carries):
    steps = []
    for layer in program.layers:
        cells = layer.cells
        pair = tuple(_STEPS[cell] for cell in cells)
        steps.append(pair if layer.direction == "both" else pair[0])
    one = [jax.tree.map(lambda leaf: leaf[None], carry) for carry in carries]
    ((ends, outputs),) = _layer_oracles.stack(
        program.layers, steps, params, xs[None], [len(xs)], one
    )
    return ends, outputs


def _row_carries(program, params, carries, row):
    return [
        one.initial if carry is None else jax.tree.map(lambda leaf: leaf[row], carry)
        for one, carry in zip(params, carries, strict=True)
    ]


def _no_rows(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: np.zeros([0, *leaf.shape]), tree)


def _weigh(tree: Any) -> Any:
    """A scalar to which every entry contributes by another weight, the same in every row."""

    def one(leaf: Any) -> Any:
        weights = np.sin(1.0 + np.arange(math.prod(leaf.shape[1:]))).reshape(leaf.shape[1:])
        return (leaf * weights.astype(leaf.dtype)[None]).sum()

    return sum(one(leaf) for leaf in jax.tree.leaves(tree))


def _compare(what: str, got: Any, want: np.ndarray, tolerance: float) -> None:
    got = _float64(got)
    assert got.shape == want.shape, (what, got.shape, want.shape)
    scale = 1 + np.abs(want).max(initial=0)
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * scale, err_msg=what)
    np.testing.assert_array_equal(got[want == 0], 0, err_msg=f"{what} in padding")


def _float64(leaf: Any) -> np.ndarray:
    return np.asarray(leaf, np.float64)


def _name(program: str, kind: Any, error: BaseException | None, traceback: Any) -> None:
    """Adds the program to an error, which goes on."""
    del kind, traceback
    if error is not None:
        error.add_note(program)


def fuzz(seed: int, cases: int, *, first: int = 0, report: Any = None) -> None:
    """Checks so many cases; a failure names the program that is to be run again."""
    for number in range(first, first - (-cases // _CASES)):
        rng = np.random.default_rng([seed, number])
        with jax.enable_x64(True):
            program = draw_program(rng)
        with contextlib.ExitStack() as exits:
            exits.push(functools.partial(_name, f"Program {number} from seed {seed}: {program}"))
            exits.enter_context(jax.enable_x64(program.dtype == "float64"))
            run = compile_program(program)
            for _ in range(_CASES):
                check_case(program, run, rng)
        if report is not None:
            report(number)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Random stacks against loops in float64.")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    parser.add_argument("--first", type=int, default=0, help="the first program")
    options = parser.parse_args()
    jax.config.update("jax_disable_most_optimizations", True)
    print(f"{options.cases:,} cases from --seed {options.seed}", flush=True)
    start = time.monotonic()

    def report(number: int) -> None:
        if (number + 1) % 10 == 0:
            done = (number + 1 - options.first) * _CASES
            print(f"{done:,} cases, {time.monotonic() - start:.0f} s", flush=True)
            jax.clear_caches()  # or thousands of programs stay

    fuzz(options.seed, options.cases, first=options.first, report=report)
    print(f"All {options.cases:,} cases agree, after {time.monotonic() - start:.0f} s.")


if __name__ == "__main__":
    main()
