"""The benchmarks measure what they say, refuse wrong results, and report ratios."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks import _points, _weights, compare, report
from benchmarks._fleet import Failed
from benchmarks._points import Point
from benchmarks._worker import _Server
from benchmarks.peers import CANDIDATES

POINT = Point(cell="lstm", shape=(3, 5, 2, 7), work="train")


def run(path, *words):
    """The command line with the fewest rounds; its status and rows."""
    status = compare.main(["--rounds", "2", "--json", str(path), *words])
    return status, report.read(path)


def make_row(candidate, seconds, shape=(3, 5, 2, 7), **fields):
    point = dataclasses.asdict(dataclasses.replace(POINT, shape=shape))
    return {**point, "candidate": candidate, "median_s": seconds, **fields}


def test_compare_writes_one_row_for_each_candidate(tmp_path, capsys):
    words = "--shapes 3,5,2,7 --work train --lengths --peers flax-linen --threads 1".split()
    status, rows = run(tmp_path / "rows.jsonl", *words)
    assert status == 0
    assert [(row["lengths"], row["candidate"]) for row in rows] == [
        (lengths, name) for lengths in (False, True) for name in ("birnn", "flax-linen")
    ]
    for row in rows:
        assert len(row["samples_s"]) == 2 and row["compile_s"] > row["trace_s"] > 0
        assert row["quartile_1_s"] <= row["median_s"] <= row["quartile_3_s"]
        assert max(row["errors"].values()) < 1e-4 and "d_w_x_0_bwd" in row["errors"]
        assert row["machine"]["versions"]["jax"] and row["machine"]["num_threads"] == 1
    assert "| 3,5,2,7 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("candidate", "changed", "sentence"),
    [
        ("jax-cudnn", {"cell": "gru"}, "jax.experimental.rnn has a float32 LSTM only."),
        ("birnn-gpu-kernel", {"shape": (1, 2, 1, 512)}, "bytes of shared memory in each block"),
    ],
)
def test_what_a_candidate_lacks_is_said_in_a_sentence(candidate, changed, sentence):
    point = dataclasses.asdict(POINT) | changed
    answer = _Server(candidate).prepare(point, checked=point, reference="nowhere")
    assert answer.keys() == {"unsupported"} and sentence in answer["unsupported"]


def test_a_process_that_fails_is_an_error_and_no_row_of_times(tmp_path, capsys, monkeypatch):
    broken = CANDIDATES["birnn"]._replace(settings={"residuals": "none of them"})
    monkeypatch.setitem(CANDIDATES, "birnn-states", broken)
    monkeypatch.setattr("benchmarks._worker.CANDIDATES", CANDIDATES)
    monkeypatch.setattr("benchmarks._fleet.Worker", _InThisProcess)
    words = "--shapes 3,5,2,7 --work forward --ours birnn birnn-states --peers".split()
    status, rows = run(tmp_path / "rows.jsonl", *words)
    assert status == 1
    assert "residuals must be one of" in rows[1]["error"] and "samples_s" not in rows[1]
    assert "FAILED birnn-states at lstm forward 3,5,2,7" in capsys.readouterr().err


class _InThisProcess:
    """A worker without its process, so that a test can reach into it."""

    def __init__(self, candidate, processors):
        del processors
        self.server = _Server(candidate)

    def ask(self, do, **request):
        if do == "compute_reference":
            np.savez(request["path"], ys=np.zeros([3, 5, 14]))
            return {}
        if self.server.candidate == "birnn" and do == "prepare":
            return {"compile_s": 1.0}
        if do == "sample":
            return {"s": 1.0, "cpu_s": 1.0}
        try:
            return json.loads(json.dumps(getattr(self.server, do)(**request)))
        except ValueError as error:
            raise Failed(str(error)) from error

    def stop(self):
        pass


@pytest.mark.parametrize("name", ["d_xs", "d_w_h_0_bwd"])
def test_wrong_gradient_is_refused(name):
    inputs = _weights.make_inputs(POINT)
    right = {"d_xs": inputs["xs"], "d_weights": inputs["weights"]}
    want = {key: leaf.astype(np.float64) for key, leaf in _weights.flatten(right).items()}
    got = {**want, name: want[name] * 1.001}
    assert max(_weights.errors(POINT, want, want, None).values()) == 0
    with pytest.raises(ValueError, match=f"{name} is wrong: error 0.001"):
        _weights.errors(POINT, got, want, None)


def test_what_stands_in_padding_is_not_compared():
    point = dataclasses.replace(POINT, work="forward", lengths=True)
    inputs = _weights.make_inputs(point)
    garbage = inputs["d_ys"] + 7 * (1 - _weights.make_mask(point, inputs["lengths"]))
    want = {"ys": inputs["d_ys"].astype(np.float64)}
    assert _weights.errors(point, {"ys": garbage}, want, inputs["lengths"]) == {"ys": 0}


def test_flops_count_every_product_twice():
    assert POINT.flops == 3 * 2 * (2 * 3 * 5 * (2 + 7) * 28)
    two = dataclasses.replace(POINT, layers=2, work="forward")
    assert two.flops == 2 * 2 * 3 * 5 * ((2 + 7) + (14 + 7)) * 28


@pytest.mark.parametrize("suite", _points.SUITES)
def test_every_suite_names_candidates_that_exist(suite):
    cases = list(_points.SUITES[suite]())
    assert cases and all(case.candidates[0] == "birnn" for case in cases)
    assert {name for case in cases for name in case.candidates} <= CANDIDATES.keys()


def test_tiny_gpu_suite_leaves_nothing_of_the_gpu_suite_out():
    def covered(suite):
        cases = list(_points.SUITES[suite]())
        names = {name for case in cases for name in case.candidates}
        return names, *(
            {getattr(case.point, key) for case in cases} for key in ("cell", "work", "precision")
        )

    assert covered("gpu-tiny") == covered("gpu")


def test_stopped_run_goes_on_where_it_stopped(tmp_path):
    cases = list(_points.SUITES["quick"]())
    assert [case.point.work for case in cases] == ["forward", "train"]
    path = tmp_path / "rows.jsonl"
    assert compare._without(cases, path) == cases
    path.write_text(json.dumps({**dataclasses.asdict(cases[0].point), "candidate": "birnn"}) + "\n")
    assert compare._without(cases, path) == cases[1:]


def test_table_shows_milliseconds_ratios_and_their_mean():
    rows = [
        make_row("birnn", 0.001, compile_s=2.0),
        make_row("torch", 0.002),
        make_row("birnn", 0.001, shape=(9, 5, 2, 7)),
        make_row("torch", 0.008, shape=(9, 5, 2, 7)),
    ]
    lines = report.table(rows).splitlines()
    assert "| 3,5,2,7 | 1 | 2 (2.00) |" in lines
    assert "| mean ratio | 1.00 | 4.00 |" in lines
    assert "| compile, s | 2 |  |" in lines


def test_summary_shows_the_mean_and_the_worst():
    rows = [
        make_row("birnn", 0.001, gemm_fraction=0.5),
        make_row("birnn-xla", 0.004),
        make_row("keras", 0.002),
        make_row("torch", 0.002),
        make_row("flax-linen", 0.004),
        make_row("birnn", 0.001, shape=(9, 5, 2, 7), gemm_fraction=0.7),
        make_row("torch", 0.008, shape=(9, 5, 2, 7)),
    ]
    line = (
        "| lstm train | 4.00 (2.00) | 4.00 (4.00) | 2.00, keras | 60% | 1.00 (1.00) | 0.50, keras |"
    )
    assert line == report.summary(rows).splitlines()[-1]


def test_documentation_has_the_summary_of_the_recorded_run():
    page = report.RESULTS.parents[1] / "docs" / "results" / "benchmarks.md"
    assert report.summary(report.read(report.RESULTS / "cpu.jsonl")) in page.read_text()


def test_slower_than_recorded_is_reported_by_ratio_alone(capsys):
    recorded = [make_row("birnn", 1.0), make_row("torch", 2.0)]
    assert not report.print_changes([make_row("birnn", 10.0), make_row("torch", 20.0)], recorded)
    assert "lstm train, torch over birnn: 1.00 of the recorded ratio" in capsys.readouterr().out
    assert report.print_changes([make_row("birnn", 1.5), make_row("torch", 2.0)], recorded)


def test_plots_are_drawn_for_sweeps_and_ratios(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [
        make_row(name, seconds * num_steps, shape=(3, num_steps, 2, 7), compile_s=1.0)
        for name, seconds in [("birnn", 1.0), ("torch", 2.0)]
        for num_steps in (4, 8, 16)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    report.main([str(path), "--plots", str(tmp_path / "plots")])
    drawn = {path.name for path in (tmp_path / "plots").iterdir()}
    assert drawn == {"ratios_lstm_train.png", "sweep_T_lstm_train.png"}


@pytest.mark.slow
def test_gpu_suite_runs_at_a_tiny_size_without_a_gpu(tmp_path):
    pytest.importorskip("torch")
    status, rows = run(tmp_path / "rows.jsonl", "--suite", "gpu-tiny")
    assert status == 0
    assert all("median_s" in row or "unsupported" in row for row in rows)
