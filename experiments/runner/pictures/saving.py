"""Pictures are saved here: every character has a glyph or is named, and ticks are plain numbers."""

import contextlib
import functools
import itertools
import logging
import pathlib
import re
import sys
import warnings
from collections.abc import Iterable, Iterator

from matplotlib import font_manager
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from matplotlib.ticker import FormatStrFormatter

from experiments.runner.data.files import DATA

# Families in the order in which they are tried; any other comes after them.
_PREFERRED = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans", "Source Han Sans SC")
_PREFERRED += ("PingFang SC", "Hiragino Sans", "Microsoft YaHei", "WenQuanYi Zen Hei")
_SHIPPED = DATA / "NotoSansThai.ttf"  # few systems have Thai
_BOXES_ONLY = re.compile(r"last\s?resort", re.IGNORECASE)  # a font that draws boxes for everything
_MISSING = re.compile(r"Glyph (\d+) .*missing from")
_LOGGER = logging.getLogger("matplotlib.font_manager")
_NAMED = 8  # characters that a message names


def save_picture(figure: Figure, path: pathlib.Path, *, dpi: int = 150) -> None:
    """Saves a figure as a picture.

    Characters that the usual font lacks are drawn with other fonts of this machine. Those that no
    font has are named on standard error.
    """
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            _make_ticks_plain(axis)
    missing = _save(figure, path, dpi)
    if missing and (families := find_families(missing)):
        for text in figure.findobj(Text):
            if missing & set(text.get_text()):
                text.set_fontfamily([*text.get_fontfamily(), *families])
        missing = _save(figure, path, dpi)
    if missing:
        names = ", ".join(sorted(missing)[:_NAMED])
        rest = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        print(
            f"{path} shows boxes: no font of this machine has the characters {names}{rest}. "
            "Install one that has them, such as Noto Sans of that script, and draw again.",
            file=sys.stderr,
        )


def find_families(characters: set[str]) -> list[str]:
    """Families of fonts of this machine that together have as many of the characters as can be."""
    lacking, families = set(characters), []
    for font in itertools.chain(_known_fonts(), _new_fonts()):
        found = {character for character in lacking if ord(character) in _glyphs_of(font)}
        if found:
            families.append(font.name)
            lacking -= found
        if not lacking:
            break
    return families


def _save(figure: Figure, path: pathlib.Path, dpi: int) -> set[str]:
    """Saves; returns the characters that became boxes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", message="Glyph")
        _LOGGER.setLevel(logging.ERROR)  # not that a font is not bold
        figure.savefig(path, dpi=dpi)
    missing = set()
    for warning in caught:
        match = _MISSING.match(str(warning.message))
        if match:
            missing.add(chr(int(match[1])))
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return missing


def _make_ticks_plain(axis: Axis) -> None:
    """Numbers as they are spoken on a logarithmic axis that spans less than a decade."""
    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() == "log" and 0 < low and high < 10 * low and not _has_own(axis):
        for which in (axis.set_major_formatter, axis.set_minor_formatter):
            which(FormatStrFormatter("%g"))


def _has_own(axis: Axis) -> bool:
    """Whether the picture itself says what stands at the ticks."""
    return not (axis.isDefault_majfmt and axis.isDefault_minfmt)


def _known_fonts() -> Iterator[FontEntry]:
    """Upright fonts that matplotlib has listed, in the order in which to try them."""

    def order(font: FontEntry) -> tuple[int, bool, bool, str]:
        place = _PREFERRED.index(font.name) if font.name in _PREFERRED else len(_PREFERRED)
        return place, "Sans" not in font.name, "Mono" in font.name, font.name

    for font in sorted(font_manager.fontManager.ttflist, key=order):
        is_plain = font.style == "normal" and font.weight in (400, "normal", "regular")
        if is_plain and not _BOXES_ONLY.search(font.name):
            yield font


def _new_fonts() -> Iterator[FontEntry]:
    """The same of fonts that were installed after matplotlib made its list, and of ours."""
    listed = {font.fname for font in font_manager.fontManager.ttflist}
    for path in {*font_manager.findSystemFonts(), str(_SHIPPED)} - listed:
        with contextlib.suppress(OSError, RuntimeError):  # a file that FreeType cannot read
            font_manager.fontManager.addfont(path)
    yield from (font for font in _known_fonts() if font.fname not in listed)


def _glyphs_of(font: FontEntry) -> Iterable[int]:
    return _read_glyphs(font.fname, getattr(font, "index", 0))


@functools.cache
def _read_glyphs(path: str, index: int) -> frozenset[int]:
    try:
        font = FT2Font(path, face_index=index) if index else FT2Font(path)
        return frozenset(font.get_charmap())
    except (OSError, RuntimeError):  # a file that FreeType cannot read
        return frozenset()
