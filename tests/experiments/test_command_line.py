"""What a command shows: help, refusals, the progress bar."""

import ast
import io
import itertools
import pathlib
import re
import sys

import pytest
from rich.console import Console

from experiments.music import __main__ as music
from experiments.ner import __main__ as ner
from experiments.pos_tagging import __main__ as pos_tagging
from experiments.runner.data.files import DATA
from experiments.runner.run.progress import Display
from experiments.sentiment import __main__ as sentiment
from experiments.time_series import __main__ as time_series
from tests.experiments._commands import command

ROOT = pathlib.Path(__file__).parents[2]


def test_libraries_that_take_seconds_to_import_wait_for_those_who_use_them():
    slow = {"sklearn", "onnx", "onnxruntime", "spacy", "torch"}
    found = []
    for path in sorted((ROOT / "experiments").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path}: {name}" for name in names if name.split(".")[0] in slow]
    assert not found


def shown(monkeypatch, capsys, module, *words):
    """The help of a command."""
    monkeypatch.setenv("COLUMNS", "100")
    assert command(monkeypatch, module, *words, "--help") == 0
    return capsys.readouterr().out


def names_in(text):
    return re.findall(r"^[│| ]+(--[a-z][a-z-]*)", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("module", "words"),
    [(pos_tagging, ["train"]), (ner, ["train"]), (sentiment, ["train"])],
)
def test_help_lists_files_first_and_machines_last(monkeypatch, capsys, module, words):
    names = names_in(shown(monkeypatch, capsys, module, *words))
    assert names[:2] == ["--run", "--train"]
    settings = [name for name in names if name not in names[-6:]]
    assert max(map(settings.index, ("--dev", "--test"))) < min(
        map(settings.index, ("--encoding", "--epochs", "--hidden-size", "--seed"))
    )
    assert {"--coordinator", "--process-id", "--devices", "--timeout"} < set(names[-6:])


@pytest.mark.parametrize(
    ("words", "option", "default"),
    [
        (["train"], "--freeze", "none"),
        (["predict"], "[[STR [STR ...]]]", "none"),
        (["export"], "--sizes", "none"),
        (["directions"], "--runs", "runs/pos_tagging runs/pos_tagging_fwd"),
    ],
)
def test_help_names_the_default_of_options_with_several_words(
    monkeypatch, capsys, words, option, default
):
    text = " ".join(re.sub("[│|]", " ", shown(monkeypatch, capsys, pos_tagging, *words)).split())
    said = text.partition(f" {option} ")[2].partition("(default: ")[2]
    assert said.startswith(f"{default})")


def test_help_breaks_lines_where_the_terminal_ends(monkeypatch, capsys):
    text = shown(monkeypatch, capsys, pos_tagging, "train")
    (lines,) = re.findall(r"--encoding STR .*?(?=--strict)", text, re.DOTALL)
    lines = [line.strip(" │|\n") for line in lines.splitlines()]
    assert " ".join(lines).split()[2:6] == ["Encoding", "of", "files", "of"]
    widths = [
        len(line) + len(after.split()[0]) for line, after in itertools.pairwise(lines) if after
    ]
    assert min(widths) > 60  # the first word of the next line had no room


def test_help_shows_files_from_the_working_directory(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(ROOT)
    text = shown(monkeypatch, capsys, pos_tagging, "train")
    assert str(ROOT) not in text and "experiments/data/pos_ewt" in text
    monkeypatch.chdir(tmp_path)
    text = re.sub(r"[│\s]+", "", shown(monkeypatch, capsys, pos_tagging, "train"))
    assert f"{DATA}/pos_ewt".replace(" ", "") in text


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (pos_tagging, ["train", "--epochs", 0]),
        (time_series, ["classify", "train", "--epochs", 0]),
        (music, ["compose", "train", "--epochs", 0]),
    ],
)
def test_impossible_setting_is_refused_in_one_sentence(monkeypatch, capsys, module, words):
    assert command(monkeypatch, module, *words) == 2
    assert capsys.readouterr().err == "error: epochs must be positive, got 0.\n"


def test_no_message_shows_names_that_the_parser_made(monkeypatch, capsys):
    for words in (["train", "--epochs", "many"], ["train", "--epochz", "1"], ["tune"], []):
        monkeypatch.setattr(sys, "argv", ["ner", *words])
        with pytest.raises(SystemExit):
            ner.main()
        out, err = capsys.readouterr()
        assert "dummy" not in out + err and out + err


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_bar_keeps_steps_and_time_left_in_any_terminal(width):
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    with Display(console, done=0, total=1230) as display:
        for _ in range(5):
            display._shown = 0.0
            display.step({"loss": 0.123, "accuracy": 0.9512}, 5000.0)
        paper = Console(file=io.StringIO(), width=width, color_system=None)
        paper.print(display._bar.get_renderable())
    (line,) = paper.file.getvalue().splitlines()
    assert re.match(r"step    5/1230 ", line) and re.search(r" \d\d:\d\d left *$", line)
    assert "loss" in line and ("accuracy 95.12%" in line) == (width >= 60)
