"""What a command shows: help, refusals, the progress bar."""

import ast
import functools
import gc
import importlib
import io
import itertools
import pathlib
import re
import sys

import pytest
from rich.console import Console

import experiments
from experiments.music import __main__ as music
from experiments.ner import __main__ as ner
from experiments.pos_tagging import __main__ as pos_tagging
from experiments.runner.data.files import DATA
from experiments.runner.run.progress import Display
from experiments.sentiment import __main__ as sentiment
from experiments.time_series import __main__ as time_series
from tests.experiments._commands import command

ROOT = pathlib.Path(__file__).parents[2]


# What no command imports before it is needed: it would take a share of each prediction.
LATE = ("sklearn", "scipy", "matplotlib", "onnx", "onnxruntime", "spacy", "torch", "safetensors")
LATE += (
    "birnn_jax.interop.onnx",
    "birnn_jax.interop.stablehlo",
    "experiments.runner.export.folder",
)
COMMANDS = sorted(ROOT.glob("experiments/*/__main__.py"))


@functools.cache
def imported_by(path):
    """The modules that a file imports when it is imported itself."""
    found = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.parent.name)
def test_libraries_that_take_long_to_import_wait_for_those_who_use_them(path):
    reached, paths = {}, [path]
    while paths:
        path = paths.pop()
        for name in imported_by(path):
            if name not in reached:
                reached[name] = path
                file = ROOT / name.replace(".", "/")
                files = (file.with_suffix(".py"), file / "__init__.py")
                paths += [file for file in files if file.exists() and "experiments" in name]
    late = [name for name in reached if any(f"{name}.".startswith(f"{n}.") for n in LATE)]
    assert {name: str(reached[name].relative_to(ROOT)) for name in late} == {}
    assert len(reached) > 50


def test_search_for_garbage_waits_for_imports_and_is_as_usual_in_a_command(monkeypatch, capsys):
    usual = gc.get_threshold()
    importlib.reload(experiments)
    assert gc.get_threshold() == usual  # whoever imports the package is no command
    monkeypatch.setattr(sys, "argv", ["-m"])
    importlib.reload(experiments)
    rare = gc.get_threshold()
    shown(monkeypatch, capsys, pos_tagging)
    there, after = gc.get_freeze_count(), gc.get_threshold()
    gc.unfreeze()
    assert after == usual and rare[0] > 50_000 and there > 50_000


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
