"""The suite `cells`: its cells written out for the peers, the inputs of its options, its pairs."""

import collections
import dataclasses

import numpy as np
import pytest

from benchmarks import _cells, _cells_table, _points, _weights, compare, report
from benchmarks._points import Point
from benchmarks.peers import CANDIDATES, Unsupported, _steps, require
from birnn_jax.selfcheck.cells import STEPS
from birnn_jax.selfcheck.variants import headed, slstm_step

POINT = Point(cell="lstm", shape=(3, 5, 2, 8), work="train", lengths=True)
FIELDS = {1: ["h"], 2: ["c", "h"], 4: ["c", "n", "m", "h"]}
NUMPY_STEPS = {**STEPS, "slstm_heads": headed(slstm_step)}
NUMPY_STEPS |= {"para_gru": STEPS["parallel_para_gru"], "para_lstm": STEPS["parallel_para_lstm"]}


def named(**fields):
    return collections.namedtuple("Named", fields)(**fields)


@pytest.mark.parametrize("cell", _steps.WRITTEN)
def test_written_step_is_the_step_of_the_cell(cell):
    torch = pytest.importorskip("torch")
    from benchmarks.peers import torch_loop

    rng = np.random.default_rng(0)
    sizes = _steps.state_sizes(cell, 8)
    names = FIELDS[len(sizes)]
    states = {name: rng.normal(size=size) for name, size in zip(names, sizes, strict=True)}
    if "n" in states:  # that of a unit which has seen something
        states["n"] = 1 + states["n"] ** 2
    (pair,) = _weights.make_inputs(dataclasses.replace(POINT, cell=cell))["weights"]
    w = {name: leaf.astype(np.float64) for name, leaf in pair[1].items()}
    x = rng.normal(size=2)
    more = {"b_hn": np.zeros(8)} if cell in ("gru", "gru_heads") else {}
    want, _ = NUMPY_STEPS[cell](named(**w, **more), named(**states), x)

    w = {name: torch.from_numpy(leaf) for name, leaf in w.items()}
    carry = tuple(torch.from_numpy(state)[None] for state in states.values())
    a_x = torch.from_numpy(x)[None] @ w["w_x"]
    got = _steps.WRITTEN[cell].step(torch_loop.OPS, w, carry, a_x, _steps.Noise())
    for name, leaf in zip(states, got, strict=True):
        np.testing.assert_allclose(leaf[0], getattr(want, name), rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("option", _cells.NOISES)
def test_written_noise_is_drawn_where_its_name_says(option):
    torch = pytest.importorskip("torch")
    from benchmarks.peers import torch_loop

    rng = np.random.default_rng(0)
    (pair,) = _weights.make_inputs(POINT)["weights"]
    w = {name: leaf.astype(np.float64) for name, leaf in pair[0].items()}
    c, h, x = (rng.normal(size=size) for size in (8, 8, 2))
    drawn = {rate: rng.random(8) < rate for rate in (_cells.RATE, 1 - _cells.RATE)}
    scaled = drawn[1 - _cells.RATE] / (1 - _cells.RATE)
    options = {
        "recurrent-dropout": {"seen": scaled * h},
        "candidate-dropout": {"candidate": scaled},
    }
    want, _ = STEPS["lstm"](named(**w), named(c=c, h=h), x, **options.get(option, {}))
    if option == "zoneout":
        old = drawn[_cells.RATE]
        want = named(c=np.where(old, c, want.c), h=np.where(old, h, want.h))

    w = {name: torch.from_numpy(leaf) for name, leaf in w.items()}
    draw = lambda rate, like: torch.from_numpy(drawn[rate])  # noqa: E731
    noise = _steps.DrawnNoise(torch_loop.OPS, option, draw, draw)
    carry = tuple(torch.from_numpy(leaf)[None] for leaf in (c, h))
    a_x = torch.from_numpy(x)[None] @ w["w_x"]
    got_c, got_h = _steps.WRITTEN["lstm"].step(torch_loop.OPS, w, carry, a_x, noise)
    np.testing.assert_allclose(got_c[0], want.c, rtol=1e-10)
    np.testing.assert_allclose(got_h[0], want.h, rtol=1e-10)


def test_every_cell_and_option_has_a_row():
    cases = list(_points.SUITES["cells"]())
    assert {case.point.cell for case in cases} == _cells.GATES.keys() - {"elman"}
    assert {case.point.option for case in cases} == set(_cells.OPTIONS)
    for case in cases:
        is_base = case.point == case.point.base()
        assert ("birnn-base" in case.candidates) != is_base


def test_base_is_the_plain_cell_on_the_same_rows():
    point = dataclasses.replace(POINT, cell="layer_norm_gru_ba")
    assert CANDIDATES["birnn-base"].measured(point) == dataclasses.replace(POINT, cell="gru")
    noisy = dataclasses.replace(POINT, option="zoneout")
    assert CANDIDATES["birnn-base"].measured(noisy) == POINT


def test_noise_of_others_is_checked_without_it():
    noisy = dataclasses.replace(POINT, option="recurrent-dropout")
    assert CANDIDATES["keras"].checked(noisy) == POINT
    assert CANDIDATES["birnn"].checked(noisy) == noisy
    gaps = dataclasses.replace(POINT, option="gaps")
    assert CANDIDATES["keras"].checked(gaps) == gaps


def test_gaps_leave_as_many_steps_as_lengths():
    gaps = dataclasses.replace(POINT, option="gaps")
    valid, lengths = (_weights.make_inputs(point)["lengths"] for point in (gaps, POINT))
    assert (valid.sum(axis=1) == lengths).all()
    assert (np.diff(valid.astype(int), axis=1) > 0).any()  # not only at the end
    d_ys = _weights.make_inputs(gaps)["d_ys"]
    assert ((d_ys != 0).all(axis=-1) == valid).all()


def test_segments_fill_their_rows():
    point = dataclasses.replace(POINT, shape=(3, 60, 2, 8), lengths=False, option="segments")
    inputs = _weights.make_inputs(point)
    numbers, counts = np.unique(inputs["lengths"], return_counts=True)
    assert numbers.tolist() == [1, 2, 3] and counts.tolist() == [75, 75, 30]
    assert (inputs["d_ys"] != 0).all()


def test_flops_count_the_products_of_a_cell():
    shape = (3, 5, 2, 8)
    for cell, products in [
        ("lstm_heads", (2 + 2) * 32),
        ("projected_lstm", (2 + 4) * 32 + 8 * 4),
        ("indrnn", 2 * 8),
        ("mingru", 2 * 16),
    ]:
        point = Point(cell=cell, shape=shape, work="forward")
        assert point.flops == 2 * 2 * 3 * 5 * products


def test_framework_without_the_cell_or_the_noise_says_so():
    with pytest.raises(Unsupported, match="keras has no mingru"):
        require(dataclasses.replace(POINT, cell="mingru"), "keras", ["lstm"])
    with pytest.raises(Unsupported, match="keras has no zoneout"):
        require(dataclasses.replace(POINT, option="zoneout"), "keras", ["lstm"], ["gaps"])


def test_table_shows_the_plain_cell_the_aim_and_the_peers():
    def make_row(candidate, seconds, **fields):
        where = {"cell": "projected_lstm", "option": "", "candidate": candidate}
        return {**where, "median_s": seconds, "compile_s": 0.4, **fields}

    machine = {"cpu": "Z80", "kernels": "avx2. Built", "num_threads": 2, "date": "2026-11-29"}
    machine["versions"] = {"jax": "0.10", "torch": "2.13"}
    rows = [
        make_row("birnn", 0.002, flops=3, machine=machine),
        make_row("birnn-base", 0.0025, flops=4),
        make_row("torch-loop", 0.016),
        {"cell": "projected_lstm", "option": "", "candidate": "torch", "error": "out of memory"},
    ]
    lines = _cells_table.table(rows).splitlines()
    assert "- Z80, instruction set avx2, threads 2, jax 0.10, torch 2.13, 2026-11-29" == lines[0]
    assert "| projected_lstm | 2 | 0.80 (0.90) | 0.40 | torch-loop 8.00 |" == lines[-1]


def test_documentation_has_the_recorded_table():
    page = report.RESULTS.parents[1] / "docs" / "results" / "benchmarks.md"
    assert _cells_table.table(report.read(report.RESULTS / "cells.jsonl")) in page.read_text()


@pytest.mark.slow
def test_suite_runs_at_a_tiny_size(tmp_path):
    for framework in ("torch", "keras", "haiku", "flax", "equinox"):
        pytest.importorskip(framework)
    path = tmp_path / "rows.jsonl"
    words = ["--suite", "cells-tiny", "--rounds", "2", "--seconds", "0", "--json", str(path)]
    assert compare.main(words) == 0
    assert all("median_s" in row for row in report.read(path))
