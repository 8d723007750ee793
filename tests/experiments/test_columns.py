"""The reader of tagged sentences: every format, and one sentence for everything it refuses."""

import gzip

import pytest

from experiments.pos_tagging.data import read_sentences, retag

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
SPLITS = "# split = train\nI\tPRON\n\n# split = dev\nknow\tVERB\n\n# split = test\n#\tSYM\n"


def write(folder, text, name="data.tsv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "tags", "expected"),
    [
        (TWO_COLUMNS, "upos", [("PRON", "VERB"), ("SYM", "NUM")]),
        (TWO_COLUMNS.replace("\n", "\r\n"), "upos", [("PRON", "VERB"), ("SYM", "NUM")]),
        ("\ufeff" + TWO_COLUMNS + "\n\n", "upos", [("PRON", "VERB"), ("SYM", "NUM")]),
        (THREE_COLUMNS, "upos", [("PRON", "VERB"), ("SYM", "NUM")]),
        (THREE_COLUMNS, "xpos", [("PRP", "VBP"), ("NN", "CD")]),
        (CONLLU, "upos", [("PRON", "VERB"), ("SYM", "NUM")]),
        (CONLLU, "xpos", [("PRP", "VBP"), ("NN", "CD")]),
    ],
)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
def test_reader_reads_words_and_tags_in_every_format(tmp_path, text, tags, expected, zipped):
    content = gzip.compress(text.encode()) if zipped else text.encode()
    path = write(tmp_path, content, "data.gz" if zipped else "data")
    sentences = read_sentences(path, tags, "test")
    assert [sentence.words for sentence in sentences] == [("I", "know"), ("#", "1")]
    assert [sentence.tags for sentence in sentences] == expected


@pytest.mark.parametrize(("split", "word"), [("train", "I"), ("dev", "know"), ("test", "#")])
def test_reader_takes_the_part_of_the_name_asked_for(tmp_path, split, word):
    (sentence,) = read_sentences(write(tmp_path, SPLITS), "upos", split)
    assert sentence.words == (word,)


def test_a_part_may_hold_several_sentences(tmp_path):
    path = write(tmp_path, SPLITS.replace("know\tVERB\n", "know\tVERB\n\nit\tPRON\n"))
    words = [sentence.words for sentence in read_sentences(path, "upos", "dev")]
    assert words == [("know",), ("it",)]


@pytest.mark.parametrize("text", [TWO_COLUMNS, THREE_COLUMNS, CONLLU])
def test_retagging_changes_the_tags_and_nothing_else(tmp_path, text):
    sentences = read_sentences(write(tmp_path, text), "upos", "test")
    blocks = [retag(one, ["X"] * len(one.tags), "upos") for one in sentences]
    retagged = "".join("\n".join(block) + "\n\n" for block in blocks)
    expected = text
    for line in text.split("\n"):
        if line and not line.startswith(("# ", "1-2", "2.1")):
            changed = line
            for tag in ("PRON", "VERB", "SYM", "NUM"):
                changed = changed.replace(f"\t{tag}", "\tX")
            expected = expected.replace(line, changed)
    assert retagged.strip("\n") == expected.strip("\n")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("# only a comment\n", "is empty"),
        ("I\tPRON\nknow\n", "line 2: 1 column"),
        ("I\nknow\n", "line 1: 1 tab-separated column"),
        ("I\tPRON\nknow\tVERB\tVBP\n", "line 2: 3 column"),
        ("I\tPRON\n\n\nknow\tVERB\n", "line 3: an empty sentence"),
        ("\nI\tPRON\n", "line 1: an empty sentence"),
        ("I\tPRON\n\n# text\n\nknow\tVERB\n", "line 4: an empty sentence"),
        ("I\tPRON\n\tVERB\n", "line 2: the word is missing"),
        ("I\tPRON\nknow\t\n", "line 2: the upos tag is missing"),
        ("I\tPRON\nknow\t_\n", "line 2: the upos tag is missing"),
        (b"I\tPRON\nknow\tVERB\n\nna\xefve\tADJ\n", "line 4: not UTF-8"),
        (SPLITS.replace("test", "more"), '"# split = test"; it has train, dev, more'),
        (CONLLU.replace("2\tknow", "2-3\tknow").replace("1\tI", "1-1\tI"), "line 1: an empty"),
    ],
)
def test_reader_refuses_with_file_and_line(tmp_path, content, sentence):
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=sentence) as refusal:
        read_sentences(path, "upos", "test")
    assert str(path) in str(refusal.value)


def test_reader_refuses_xpos_of_a_file_without(tmp_path):
    with pytest.raises(ValueError, match=r"2 tab-separated column.* xpos takes 3"):
        read_sentences(write(tmp_path, TWO_COLUMNS), "xpos", "test")


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
        read_sentences(write(tmp_path, content, "data.tsv.gz"), "upos", "test")


def test_reader_refuses_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read_sentences(tmp_path / "nowhere.tsv", "upos", "test")
    with pytest.raises(ValueError, match="is a folder"):
        read_sentences(tmp_path, "upos", "test")
