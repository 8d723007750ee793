"""Compares every backend that is active here with the equations in float64.

    python -m birnn_jax.selfcheck
    python -m birnn_jax.selfcheck --cases 20 --seed 7

Random cases of all cells that have fast paths, in both directions, values and gradients: lengths,
gaps or segments, with noise and without. Prints the worst errors; the exit status is 1 if one is
above what float32 explains. The native kernels are run with every instruction set of this CPU, and
in float64.
"""

import argparse
import functools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._core.types import Bi, Cell
from .._recurrence.backends import BACKENDS, CPU_KERNEL, BackendName, backends
from .._recurrence.bidirectional import bidirectional, init_bidirectional
from .._recurrence.directions import RESIDUALS, ResidualsName
from ..cells import SLSTMCarry
from ..kernels.cpu import library
from . import loops
from .cases import Settings, draw_settings
from .cells import CELLS, FAST, HEADS, NORMED, STEPS

LIMIT, LIMIT_64 = 2e-5, 1e-11  # of float32 and float64
# Around the widths of vectors, where the remainders are.
SIZES = (1, 7, 15, 16, 17, 31, 33)


class _Case(NamedTuple):
    """The arguments of one comparison, and what the equations give in float64.

    The derivative is that of a weighted sum of all outputs, along one random direction for each
    array of the inputs: an error in any entry of a gradient is seen.
    """

    inputs: Any  # (params, xs, carry)
    settings: Settings
    residuals: ResidualsName
    weights: Any
    outputs: Any
    directions: list[np.ndarray]
    slopes: list[float]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the comparison and prints its table; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m birnn_jax.selfcheck",
        description="Compare every backend, and every instruction set of the native kernels that "
        "this processor has, with the equations in float64.",
        epilog="The environment variable BIRNN_JAX_ISA (avx512, avx2 or baseline) chooses the "
        "instruction set of the native kernels everywhere else.",
    )
    parser.add_argument("--cases", type=int, default=3, help="random cases of each cell")
    parser.add_argument("--seed", type=int, help="that of another run, to repeat it")
    args = parser.parse_args(argv)
    seed = int(np.random.default_rng().integers(2**31)) if args.seed is None else args.seed
    print(f"{backends()}\n\nseed {seed}, cases of each cell: {args.cases}")
    print(f"limit {LIMIT:.0e}, of float64 {LIMIT_64:.0e}\n")
    print(f"{'backend':20}  {'cell':19}  {'values':>9}  {'gradients':>9}")
    wrong = 0
    for name in CELLS:
        rng = np.random.default_rng(seed)
        cases = [_draw_case(name, rng) for _ in range(args.cases)]
        for label, backend, variant in _list_variants(name):
            with variant:
                errors = np.max([_compare(backend, case) for case in cases], axis=0)
            wrong += _print_row(label, name, errors, LIMIT)
        if runs_float64(name):
            with jax.enable_x64(True):
                errors = np.array(_compare("cpu_kernel", _draw_case(name, rng, dtype=np.float64)))
            wrong += _print_row("cpu_kernel float64", name, errors, LIMIT_64)
    print(f"\n{wrong} of these rows are wrong." if wrong else "\nAll agree.")
    return int(wrong > 0)


def runs_float64(name: str) -> bool:
    """Whether native kernels for float64 compute a cell here."""
    is_compared = CPU_KERNEL in BACKENDS and name in FAST[CPU_KERNEL.name]
    return is_compared and CPU_KERNEL.status().available and library.has_float64()


def _print_row(label: str, name: str, errors: np.ndarray, limit: float) -> bool:
    """True if something is wrong."""
    is_wrong = not (errors <= limit).all()  # NaN is wrong too
    values, gradients = errors
    mark = "  WRONG" if is_wrong else ""
    print(f"{label:20}  {name:19}  {values:9.1e}  {gradients:9.1e}{mark}")
    return is_wrong


