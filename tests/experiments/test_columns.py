"""The reader of tagged sentences: every format, and one sentence for everything it refuses."""

import gzip

import pytest

from experiments.pos_tagging.data import read_data, read_sentences, read_tagged, retag
from experiments.runner.data.reading import Reading

TWO_COLUMNS = "I\tPRON\nknow\tVERB\n\n#\tSYM\n1\tNUM\n"
THREE_COLUMNS = "# a comment\nI\tPRON\tPRP\nknow\tVERB\tVBP\n\n#\tSYM\tNN\n1\tNUM\tCD\n\n"
CONLLU = """# sent_id = 1
1-2\tIknow\t_\t_\t_\t_\t_\t_\t_\t_
1\tI\tI\tPRON\tPRP\t_\t2\tnsubj\t_\t_
2\tknow\tknow\tVERB\tVBP\t_\t0\troot\t_\t_
2.1\tgone\tgo\tVERB\tVBN\t_\t_\t_\t_\t_

# sent_id = 2
1\t#\t#\tSYM\tNN\t_\t0\troot\t_\t_
2\t1\t1\tNUM\tCD\t_\t1\tnummod\t_\t_

"""
PLUS = """# global.columns = ID FORM UPOS XPOS NE
#text = I know\tso\twell
1-2\tIknow\t_\t_\t_
1\tI\tPRON\tPRP\tO
2\tknow\tVERB\tVBP\tO

#tabs\there\tand\tthere\tO
1\t#\tSYM\tNN\tO
2\t1\tNUM\tCD\tO
"""
NUMBERED = "1\tI\tPRON\tPRP\n2\tknow\tVERB\tVBP\n\n1\t#\tSYM\tNN\n2\t1\tNUM\tCD\n"
SPLITS = "# split = train\nI\tPRON\n\n# split = dev\nknow\tVERB\n\n# split = test\n#\tSYM\n"
UPOS, XPOS = [("PRON", "VERB"), ("SYM", "NUM")], [("PRP", "VBP"), ("NN", "CD")]


def write(folder, text, name="data.tsv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(path, tags="upos", part="test", reading=None):
    return read_sentences(path, tags, part, reading or Reading())


@pytest.mark.parametrize(
    ("text", "tags", "expected"),
    [
        (TWO_COLUMNS, "upos", UPOS),
        (TWO_COLUMNS.replace("\n", "\r\n"), "upos", UPOS),
        ("\ufeff" + TWO_COLUMNS + "\n\n", "upos", UPOS),
        (THREE_COLUMNS, "upos", UPOS),
        (THREE_COLUMNS, "xpos", XPOS),
        (CONLLU, "upos", UPOS),
        (CONLLU, "xpos", XPOS),
        (PLUS, "upos", UPOS),
        (PLUS, "xpos", XPOS),
        (NUMBERED, "xpos", XPOS),
        (TWO_COLUMNS.replace("\t", " "), "upos", UPOS),
        (THREE_COLUMNS.replace("\t", "  \t "), "xpos", XPOS),
        ("-DOCSTART- -X- O O\n\n" + TWO_COLUMNS, "upos", UPOS),
    ],
)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
def test_reader_reads_words_and_tags_in_every_format(tmp_path, text, tags, expected, zipped):
    content = gzip.compress(text.encode()) if zipped else text.encode()
    path = write(tmp_path, content, "data.gz" if zipped else "data")
    sentences = read(path, tags)
    assert [sentence.words for sentence in sentences] == [("I", "know"), ("#", "1")]
    assert [sentence.tags for sentence in sentences] == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\n\nI\tPRON\nknow\tVERB\n\n\n \t\n#\tSYM\n1\tNUM\n\n\n", "an empty sentence, 4 times"),
        ("#x\nI\tPRON\nknow\tVERB\n\n# no\ttab\there\n#\tSYM\n1\tNUM\n", ""),
        ("# a = b\tc\nI\tPRON\nknow\tVERB\n\n# text\n\n#\tSYM\n1\tNUM\n", ""),
        ("I\tPRON\nknow\tVERB\n\u3000\n#\tSYM\n1\tNUM\n", "line 3: a line of nothing but wide"),
        ("I\tPRON\nknow VERB\n\n#\tSYM\n1\t\tNUM\n", "2 times (lines 2, 5); read all the same"),
        ("token\tupos\nI\tPRON\nknow\tVERB\n\n#\tSYM\n1\tNUM\n", "line 1: a header line; left"),
        ("I PRON\nknow\tVERB\n\n# SYM\n1 NUM\n", ""),
    ],
    ids=["blank", "comments", "settings", "wide", "mixed", "header", "tabs among blanks"],
)
def test_reader_bridges_what_can_only_be_meant_in_one_way(tmp_path, text, told):
    path, reading = write(tmp_path, text), Reading()
    sentences = read(path, reading=reading)
    assert [sentence.words for sentence in sentences] == [("I", "know"), ("#", "1")]
    assert [sentence.tags for sentence in sentences] == UPOS
    assert [told in sentence for sentence in reading.sentences()] == [True] * bool(told)
    strict = pytest.raises(ValueError, match=r"--strict") if told else pytest.MonkeyPatch.context()
    with strict:
        read(path, reading=Reading(strict=True))


