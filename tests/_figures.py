"""What stands in a picture: its lines, images and words, to be compared with the results.

`recorded` keeps every figure that is saved while it is entered; the conftest of a folder enters it
once for all of its tests.
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
        _FIGURES[pathlib.Path(path).resolve()] = figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        yield


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
