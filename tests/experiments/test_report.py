"""The record of results: what counts as one, and the tables made from it."""

import json

import pytest

from experiments import report
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.results import summarise_runs


def make_run(path, seed, accuracy, *, size=5, commit="abc", dirty=False):
    settings = {"seed": seed, "size": size}
    folder = RunFolder.start(path, experiment="copy", settings=settings, data={})
    environment = {
        "command": ["/somewhere/copy.py", "train", "--train", "/data/x.tsv", "--seed", str(seed)],
        "commit": commit,
        "uncommitted_changes": dirty,
        "cores": 2,
        "processor": "CPU",
        "devices": ["cpu"],
        "packages": {"jax": "1.2"},
    }
    (path / "environment.json").write_text(json.dumps(environment))
    metrics = {"accuracy": accuracy, "usual": 0.5}
    result = {"metrics": metrics, "seed": seed, "steps": 9, "seconds": 100 + seed}
    (path / "result.json").write_text(json.dumps(result))
    return folder.path


@pytest.fixture
def runs(tmp_path):
    return [make_run(tmp_path / str(seed), seed, 0.9 + 0.01 * seed) for seed in range(3)]


def test_result_is_the_mean_and_spread_of_its_runs(runs):
    result = summarise_runs(runs, "accuracy")
    assert (result["mean"], result["std"]) == pytest.approx((0.91, 0.01))
    assert (result["seeds"], result["seconds"], result["commit"]) == ([0, 1, 2], 101, "abc")
    assert result["command"] == "python -m experiments.copy train --train x.tsv"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seed": 1}, "same seed"),
        ({"size": 6}, "other settings"),
        ({"commit": "abd"}, "another commit"),
        ({"dirty": True}, "not trained by the code of a commit"),
        ({"commit": None}, "not trained by the code of a commit"),
    ],
)
def test_runs_that_are_not_repetitions_are_refused(runs, tmp_path, changes, sentence):
    odd = make_run(tmp_path / "odd", **{"seed": 7, "accuracy": 0.9, **changes})
    with pytest.raises(ValueError, match=sentence):
        summarise_runs([*runs, odd], "accuracy")


def test_two_runs_are_not_a_result(runs):
    with pytest.raises(ValueError, match="needs 3 runs"):
        summarise_runs(runs[:2], "accuracy")


def test_run_without_a_result_and_unknown_metric_are_refused(runs):
    with pytest.raises(ValueError, match="no metric f1; there are accuracy, usual"):
        summarise_runs(runs, "f1")
    (runs[1] / "result.json").unlink()
    with pytest.raises(ValueError, match="no result yet"):
        summarise_runs(runs, "accuracy")


@pytest.fixture
def readme(tmp_path, monkeypatch):
    """The page of all results, in a repository with it and the README of an experiment."""
    here = tmp_path / "experiments"
    (here / "copy").mkdir(parents=True)
    monkeypatch.setattr(report, "HERE", here)
    monkeypatch.setattr(report, "RESULTS", here / "results.json")
    overview = tmp_path / "docs" / "results" / "index.md"
    overview.parent.mkdir(parents=True)
    for path in (overview, here / "copy" / "README.md"):
        path.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    return overview


def test_added_result_stands_in_the_tables_once(runs, readme):
    add = report.Add(
        runs=tuple(runs),
        metric="accuracy",
        label="words right",
        data="small",
        baseline="usual",
        baseline_label="guess",
        reference="95.40 %",
        source="a paper",
    )
    add.run()
    add.run()
    text = readme.read_text()
    cells = "| small | words right | 91.0 ± 1.0 % | 50.0 %, guess |"
    row = f"| [copy](../../experiments/copy/README.md) {cells}"
    assert text.count(row) == 1 and "old" not in text
    assert f"{cells} 95.40 % (a paper) |" in page(readme)
    assert text.startswith("before\n") and text.endswith("\nafter\n")


def page(readme):
    return (readme.parents[2] / "experiments" / "copy" / "README.md").read_text()


def test_detail_stands_on_the_page_of_its_experiment_only(runs, readme):
    report.Add(runs=tuple(runs), metric="accuracy", label="right", data="small", detail=True).run()
    assert "right" not in readme.read_text()
    assert "right" in page(readme)


def test_time_of_a_run_is_written_in_its_own_unit(runs, readme):
    report.Add(runs=tuple(runs), metric="accuracy", label="right", data="small").run()
    assert "`: seeds 0, 1, 2, 2 min a run on " in page(readme)
    results = report.read_results()
    report.write_json(report.RESULTS, [one | {"seconds": 41} for one in results])
    report.Tables().run()
    assert ", 41 s a run on " in page(readme)


@pytest.mark.parametrize(
    ("unit", "shown"),
    [("percent", "91.0 ± 1.0 %"), ("plain", "0.910 ± 0.010"), ("perplexity", "0.910 ± 0.010")],
)
def test_numbers_are_written_in_their_unit(runs, readme, unit, shown):
    report.Add(runs=tuple(runs), metric="accuracy", label="l", data="d", unit=unit).run()
    assert f"| l | {shown} |" in readme.read_text()


def test_results_of_a_page_are_in_the_order_of_their_commands(runs, tmp_path, readme):
    other = [make_run(tmp_path / f"other{seed}", seed, 0.5 + seed / 9, size=4) for seed in range(3)]
    for path in other:
        environment = json.loads((path / "environment.json").read_text())
        environment["command"][1] = "train2"
        (path / "environment.json").write_text(json.dumps(environment))
    for paths, label in [(runs, "a"), (other, "b"), (runs, "c")]:
        report.Add(runs=tuple(paths), metric="accuracy", label=label, data="d").run()
    rows = [line.split(" | ") for line in page(readme).splitlines() if line.startswith("| d |")]
    assert [(row[1], row[-1]) for row in rows] == [("a", "1 |"), ("c", "1 |"), ("b", "2 |")]
    assert "\n2. `python -m experiments.copy train2 " in page(readme)


def test_other_metrics_are_recorded_beside_the_result(runs, readme):
    report.Add(runs=tuple(runs), metric="accuracy", label="l", data="d", also=("usual",)).run()
    (result,) = report.read_results()
    assert result["also"] == {"usual": 0.5}
    report.Add(runs=tuple(runs), metric="accuracy", label="l", data="d").run()
    assert "also" not in report.read_results()[0]


def test_file_without_markers_is_refused(readme):
    readme.write_text("no table here")
    with pytest.raises(ValueError, match="lacks the markers"):
        report.Tables().run()


def test_tables_of_this_repository_are_those_of_its_results():
    for path, table in report.tables(report.read_results()).items():
        text = path.read_text(encoding="utf-8")
        assert report.replaced(text, table, path) == text
