"""No picture has boxes in silence, and none lacks what its reader looks for."""

import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from experiments.runner.pictures import saving
from experiments.runner.pictures.confusion import plot_confusion
from experiments.runner.pictures.saving import save_picture
from experiments.runner.pictures.style import literal
from tests import _figures

pytestmark = pytest.mark.slow  # as all pictures of experiments


@pytest.fixture
def no_fonts(monkeypatch):
    """A machine that has the fonts of matplotlib alone."""
    own = [font for font in font_manager.fontManager.ttflist if "DejaVu" in font.name]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [])


def figure_of(title, *names, **axis):
    """A figure of a line, with the names in all places of a picture where names can be."""
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot([1, 2], [3, 4], label=names[0])
    axes.set(title=title, xlabel="x", ylabel="y", **axis)
    axes.set_xticks([1, 2], [names[0], names[-1]])
    axes.text(0.5, 0.5, names[-1], family="monospace", transform=axes.transAxes)
    axes.legend()
    return figure


def test_characters_of_the_usual_font_are_drawn_with_it_alone(tmp_path, capsys):
    figure = figure_of("Märchen", "имя", "όνομα")
    save_picture(figure, tmp_path / "a.png")
    assert capsys.readouterr().err == ""
    assert {*figure.axes[0].title.get_fontfamily()} == {"sans-serif"}


def test_characters_of_other_fonts_are_found_in_fonts_that_matplotlib_does_not_list(
    tmp_path, capsys, no_fonts
):
    figure = figure_of("คำนาม noun", "กริยา", "สวัสดี")
    save_picture(figure, tmp_path / "a.png")
    assert capsys.readouterr().err == ""
    axes = _figures.drawn(tmp_path / "a.png").axes[0]
    texts = [axes.title, *axes.get_xticklabels(), *axes.texts, *axes.get_legend().get_texts()]
    assert len(texts) == 5
    assert all(text.get_fontfamily()[-1] == "Noto Sans Thai" for text in texts)


def test_characters_of_no_font_are_named(tmp_path, capsys, no_fonts):
    save_picture(figure_of("名詞", "동사", "VERB"), tmp_path / "a.png")
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "boxes" in said
    assert all(character in said for character in "名詞동사") and "Install" in said


def test_dollars_are_no_formulas(tmp_path):
    labels = ["$$", "US$1 or A$2", "PRP$", "$x^$"]
    plot_confusion(tmp_path / "a.png", labels, labels[::-1])
    texts = {text.get_text() for text in _figures.drawn(tmp_path / "a.png").findobj(Text)}
    assert {literal(label) for label in labels} <= texts
    shown = Text(text=literal(labels[1]))
    assert shown._preprocess_math(shown.get_text()) == (labels[1], False)


def test_ticks_of_less_than_a_decade_are_plain_numbers(tmp_path):
    figure = figure_of("Loss", "a", "b", yscale="log", ylim=(0.31, 0.9))
    save_picture(figure, tmp_path / "a.png")
    labels = figure.axes[0].get_yticklabels(which="both")
    assert {"0.4", "0.9"} <= {label.get_text() for label in labels}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda axes: axes.set_title(""), "no title"),
        (lambda axes: axes.set_xlabel(""), "no name of axis x"),
        (lambda axes: axes.set_ylabel(""), "no name of axis y"),
        (lambda axes: axes.get_legend().remove(), "several lines and no legend"),
        (lambda axes: axes.set(yscale="log", ylim=(0.31, 0.9)), "of less than a decade"),
        (lambda axes: axes.set_ylim(0, 1e9), "a factor"),
    ],
)
def test_what_a_picture_lacks_is_found(tmp_path, change, complaint):
    figure = figure_of("title", "a", "b")
    axes = figure.axes[0]
    axes.plot([1, 2], [4, 3], color="red")
    assert _figures.find_complaints(figure) == []
    change(axes)
    with pytest.raises(AssertionError, match=complaint):
        figure.savefig(tmp_path / "a.png")


def test_fonts_of_boxes_are_never_taken():
    assert saving._BOXES_ONLY.search("Last Resort High-Efficiency")
    assert saving._BOXES_ONLY.search(".LastResort")
