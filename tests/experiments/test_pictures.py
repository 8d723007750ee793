"""Pictures of several lines: each has the numbers and the colour of the name that stands by it.

The numbers are random and all different, so that no line can be taken for another.
"""

import json
import types

import numpy as np
import pytest

from experiments.bilm_leakage.report import plot_sides
from experiments.char_lm.report import plot_curves_and_points
from experiments.compare_cells.report import plot_cells
from experiments.deep_rnn.report import plot_depths
from experiments.gradient_flow import report as gradient_flow
from experiments.gradient_flow.__main__ import PICTURES
from experiments.memory_tasks import report as memory_tasks
from experiments.runner.pictures.curves import Panel, plot_comparison, plot_curves
from experiments.synthetic.report import plot_run
from experiments.synthetic.tasks import TASKS
from experiments.time_series.impute.report import plot_gaps
from experiments.translation.report import plot_lengths
from experiments.translation.scores import OfLength
from tests import _figures

pytestmark = pytest.mark.slow  # as all pictures of experiments: one JAX is enough for them
RNG = np.random.default_rng(0)


@pytest.fixture
def picture(tmp_path):
    return tmp_path / "picture.png"


def numbers(*shape):
    return RNG.uniform(1, 9, shape)


def folder_of(path, train=(), dev=()):
    """A run folder that has a journal, with the records of training and of dev."""
    path.mkdir()
    records = [{"split": "train", **one} for one in train]
    records += [{"split": "dev", **one} for one in dev]
    (path / "metrics.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    return types.SimpleNamespace(path=path)


def records_of(count, *metrics):
    return [{"step": 1 + i} | {name: numbers().item() for name in metrics} for i in range(count)]


def points_of(records, metric):
    return [[one["step"], one[metric]] for one in records]


def require_drawn(axes, wanted, legend=None):
    """Checks the lines of each name, in the order of drawing."""
    found = _figures.named(axes, legend)
    assert found.keys() == wanted.keys()
    for name, lines in wanted.items():
        assert len(found[name]) == len(lines), name
        for line, points in zip(found[name], lines, strict=True):
            np.testing.assert_allclose(line, points, rtol=1e-6, err_msg=name)


def with_median(xs, runs):
    """The lines of runs `[N, points]`, and their median."""
    return [np.stack([xs, ys], axis=1) for ys in [*runs, np.median(runs, axis=0)]]


def test_errors_by_gap(picture):
    rows = {name: numbers(3).tolist() for name in ("direction both", "direction fwd", "mean")}
    plot_gaps(picture, rows, [1, 2, 4])
    (axes,) = _figures.drawn(picture).axes
    require_drawn(axes, {name: [[*zip([1, 2, 4], ys, strict=True)]] for name, ys in rows.items()})


def test_comparison_of_runs(picture, tmp_path):
    journals = {name: [records_of(3, "f1", "loss") for _ in "ab"] for name in ("crf", "softmax")}
    groups = {
        name: [folder_of(tmp_path / f"{name}{i}", dev=dev) for i, dev in enumerate(runs)]
        for name, runs in journals.items()
    }
    plot_comparison(picture, groups, title="F1", metric="f1")
    (axes,) = _figures.drawn(picture).axes
    want = {
        f"{name}: {np.mean([one[-1]['f1'] for one in runs]):.1%}": [
            points_of(one, "f1") for one in runs
        ]
        for name, runs in journals.items()
    }
    require_drawn(axes, want)


def test_curves_of_a_run(tmp_path):
    train, dev = (records_of(count, "loss", "accuracy") for count in (5, 3))
    folder = folder_of(tmp_path / "run", train, dev)
    plot_curves(folder, Panel("Loss", "loss", levels={"chance": 5.0}), Panel("Right", "accuracy"))
    panels = _figures.drawn(folder.path / "curves.png").axes
    for axes, title, metric in zip(panels, ("Loss", "Right"), ("loss", "accuracy"), strict=True):
        assert axes.get_title() == title
        parts = {"training": [points_of(train, metric)], "dev": [points_of(dev, metric)]}
        require_drawn(axes, parts)
    plot_run(folder, TASKS["adding"], 7)
    (axes,) = _figures.drawn(folder.path / "curves.png").axes
    require_drawn(axes, {"train": [points_of(train, "loss")], "dev": [points_of(dev, "loss")]})


@pytest.fixture
def flows(tmp_path):
    """Two runs of each variant, and the norms `[runs, 8]` in their files by part and field."""
    names = {line[1] for lines in gradient_flow._OPTIONS.values() for line in lines}
    names |= {line[1] for line in gradient_flow._CELLS}
    runs, norms = {}, {}
    for name in sorted(names):
        runs[name], both = [], []
        for seed in range(2):
            flow = {part: {"h": numbers(8), "c": numbers(8)} for part in ("initial", "trained")}
            run = folder_of(tmp_path / f"{name}-{seed}", records_of(4, "loss", "grad_norm"))
            (run.path / "flow.json").write_text(json.dumps(flow, default=np.ndarray.tolist))
            runs[name].append(run)
            both.append(flow)
        norms[name] = {
            part: {what: np.stack([one[part][what] for one in both]) for what in "hc"}
            for part in ("initial", "trained")
        }
    return runs, norms


def test_norms_of_gradients(picture, flows):
    runs, norms = flows

    def lines_of(lines, part):
        found = {}
        for label, name, what, *_ in lines:
            first = 1 if what == "c" else 0  # of c from a distance of 1 on
            both = norms[name][part][what][:, first:]
            found[label] = with_median(np.arange(first, 8), both)
        return found

    PICTURES["cells"](picture, runs)
    for axes, part in zip(_figures.drawn(picture).axes, ("initial", "trained"), strict=True):
        require_drawn(axes, lines_of(gradient_flow._CELLS, part))
    PICTURES["options"](picture, runs)
    panels = iter(_figures.drawn(picture).axes)
    for part in ("initial", "trained"):
        for lines in gradient_flow._OPTIONS.values():
            require_drawn(next(panels), lines_of(lines, part))


def test_losses_with_and_without_clipping(picture, flows):
    runs, _ = flows
    PICTURES["clipping"](picture, runs)
    panels = _figures.drawn(picture).axes
    for axes, metric in zip(panels, ("loss", "grad_norm"), strict=True):
        want = {}
        for label, name in (("not clipped", "relu-unclipped"), ("clipped at 1", "relu-clipped")):
            journals = [(run.path / "metrics.jsonl").read_text().splitlines() for run in runs[name]]
            want[label] = [points_of(map(json.loads, journal), metric) for journal in journals]
        require_drawn(axes, want, legend=panels[0])


def test_measures_by_length(picture):
    lengths = [4, 8, 16]
    results = {
        task: {name: {n: numbers(2) / 10 for n in lengths} for name in ("GRU", "LSTM")}
        for task in ("parity", "order")
    }
    memory_tasks.plot_lengths(picture, results)
    *panels, legend = _figures.drawn(picture).axes
    for axes, (task, variants) in zip(panels, results.items(), strict=False):
        found = _figures.named(axes, legend)
        (floor,) = found.pop("the best without a memory")
        np.testing.assert_allclose(floor[:, 1], [*map(TASKS[task].memoryless, floor[:, 0])])
        assert found.keys() == variants.keys()
        for name, by_length in variants.items():
            runs = np.stack([by_length[n] for n in lengths], axis=1)
            lines = with_median(lengths, runs)
            np.testing.assert_allclose(found[name], [*lines, *lines[:-1]])  # dots last


def test_perplexity_by_depth(picture):
    last = {(change, n): numbers(2).tolist() for change in ("plain", "all") for n in (1, 3)}
    curves = {change: numbers(2, 4).tolist() for change in ("plain", "residual", "all")}
    plot_depths(picture, last, curves, 3)
    names = {"plain": "plain", "residual": "residual connections", "all": "all three"}
    by_depth, by_epoch = _figures.drawn(picture).axes
    want = {}
    for change in ("plain", "all"):
        means = [[n, np.mean(last[change, n])] for n in (1, 3)]
        want[names[change]] = [means, *([[n, y] for y in last[change, n]] for n in (1, 3))]
    require_drawn(by_depth, want)
    passes = {
        names[change]: [[*enumerate(one, start=1)] for one in runs]
        for change, runs in curves.items()
    }
    require_drawn(by_epoch, passes)


def test_perplexities_beside_those_of_others(picture):
    curves = {name: 1 + numbers(2, 5) for name in ("GRU", "LSTM")}
    points = {name: {2: 1 + numbers(), 4: 1 + numbers()} for name in curves}
    plot_curves_and_points(picture, curves, points)
    (axes,) = _figures.drawn(picture).axes
    want = {
        name: [[(1 + i, y - 1) for i, y in enumerate(run)] for run in runs]
        + [[(epoch, y - 1) for epoch, y in points[name].items()]]
        for name, runs in curves.items()
    }
    require_drawn(axes, want)


def test_bleu_by_length(picture):
    runs = {kind: numbers(2, 3, 2) for kind in ("additive", "none")}
    for array in runs.values():
        array[..., 0] = [4, 9, 17]
    groups = {
        kind: [[OfLength(*pair, sentences=5) for pair in run] for run in array.tolist()]
        for kind, array in runs.items()
    }
    plot_lengths(picture, groups)
    (axes,) = _figures.drawn(picture).axes
    names = {"additive": "additive", "none": "fixed vector"}
    want = {names[kind]: with_median([4, 9, 17], array[..., 1]) for kind, array in runs.items()}
    require_drawn(axes, want)


def test_cells_by_accuracy_and_time(picture):
    names = [f"{cell}-{direction}" for cell in ("gru", "lstm") for direction in ("both", "fwd")]
    measures = ("accuracy", "cpu_seconds")
    results = {name: records_of(3, *measures) for name in names}
    means = {
        name: [np.mean([one[m] for one in runs]) for m in reversed(measures)]
        for name, runs in results.items()
    }
    plot_cells(picture, results)
    (axes,) = _figures.drawn(picture).axes
    written = {(text.get_text(), *text.xy) for text in axes.texts}
    assert written == {(name.split("-")[0], *means[name]) for name in names}
    require_drawn(
        axes,
        {
            "bidirectional": [[means[f"{cell}-both"]] for cell in ("gru", "lstm")],
            "unidirectional": [[means[f"{cell}-fwd"]] for cell in ("gru", "lstm")],
        },
    )


def test_perplexities_as_bars(picture):
    perplexities = {f"model {i}": numbers(2).tolist() for i in range(4)}
    plot_sides(picture, {"fwd": numbers(3, 3)}, perplexities)
    *_, axes = _figures.drawn(picture).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    bars = dict(zip(names, (bar.get_width() for bar in axes.patches), strict=True))
    assert bars == {name: np.mean(values) for name, values in perplexities.items()}
    for place, line in enumerate(_figures.curves(axes)):
        np.testing.assert_allclose(line, [[value, place] for value in perplexities[names[place]]])
    assert len(_figures.curves(axes)) == 4
