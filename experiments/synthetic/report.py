"""A picture of how one run on a made-up task learned."""

from typing import TYPE_CHECKING

from experiments.runner.pictures.figures import new_figure, save_picture
from experiments.runner.pictures.style import BLUE, GREY, SKY, tidy
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.journal import read_journal
from experiments.synthetic.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_run(folder: RunFolder, task: Task, length: int) -> None:
    """Draws curves.png: the measure of the task over the steps, beside what needs no memory."""
    records = read_journal(folder.path / "metrics.jsonl")
    figure = new_figure(6, 3.6)
    axes = figure.subplots()
    for split, color in (("train", SKY), ("dev", BLUE)):
        chosen = [record for record in records if record["split"] == split]
        steps, values = ([record[name] for record in chosen] for name in ("step", task.measure))
        axes.plot(steps, values, color=color, lw=1, label=split)
    axes.axhline(task.memoryless(length), color=GREY, ls="--", lw=1, label="without a memory")
    axes.set(title="Training and validation", xlabel="step", ylabel=task.measure)
    scale_axis(axes, task)
    tidy(axes)
    axes.legend(frameon=False)
    save_picture(figure, folder.path / "curves.png")


def scale_axis(axes: "Axes", task: Task) -> None:
    """Scales the axis of a measure: a loss in powers of ten, an accuracy in percent."""
    from matplotlib.ticker import LogLocator

    if task.measure == "loss":
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        if high < 20 * low:  # no power of ten may lie between
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(None, 1.02)
        axes.yaxis.set_major_formatter("{x:.0%}")