def _draw_case(
    name: str, rng: np.random.Generator, *, everything: bool = False, dtype: Any = np.float32
) -> _Case:
    """Of random sizes and settings; `everything`: with segments, and all noise that there is."""
    # A norm of one or two values, or of one input's products, is little more than a sign: of its
    # derivative by them, close to zero, float32 leaves no digit.
    sizes = SIZES[1:] if name in NORMED else SIZES
    input_size, hidden_size = (int(size) for size in rng.choice(sizes, 2))
    batch_size, num_steps = rng.integers(2, 10), rng.integers(1, 20)
    cell = CELLS[name]
    if name == "projected_lstm":
        hidden_size = max(hidden_size, 2)
        cell = cell.with_init(projection_size=int(rng.integers(1, hidden_size)))
    if name in HEADS:
        divisors = [n for n in range(1, hidden_size + 1) if hidden_size % n == 0]
        cell = cell.with_init(heads=int(rng.choice(divisors)))

    def draw(leaf, scale=1.0):
        return (scale * rng.normal(size=leaf.shape)).astype(dtype)

    def make():
        params = init_bidirectional(
            cell, jax.random.key(0), input_size=input_size, hidden_size=hidden_size
        )
        xs = jnp.zeros([batch_size, num_steps, input_size])
        carry, ys = bidirectional(cell, params, xs, merge="none", backend="xla")
        return params, xs, carry, ys

    params, xs, carry, ys = jax.eval_shape(make)
    params = jax.tree.map(functools.partial(draw, scale=hidden_size**-0.5), params)
    inputs = (params, draw(xs), jax.tree.map(draw, carry))
    if isinstance(carry.fwd, SLSTMCarry):  # a step leaves an n of 1 at least
        inputs = (*inputs[:2], Bi(*(own._replace(n=1 + np.abs(own.n)) for own in inputs[2])))
    settings = draw_settings(cell, params.fwd, carry.fwd, xs.shape, rng, everything=everything)
    residuals = RESIDUALS[rng.integers(len(RESIDUALS))]
    weights = jax.tree.map(draw, (carry, ys))
    directions = [rng.normal(size=leaf.shape) for leaf in jax.tree.leaves(inputs)]
    outputs, slopes = _differentiate_loops(name, inputs, settings, weights, directions)
    return _Case(inputs, settings, residuals, weights, outputs, directions, slopes)


def _differentiate_loops(
    name: str, inputs: Any, settings: Settings, weights: Any, directions: list[np.ndarray]
) -> tuple[Any, list[float]]:
    """The outputs, and the derivative of their weighted sum along each direction."""

    def run(inputs):
        steps, (params, xs, carry) = (STEPS[name],) * 2, inputs
        carries, ys = loops.bidirectional(
            steps, params, xs, settings.ids, carry, draws=settings.draws
        )
        return Bi(*carries), Bi(*ys)

    def loss(inputs):
        return _weighted_sum(run(inputs), weights)

    structure = jax.tree.structure(inputs)
    slopes = []
    for index, direction in enumerate(directions):
        along = [np.zeros(other.shape) for other in directions]
        along[index] = direction
        slopes.append(loops.slope(loss, inputs, structure.unflatten(along)))
    return run(inputs), slopes


def _weighted_sum(outputs: Any, weights: Any) -> Any:
    products = jax.tree.map(lambda leaf, weight: (leaf * weight).sum(), outputs, weights)
    return sum(jax.tree.leaves(products))


def _list_variants(name: str) -> Iterator[tuple[str, str, AbstractContextManager]]:
    """What is compared: each backend that is there, in each way in which it can run."""
    for backend in BACKENDS:
        if backend.status().available and name in FAST[backend.name]:
            for label, variant in backend.variants().items():
                yield f"{backend.name} {label}", backend.name, variant


def _compare(backend: str, case: _Case) -> tuple[float, float]:
    """The worst errors of values and of gradients, against the size of what is compared."""
    settings = case.settings
    with jax.default_matmul_precision("highest"):
        outputs, grads = jax.device_get(
            _outputs_and_grads(
                settings.cell,
                case.inputs,
                settings.lengths,
                settings.key,
                case.weights,
                residuals=case.residuals,
                backend=backend,
            )
        )
    return _error_of_values(case, outputs), _error_of_gradients(case, grads)


def _error_of_values(case: _Case, outputs: Any) -> float:
    errors = jax.tree.map(
        lambda got, want: np.abs(got - want).max() / max(1.0, np.abs(want).max()),
        outputs,
        case.outputs,
    )
    return np.max(jax.tree.leaves(errors))


def _error_of_gradients(case: _Case, grads: Any) -> float:
    compared = zip(jax.tree.leaves(grads), case.directions, case.slopes, strict=True)
    return np.max(
        [
            abs((grad * direction).sum() - slope) / max(1.0, float(np.linalg.norm(grad)))
            for grad, direction, slope in compared
        ]
    )


@functools.partial(jax.jit, static_argnames=("cell", "residuals", "backend"))
def _outputs_and_grads(
    cell: Cell,
    inputs: Any,
    lengths: Any,
    key: jax.Array | None,
    weights: Any,
    *,
    residuals: ResidualsName,
    backend: BackendName,
) -> Any:
    def loss(inputs):
        params, xs, carry = inputs
        outputs = bidirectional(
            cell,
            params,
            xs,
            lengths,
            initial_carry=carry,
            merge="none",
            key=key,
            residuals=residuals,
            backend=backend,
        )
        return _weighted_sum(outputs, weights), outputs

    grads, outputs = jax.grad(loss, has_aux=True)(inputs)
    return outputs, grads
