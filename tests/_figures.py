"""What stands in a picture: its lines, images and words, to be compared with the results.

`recorded` keeps every figure that is saved while it is entered, and looks for what a reader would
miss in it; the conftest of a folder enters it once for all of its tests.
"""

import contextlib
import pathlib

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

_FIGURES = {}  # by the path of the picture


@contextlib.contextmanager
def recorded():
    """Keeps the figures behind the pictures, which are written with few dots: in less time."""
    save = Figure.savefig

    def savefig(figure, path, **options):
        save(figure, path, **{**options, "dpi": 50})
        complaints = find_complaints(figure)
        assert not complaints, f"{path}: {'; '.join(complaints)}"
        _FIGURES[pathlib.Path(path).resolve()] = figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        yield


def find_complaints(figure):
    """What a reader of a picture misses: a title, names of axes, a legend, numbers at the ticks."""
    drawn = [axes for axes in figure.axes if axes.axison and axes.get_visible()]
    bars = [axes for axes in drawn if axes.get_label() == "<colorbar>"]
    titles = [figure.get_suptitle()]
    titles += [axes.get_title(loc) for axes in figure.axes for loc in ("left", "center", "right")]
    complaints = [] if any(titles) else ["no title"]
    has_legend = bool(figure.legends) or any(axes.get_legend() for axes in figure.axes)
    for axes in drawn:
        for which, shared in (("x", axes.get_shared_x_axes()), ("y", axes.get_shared_y_axes())):
            named = [getattr(other, f"get_{which}label")() for other in shared.get_siblings(axes)]
            if not any(named) and not (axes in bars and (axes.get_xlabel() or axes.get_ylabel())):
                complaints.append(f"no name of axis {which}")
            complaints += _odd_ticks(getattr(axes, f"{which}axis"))
        if not has_legend and not _are_labelled(axes):
            complaints.append("several lines and no legend")
    return complaints


def _are_labelled(axes):
    """Whether a text of its colour stands by each line, or there is one line at most."""
    colors = {to_hex(line.get_color()) for line in axes.lines if _is_curve(axes, line)}
    texts = {to_hex(text.get_color()) for text in axes.texts}
    return len(colors) <= 1 or colors <= texts


def _is_curve(axes, line):
    return line.get_transform() == axes.transData and len(line.get_xdata()) > 1


def _odd_ticks(axis):
    """Powers of ten where there is less than a decade, or a factor somewhere beside the axis."""
    low, high = sorted(axis.get_view_interval())
    labels = [label.get_text() for label in axis.get_ticklabels(which="both")]
    complaints = []
    if axis.get_scale() == "log" and 0 < low and high < 10 * low:
        if any("10^" in text for text in labels) or not any(labels):
            complaints.append(f"ticks {labels} of less than a decade")
    if axis.get_offset_text().get_text():
        complaints.append(f"a factor {axis.get_offset_text().get_text()} of the ticks")
    return complaints


def drawn(path):
    """The figure of a picture; the file itself holds more than paper."""
    assert np.ptp(imread(path)[..., :3]) > 0.5
    return _FIGURES[pathlib.Path(path).resolve()]


def curves(axes):
    """The points `[N, 2]` of each line that has any, in the order of drawing."""
    lines = [line.get_xydata() for line in axes.lines if line.get_transform() == axes.transData]
    return [np.asarray(points) for points in lines if len(points)]


def words(artist):
    """Every text in a figure or in its axes that is not empty."""
    texts = [text.get_text() for text in artist.findobj(Text) if text.get_visible()]
    return [text for text in texts if text]


def images(axes):
    """The arrays that are drawn as images."""
    return [np.asarray(image.get_array()) for image in axes.images]


def named(axes, legend=None):
    """The curves by their names, which have their colours: in a legend, or beside the lines.

    `legend` are the axes that have it, where they are others.
    """
    names = {to_hex(text.get_color()): text.get_text() for text in axes.texts}
    shown = (legend or axes).get_legend()
    if shown:
        entries = zip(shown.legend_handles, shown.get_texts(), strict=True)
        names |= {to_hex(handle.get_color()): text.get_text() for handle, text in entries}
    found = {}
    for line in axes.lines:
        if line.get_transform() == axes.transData and len(line.get_xydata()):
            found.setdefault(names.get(to_hex(line.get_color())), []).append(line.get_xydata())
    return found