@pytest.mark.parametrize(("split", "word"), [("train", "I"), ("dev", "know"), ("test", "#")])
def test_reader_takes_the_part_of_the_name_asked_for(tmp_path, split, word):
    (sentence,) = read(write(tmp_path, SPLITS), part=split)
    assert sentence.words == (word,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I\tPRON\nknow\tVERB\n\nword\tpos\n", [("I", "know"), ("word",)]),
        ("Word\tNOUN\nis\tVERB\n", [("Word", "is")]),
        ("1\tNUM\n2\tNUM\n", [("1", "2")]),
        ("7\tNUM\tCD\n8\tNUM\tCD\n", [("7", "8")]),
        ("1\tNUM\tCD\n\n2\tNUM\tCD\n3\tNUM\tCD\n", [("1",), ("2", "3")]),
        ("#id = 5\nI PRON PRP\n\n#id = 6\n#1 SYM NN\n", [("I",), ("#1",)]),
    ],
    ids=["header below", "one name", "two numbers", "from seven", "one and two", "settings"],
)
def test_reader_takes_words_for_words(tmp_path, text, words):
    reading = Reading(strict=True)
    assert [one.words for one in read(write(tmp_path, text), reading=reading)] == words


def test_a_part_may_hold_several_sentences(tmp_path):
    path = write(tmp_path, SPLITS.replace("know\tVERB\n", "know\tVERB\n\nit\tPRON\n"))
    assert [sentence.words for sentence in read(path, part="dev")] == [("know",), ("it",)]


def test_own_training_data_is_split_and_never_measured_by_the_bundled_one(tmp_path):
    lines = "".join(f"word{i}\tX\n.\tP\n\n" for i in range(40))
    path, reading = write(tmp_path, lines), Reading()
    parts = read_data(path, None, None, tags="upos", reading=reading)
    assert [len(part) for part in parts.values()] == [32, 4, 4]
    assert len({one.words for part in parts.values() for one in part}) == 40
    (told,) = reading.sentences()
    assert "of its 40 items 4 for dev and 4 for test were split off" in told


@pytest.mark.parametrize("text", [TWO_COLUMNS, THREE_COLUMNS, CONLLU, PLUS, "I PRON\nknow\tVERB"])
def test_retagging_changes_the_tags_and_nothing_else(tmp_path, text):
    sentences = read(write(tmp_path, text))
    blocks = [retag(one, ["X"] * len(one.tags)) for one in sentences]
    retagged = "".join("\n".join(block) + "\n\n" for block in blocks)
    expected = text
    for line in text.split("\n"):
        if line and not line.startswith(("# ", "1-2", "2.1")):
            changed = line
            for tag in ("PRON", "VERB", "SYM", "NUM"):
                changed = changed.replace(f"\t{tag}", "\tX").replace(f" {tag}", " X")
            expected = expected.replace(line, changed)
    assert retagged.strip("\n") == expected.strip("\n")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("# only a comment\n", "is empty"),
        ("-DOCSTART-\tX\n\n", "is empty"),
        ("I\tPRON\nknow\n", "line 2: 1 column"),
        ("I\nknow\n", "line 1: 1 column"),
        ("I\tPRON\nknow\tVERB\tVBP\n", "line 2: 3 column"),
        ("I\tPRON\n#know\nit\tPRON\n", "line 2: 1 column"),
        ("I\tPRON\n\tVERB\n", "line 2: the word is missing"),
        ("I\tPRON\nknow\t\n", "line 2: the upos tag is missing"),
        ("I\tPRON\nknow\t_\n", "line 2: the upos tag is missing"),
        (b"I\tPRON\nknow\tVERB\n\nna\xefve\tADJ\n", "line 4: not UTF-8"),
        ("I\ta\tb\tc\td\n", "line 1: 5 columns, but reading upos takes 2"),
        (SPLITS.replace("test", "more"), "has no part test; it has train, dev, more"),
        (PLUS.replace(" UPOS", " TAG"), "has no column UPOS; its columns are ID, FORM, TAG"),
        (CONLLU.replace("1\tI", "1-1\tI"), "no line that begins with the number"),
    ],
)
def test_reader_refuses_with_file_and_line(tmp_path, content, sentence):
    content = content.split("\n2\t")[0] if "1-1" in str(content) else content
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=sentence) as refusal:
        read(path)
    assert str(path) in str(refusal.value)


def test_reader_refuses_xpos_of_a_file_without(tmp_path):
    with pytest.raises(ValueError, match=r"2 columns, but reading xpos takes 3"):
        read(write(tmp_path, TWO_COLUMNS), "xpos")


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(TWO_COLUMNS.encode())[:-10],
        b"not zipped",
        gzip.compress(TWO_COLUMNS.encode())[:-8] + bytes(8),
        gzip.compress(TWO_COLUMNS.encode())[:12] + b"\xff" * 12,
    ],
    ids=["cut", "plain", "checksum", "garbage"],
)
def test_reader_refuses_broken_gzip(tmp_path, content):
    with pytest.raises(ValueError, match="cannot be unzipped"):
        read_tagged(write(tmp_path, content, "data.tsv.gz"), "upos", Reading())


def test_reader_refuses_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read(tmp_path / "nowhere.tsv")
    with pytest.raises(ValueError, match="is a folder"):
        read(tmp_path)
