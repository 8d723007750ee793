"""What every `predict` shares: where texts come from, how answers are written, the bar."""

import gzip
import io
import json
import re
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.runner.data.batches import Batches, by_rows
from experiments.runner.data.reading import Reading
from experiments.runner.run.command_line import run_command
from experiments.runner.run.predicting import Predictor, PredictTexts
from experiments.synthetic.sequences import read_sequence, write_answer
from tests.experiments._commands import standard_input

TEXTS = ["one", "two words", "dre\u0301i", "[bold]four[/bold]", "five"]


class Shout(PredictTexts):
    """Answers with capital letters, two at once."""

    what = "line"

    def run(self):
        """Answers and prints."""
        lines = self.lines(lambda encoding: Reading(encoding or "latin-1"))
        predictor = Predictor(
            predict=lambda some: [line.text.upper() for line in some],
            text=lambda line, found: f"{line.text}: {found}",
            record=lambda line, found: {"text": line.text, "found": found},
            at_once=2,
        )
        self.write(lines, predictor)


@pytest.fixture
def shout(monkeypatch, capsys, tmp_path):
    """Runs the command: exit status, standard output, standard error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["shout", "--run", str(tmp_path), *map(str, words)])
        status = 0
        try:
            run_command("shout", Shout, "Shouts.")
        except SystemExit as leaving:
            status = leaving.code
        return status, *capsys.readouterr()

    return run


def test_arguments_a_file_and_standard_input_are_answered_alike(shout, tmp_path, monkeypatch):
    plain, packed = tmp_path / "texts.txt", tmp_path / "texts.gz"
    content = "\r\n".join(TEXTS).encode()
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    want = (0, "".join(f"{text}: {text.upper()}\n" for text in TEXTS), "")
    assert shout(*TEXTS) == want
    for path in (plain, packed):
        assert shout("--file", path, "--encoding", "utf-8") == want
    for words in ([], ["--file", "-"]):
        standard_input(monkeypatch, content)
        assert shout(*words) == want


def test_json_lines_hold_what_the_texts_say(shout):
    status, out, err = shout("--json", *TEXTS)
    records = [json.loads(line) for line in out.splitlines()]
    assert (status, err) == (0, "")
    assert records == [{"text": text, "found": text.upper()} for text in TEXTS]


def test_empty_lines_of_a_file_are_left_out_and_told(shout, tmp_path):
    path = tmp_path / "gaps.txt"
    path.write_text("a\n\n  \nb\n")
    status, out, err = shout("--file", path)
    assert (status, out) == (0, "a: A\nb: B\n")
    assert "an empty line, 2 times (lines 2, 3); left out." in " ".join(err.split())


@pytest.mark.parametrize(
    ("content", "words", "sentence"),
    [
        (b"", [], "standard input is empty: there is no line in it."),
        (b"\n \n", [], "standard input is empty: there is no line in it."),
        (b"\x00\x01\x02", [], "standard input is not text: line 1 contains a zero byte."),
        (b"ok\n\xff\xfe", [], "standard input, line 2: not UTF-8"),
        (b"", ["", "b"], "Line 1 is empty: there is nothing to read in it."),
        (b"", ["a", "  "], "Line 2 is empty: there is nothing to read in it."),
        (b"", ["--file", "no/such"], "no/such does not exist."),
        (b"", ["--file", "."], ". is a folder; a file was expected."),
        (b"", ["a", "--file", "b"], "Give the lines as arguments or with --file, not both."),
        (b"", ["--file", "-", "--encoding", "utf-9"], "There is no encoding 'utf-9'"),
    ],
)
def test_what_cannot_be_read_is_refused_before_any_answer(
    shout, monkeypatch, content, words, sentence
):
    standard_input(monkeypatch, content)
    status, out, err = shout(*words)
    assert (status, out) == (1, "") and sentence in " ".join(err.split())
    assert err.startswith("error: ") and err.count("\n") == 1


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Says so."""
        return True


@pytest.mark.parametrize(
    ("count", "is_terminal", "shown"), [(5, True, True), (2, True, False), (5, False, False)]
)
def test_bar_is_for_long_inputs_and_never_among_the_answers(
    shout, monkeypatch, count, is_terminal, shown
):
    error = Terminal() if is_terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", error)
    status, out, _ = shout(*TEXTS[:count])
    assert (status, out) == (0, "".join(f"{t}: {t.upper()}\n" for t in TEXTS[:count]))
    assert (f"5/{count}" in re.sub(r"\s", "", error.getvalue())) == shown


def test_bar_is_not_shown_between_answers_on_a_terminal(shout, monkeypatch):
    error, out = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stderr", error)
    monkeypatch.setattr(sys, "stdout", out)
    shout(*TEXTS)
    assert error.getvalue() == "" and out.getvalue().count("\n") == 5


def test_rows_of_batches_come_in_the_order_of_the_examples():
    rng = np.random.default_rng(0)
    examples = [{"xs": rng.normal(size=[n, 2]).astype("f")} for n in (3, 7, 1, 5, 2, 6, 4)]
    batches = Batches(examples, buckets=(4, 8), tokens_per_batch=16)
    assert any((batches[i]["rows"] < 0).any() for i in range(len(batches)))  # padding

    def compute(batch):
        return {"sum": jnp.where(batch["rows"][:, None] >= 0, batch["xs"].sum(axis=1), jnp.nan)}

    found = by_rows(batches, compute)
    assert len(found) == len(examples)
    for example, row in zip(examples, found, strict=True):
        np.testing.assert_allclose(row["sum"], example["xs"].sum(axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("task", "text", "sentence"),
    [
        ("parity", "012", "is not a sequence of digits from 0 to 1"),
        ("order", "1" * 9, "has 9 steps; the task order needs at least 10"),
        ("adding", "0.1 half*", "is not numbers such as 0.3 0.5*"),
    ],
)
def test_text_that_is_no_sequence_of_the_task_is_refused(task, text, sentence):
    with pytest.raises(ValueError, match=f"Sequence 3 {re.escape(sentence)}"):
        read_sequence(task, text, "Sequence 3")


def test_answers_stand_where_the_task_asks():
    outputs = np.eye(4)[np.arange(16) % 2]  # class 0, 1, 0, ...
    assert write_answer("parity", outputs[:5]) == "01010"
    assert write_answer("xor", outputs) == "--" + "01" * 6 + "--"  # at a distance of two
    assert write_answer("order", np.eye(4)[[3, 0, 2]]) == "10"
    assert write_answer("adding", np.array([[9.0], [1.25]])) == "1.2500"
