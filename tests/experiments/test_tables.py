"""Files of labels and texts in every form that is read, and what is told of each."""

import pytest

from experiments.runner.data.reading import Reading
from experiments.sentiment.tables import read_labelled

GOOD, BAD = "A fine film.", "Dull, dull."
LONG = "".join(f"{'ab'[i % 2]}\tword{i} x\n" for i in range(60))


def write(folder, content, name):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows_of(path, reading):
    return [(row.number, row.part, row.label, row.text) for row in read_labelled(path, reading)]


@pytest.mark.parametrize(
    ("name", "content", "lines", "told"),
    [
        ("a.tsv", "label\ttext\n1\t{g}\n0\t{b}\n", (2, 3), "line 1: a header line"),
        ("a.tsv", "sentence\tlabel\n{g}\t1\n{b}\t0\n", (2, 3), "line 1: a header line"),
        ("a.tsv", "id\tReview\tsource\tSentiment\n7\t{g}\tx\t1\n8\t{b}\ty\t0\n", (2, 3), "header"),
        ("a.tsv", "{g}\t1\n{b}\t0\n", (1, 2), "the label follows the text"),
        ("a.tsv", "class\tx y\n1\t{g}\n0\t{b}\n", (2, 3), "line 1: a header line"),
        ("a.csv", '"1","{g}"\n"0","{b}"\n', (1, 2), ""),
        ("a.csv", '1,A,fine film.\n0,"Dull,",dull.\n', (1, 2), ""),
        ("a.csv", 'text,label\n"{g}",1\n\n"Dull,\n dull.",0\n\n', (2, 4), "header"),
        ("a.txt", 'label,text\n1,{g}\n0,"{b}"\n', (2, 3), "line 1: a header line"),
        ("a.txt", "__label__1 {g}\n__label__0 {b}\n", (1, 2), "fastText"),
        ("a.txt", "1 {g}\n0 {b}\n\n\n", (1, 2), ""),
        ("a.tsv", '1\t"{g}"\n0\t"{b}"\n', (1, 2), "is in quotes"),
        ("a.tsv", "1\t{g}\n0\tDull,\tdull.\n", (1, 2), "line 2: a separator within a text"),
        ("a.tsv", "1\t{g}\n \n0\t\n1\n0\t{b}\n", (1, 5), "line 2: an empty line"),
        ("a.tsv", "{g}\t1\n\t1\n{b}\t0\n", (1, 3), "line 2: an empty text"),
        (
            "a.txt",
            "__label__1 {g}\n\n__label__0 \n__label__0 {b}\n",
            (1, 4),
            "line 3: an empty text",
        ),
    ],
)
def test_texts_are_read_in_every_form(tmp_path, name, content, lines, told):
    path = write(tmp_path, content.replace("{g}", GOOD).replace("{b}", BAD), name)
    reading = Reading()
    rows = rows_of(path, reading)
    assert [text for *_, text in rows] == [GOOD, BAD]
    assert [row[:3] for row in rows] == [(lines[0], None, "1"), (lines[1], None, "0")]
    sentences = reading.sentences()
    assert any(told in sentence for sentence in sentences) if told else not sentences
    if "line " in told or told in ("header", "an empty text"):
        with pytest.raises(ValueError, match="--strict refuses"):
            read_labelled(path, Reading(strict=True))


@pytest.mark.parametrize(
    "content",
    [
        "train\t1\t{g}\nValid\t0\t{b}\n",
        "train\t1\tx\t{g}\nval\t0\ty\t{b}\n",
        "split\ttext\tlabel\ntrain\t{g}\t1\ndev\t{b}\t0\n",
    ],
    ids=["three", "four", "named"],
)
def test_texts_have_parts(tmp_path, content):
    path = write(tmp_path, content.replace("{g}", GOOD).replace("{b}", BAD), "a.tsv")
    assert [row[1:] for row in rows_of(path, Reading())] == [
        ("train", "1", GOOD),
        ("dev", "0", BAD),
    ]


def test_column_of_labels_is_the_one_of_few_values(tmp_path):
    behind = "".join("{1}\t{0}\n".format(*line.split("\t")) for line in LONG.splitlines())
    for content in (LONG, behind):
        rows = rows_of(write(tmp_path, content, "a.tsv"), Reading())
        assert {row[2] for row in rows} == {"a", "b"} and rows[7][3] == "word7 x"
    single = "a\tfine\nb\tbad\na\tgood\n"  # either could be; labels come first then
    assert [row[2] for row in rows_of(write(tmp_path, single, "a.tsv"), Reading())] == [
        "a",
        "b",
        "a",
    ]


def test_quotes_within_quotes_and_lines_within_cells(tmp_path):
    reading = Reading()
    path = write(tmp_path, '1\t"He said ""no""."\n0\t"{b}"\n', "a.tsv")
    assert rows_of(path, reading)[0][3] == 'He said "no".'
    path = write(tmp_path, '1\t"Fine" film\n0\tbad\n', "a.tsv")
    assert rows_of(path, reading)[0][3] == '"Fine" film'
    path = write(tmp_path, '1,"two\n lines"\n1,"He said ""no"""\n0,x\n', "a.csv")
    assert [row[0::3] for row in rows_of(path, reading)] == [
        (1, "two lines"),
        (3, 'He said "no"'),
        (4, "x"),
    ]
    path = write(tmp_path, '1,a\n0,"x" y\n', "a.csv")
    with pytest.raises(ValueError, match=r"a.csv, line 2: .*expected after"):
        read_labelled(path, reading)


def test_corpora_in_latin_1_are_read(tmp_path):
    path = write(tmp_path, "1\tna\xefve\n0\tdull\n".encode("latin-1"), "a.tsv")
    assert rows_of(path, Reading("latin-1"))[0][3] == "na\xefve"
