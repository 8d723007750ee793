"""The benchmark of memory runs every way of keeping residuals, compares, and fits a power."""

import json

import pytest

from benchmarks import long_runs, memory
from tests import _figures


def run(monkeypatch, path, *words, spoil=0.0):
    def ask(point):
        row = memory.measure(**point)
        return row | {"error": row["error"] + spoil * (point["residuals"] == "chunked")}

    monkeypatch.setattr(memory, "_ask", ask)
    status = memory.main(["--steps", "150", "--json", str(path), "--sizes", "1", "2", "8", *words])
    return status, [json.loads(line) for line in path.read_text().splitlines()]


def test_points_are_compared_recorded_and_drawn(tmp_path, monkeypatch, capsys):
    picture = tmp_path / "plots" / "memory.png"
    status, rows = run(monkeypatch, tmp_path / "rows.jsonl", "--png", str(picture))
    assert status == 0 and picture.exists()
    assert [row["residuals"] for row in rows] == ["gates", "states", "chunked"]
    assert rows[0]["temp_bytes"] > rows[2]["temp_bytes"]
    assert len({round(row["loss"], 4) for row in rows}) == 1 and rows[0]["error"] == 0
    assert rows[0]["date"] and rows[0]["device"] and rows[0]["machine"]["versions"]["jax"]
    assert "| 150 | " in capsys.readouterr().out


@pytest.mark.parametrize("peak_bytes", [0, 13_000, 100_000])
def test_a_picture_has_numbers_at_its_axes_whatever_was_measured(tmp_path, peak_bytes):
    rows = [
        {
            "residuals": residuals,
            "num_steps": 150,
            "temp_bytes": temp_bytes,
            "peak_bytes": peak_bytes,
        }
        for residuals, temp_bytes in [("gates", 67_856), ("states", 29_456), ("chunked", 11_176)]
    ]
    memory.draw(rows, tmp_path / "memory.png")
    low, high = _figures.drawn(tmp_path / "memory.png").axes[0].get_ylim()
    assert low == pytest.approx(0.01) and high == pytest.approx(
        1.0 if peak_bytes == 100_000 else 0.1
    )


def test_results_that_differ_are_a_failure(tmp_path, monkeypatch):
    status, _ = run(monkeypatch, tmp_path / "rows.jsonl", spoil=1.0)
    assert status == 1


def test_every_point_has_a_process_of_its_own(tmp_path):
    point = {"num_steps": 4, "residuals": "gates", "sizes": [1, 2, 3]}
    row = memory._ask(point | {"reference": str(tmp_path / "reference.npz")})
    assert row["temp_bytes"] > 0 and (tmp_path / "reference.npz").exists()


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_slope_is_the_power_of_the_steps_from_a_thousand_on(power):
    rows = [
        {"residuals": "chunked", "num_steps": num_steps, "temp_bytes": 7 * num_steps**power + extra}
        for num_steps, extra in [(100, 1e9), (1000, 0), (5000, 0), (90_000, 0)]
    ]
    assert memory.slope(rows, "chunked", "temp_bytes") == pytest.approx(power)


def test_long_sequences_take_less_memory_in_chunks_and_in_windows():
    whole, chunked, windows = long_runs.measure_lengths(tiny=True)
    assert whole["temporary_MB"] > 2 * chunked["temporary_MB"]
    assert whole["temporary_MB"] > 2 * windows["temporary_MB"]


def test_a_long_row_stands_alone_and_saves_wait_for_nothing():
    words, rows = long_runs.measure_words(tiny=True)
    assert words["temporary_MB"] > 0
    assert rows["shapes"] == [[2, 500], [51, 20]]
    at_once, in_background = long_runs.measure_saves(tiny=True)
    assert [row["background"] for row in (at_once, in_background)] == [False, True]
    assert all(0 <= row["waits_s"] <= row["whole_s"] for row in (at_once, in_background))
