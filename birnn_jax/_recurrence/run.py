"""The ways to compute the directions of a layer: which one is taken changes no result."""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import jax

from .._core.chunks import run_in_chunks
from .._core.dtypes import cast_like, widen
from .._core.masks import Visits
from .._core.types import Carry, Cell, Params
from ..cells._noise import remove_noise
from ..kernels import (
    Backend,
    Form,
    Outputs,
    Sequences,
    choose_backend,
    find_form,
    keeps_gates,
    run_by_xla,
    run_natively,
)
from .reference import scan_row

Residuals = Literal["auto", "gates", "states", "chunked"]
RESIDUALS = ("auto", "gates", "states", "chunked")

_RUN_LAYER = {"xla": run_by_xla, "cpu_kernel": run_natively}


class Pass(NamedTuple):
    """One direction of a layer; its arguments are checked and complete."""

    cell: Cell
    params: Params
    reverse: bool
    carry: Carry  # leaves [B, ...]
    xs: jax.Array  # [B, T, D]
    visits: Visits | None  # leaves [B, T]


def run_passes(passes: tuple[Pass, ...], residuals: Residuals, backend: Backend) -> Outputs:
    """Runs the directions of one layer, by a kernel where there is one."""
    initial = tuple(one.carry for one in passes)
    run = _run_chunked if residuals == "chunked" else functools.partial(_run_whole, residuals)
    outputs = run(backend, passes, initial)
    return dataclasses.replace(outputs, carries=tuple(map(remove_noise, outputs.carries)))


def _run_whole(
    residuals: Residuals, backend: Backend, passes: tuple[Pass, ...], initial: Any
) -> Outputs:
    forms = {_find_form(one) for one in passes}
    form = None if len(forms) > 1 else forms.pop()
    chosen = choose_backend(backend, form, [one.xs for one in passes])
    if form is None:
        plain = functools.partial(_run_plain, residuals)
        return _gather(map(plain, passes, initial))
    sequences = tuple(
        Sequences(one.params, one.carry, one.xs, None if one.visits is None else one.visits.valid)
        for one in passes
    )
    reverse = tuple(one.reverse for one in passes)
    keep_gates = keeps_gates(chosen, sequences) if residuals == "auto" else residuals == "gates"
    return _RUN_LAYER[chosen](form, keep_gates, reverse, sequences)


def _find_form(one: Pass) -> Form | None:
    has_segments = one.visits is not None and one.visits.starts is not None
    return None if has_segments else find_form(one.cell, (one.params, one.xs), one.carry)


def _run_plain(residuals: Residuals, one: Pass, initial: Carry) -> tuple[Carry, jax.Array]:
    cell, params, reverse, carry, xs, visits = one
    if residuals == "states":
        cell = cell._replace(step=jax.checkpoint(cell.step, prevent_cse=False))
    run = jax.vmap(functools.partial(scan_row, cell, params, reverse))
    return run(xs, visits, carry, initial)


def _run_chunked(backend: Backend, passes: tuple[Pass, ...], initial: Any) -> Outputs:
    def run(carries: Any, sequences: Any) -> Any:
        chunk = tuple(
            one._replace(params=cast_like(wide, one.params), carry=carry, xs=xs, visits=visits)
            for one, wide, carry, (xs, visits) in zip(
                passes, params, carries, sequences, strict=True
            )
        )
        outputs = _run_whole("gates", backend, chunk, initial)
        return outputs.carries, outputs.split()

    params = tuple(widen(one.params) for one in passes)
    sequences = tuple((one.xs, one.visits) for one in passes)
    reverse = tuple(one.reverse for one in passes)
    carries, ys = run_in_chunks(run, initial, sequences, reverse)
    return _gather(zip(carries, ys, strict=True))


def _gather(outputs: Iterable[tuple[Carry, jax.Array]]) -> Outputs:
    carries, ys = zip(*outputs, strict=True)
    return Outputs(carries, ys)
