"""Files of entities: columns of every kind, schemes, parts, repairs, refusals."""

import gzip

import pytest

from birnn_jax.text import convert_tags
from experiments.ner.config import Columns, EntityConfig
from experiments.ner.data import read_data
from experiments.runner.data.reading import Reading
from tests.experiments._small_entities import CHINESE, USUAL, read


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("I O\nsaw O\nAl B-PER\n\n# B-LOC\n1 I-LOC\n", USUAL),
        ("I PRP O\nsaw VBD O\nAl NN B-PER\n\t\n# X B-LOC\n1 X I-LOC\n\n", USUAL),
        ("-DOCSTART- O\n\nI\tO\nsaw\tO\nAl\tB-PER \n \n#\tB-LOC\n1\tI-LOC", USUAL),
        (
            "0\tO\tI\tx\n1\tO\tsaw\tx\n2\tB-PER\tAl\tx\n\n0\tB-LOC\t#\tx\n1\tI-LOC\t1\tx",
            Columns(2, 1),
        ),
        (
            "# id 1 domain=en\r\nI O\r\nsaw O\r\nAl B-PER\r\n\r\n# id 2\r\n# B-LOC\r\n1 I-LOC",
            USUAL,
        ),
        ("I O\nsaw O\nAl I-PER\n\n# I-LOC\n1 I-LOC\n", USUAL),
        ("I o\nsaw o\nAl b_PER\n\n# B-LOC\n1 i-LOC\n", USUAL),
        ("I O\nsaw O\nAl PER\n\n# LOC\n1 LOC\n", USUAL),
        (
            "-DOCSTART- -X- O O\n\n# meta\t1\n1\tI\tO\t-\n2\tsaw\tO\t-\n3\tAl\tB-PER\t-\n\n"
            "1\t#\tB-LOC\t-\n2\t1\tI-LOC\t-\n",
            USUAL,
        ),
        (
            "# global.columns = ID FORM NE MISC\n1\tI\tO\t_\n2\tsaw\tO\t_\n3\tAl\tB-PER\t_\n\n"
            "#no = 1\n1-2\t#1\t_\t_\n1\t#\tB-LOC\t_\n2\t1\tI-LOC\t_\n",
            USUAL,
        ),
        ("I X O\nsaw X O\nAl X B-PER\n\n# id 7\n# X B-LOC\n1 X I-LOC\n", USUAL),
    ],
    ids=[
        *("two", "blanks", "tabs", "chosen", "comments", "IOB1", "small letters", "names"),
        *("numbered", "CoNLL-U Plus", "comment of three words"),
    ],
)
def test_reader_reads_columns_of_every_kind(tmp_path, text, columns):
    (sentences,) = read(tmp_path, text, columns).parts.values()
    assert [one.words for one in sentences] == [("I", "saw", "Al"), ("#", "1")]
    assert [one.tags for one in sentences] == [("O", "O", "B-PER"), ("B-LOC", "I-LOC")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("I O\nAl B-PER\nB I-PER\n", []),
        ("I x O y\nAl x B-PER y\n", ["words in column 0, tags in column 2; 0 is the first"]),
        ("I o\nAl b-PER\n", ["tags are in lower case or without a hyphen, read as in B-PER"]),
        ("I O\nAl B_PER\n", ["tags are in lower case or without a hyphen, read as in B-PER"]),
        ("I O\nAl U-PER\n", ["tags of BILOU, learned as BIOES"]),
        (
            "I O\nAl PER\n",
            ["tags are names of classes alone, read as inside", "tags of IO, learned as BIO"],
        ),
    ],
)
def test_reader_tells_how_it_understood_a_file(tmp_path, text, told):
    reading = Reading()
    read(tmp_path, text, reading=reading)
    assert len(reading.sentences()) == len(told)
    for expected, sentence in zip(told, reading.sentences(), strict=True):
        assert expected in sentence


def test_scheme_that_is_named_goes_before_the_one_found(tmp_path):
    text = "I I-PER\nAl I-PER\nB B-PER\n\nC B-PER\n\nD B-PER\n"
    for scheme, repaired in (("BIO", ["line 1"]), ("IOB1", ["lines 5, 7"])):
        reading = Reading()
        (sentence, *_) = read(tmp_path, text, scheme=scheme, reading=reading).parts[None]
        assert sentence.tags == ("B-PER", "I-PER", "B-PER")
        assert all(place in " ".join(reading.sentences()) for place in repaired)


def test_reader_reads_characters_and_their_scheme(tmp_path):
    file = read(tmp_path, gzip.compress(CHINESE.encode()), name="data.bmes.gz")
    assert file.scheme == "BMES"
    assert [one.words for one in file.parts[None]] == [tuple("王小明在京"), ("\u3000", "#")]


def test_reader_gives_the_parts_of_a_file(tmp_path):
    text = "# split = train\nI\tO\n\n# split = test\n#\tO\n\nAl\tB-PER\n"
    parts = read(tmp_path, text).parts
    words = {name: [one.words for one in part] for name, part in parts.items()}
    assert words == {"train": [("I",)], "test": [("#",), ("Al",)]}


def test_reader_leaves_empty_sentences_out_and_says_so(tmp_path):
    reading = Reading()
    file = read(tmp_path, "\nI O\n\n \nAl B-PER\n\n\n", reading=reading)
    assert len(file.parts[None]) == 2
    (sentence,) = reading.sentences()
    assert "an empty sentence, 2 times (lines 1, 4); left out" in sentence


def test_tags_that_break_the_scheme_are_repaired_counted_and_told(tmp_path):
    text = "I O\nsaw I-PER\nAl I-PER\n\nUS B-LOC\n1 I-PER\n\nB B-PER\n\nC B-PER\n"
    reading = Reading()
    file = read(tmp_path, text, reading=reading)
    assert [one.tags for one in file.parts[None]] == [
        ("O", "B-PER", "I-PER"),
        *(("B-LOC", "B-PER"), ("B-PER",), ("B-PER",)),
    ]
    (told,) = reading.sentences()
    assert "a tag that BIO does not allow where it stands, 2 times (lines 2, 6)" in told
    assert "repaired as conlleval reads it" in told
    with pytest.raises(ValueError, match=r"line 2: a tag that BIO does not allow.*--strict"):
        read(tmp_path, text, reading=Reading(strict=True))


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("I O\nAl B-PER\nB I-PER\nC B-PER\n", "BIO"),
        ("I O\nAl I-PER\nB I-PER\nC B-PER\n", "BIO"),
        ("I O\nAl B-PER\nB L-PER\nC U-PER\n", "BIOES"),
        ("I O\nAl B-PER\nB E-PER\nC S-PER\n", "BMES"),
        ("I O\nAl B-PER\nB E-PER\nC S-PER\n", "BIO"),
        ("I O\nAl B-PER\nB I-PER\nC B-PER\n", "BIOES"),
    ],
)
def test_parts_have_the_scheme_of_training(tmp_path, text, scheme):
    train, test = tmp_path / "train", tmp_path / "test"
    tags = {"BIO": "B-PER I-PER", "BIOES": "B-PER E-PER", "BMES": "B-PER M-PER E-PER"}[scheme]
    train.write_text("".join(f"{i} {tag}\n" for i, tag in enumerate(tags.split())) * 2 + "\nx O\n")
    test.write_text(text)
    config = EntityConfig(train=train, dev=test, test=test)
    parts, found = read_data(config, Reading())
    assert found == scheme
    assert [*parts["test"][0].tags] == convert_tags(["O", "B-PER", "I-PER", "B-PER"], scheme)


def test_own_training_data_is_split(tmp_path):
    path, reading = tmp_path / "own", Reading()
    path.write_text("".join(f"word{i} O\nAl B-PER\n\n" for i in range(20)))
    parts, _ = read_data(EntityConfig(train=path), reading)
    assert [len(part) for part in parts.values()] == [16, 2, 2]
    assert "2 for dev and 2 for test were split off" in reading.sentences()[0]


@pytest.mark.parametrize(
    ("content", "columns", "sentence"),
    [
        ("", USUAL, "is empty"),
        ("\n# only = a comment\n", USUAL, "is empty"),
        ("I O\nsaw\n", USUAL, "line 2: 1 column.* before have 2"),
        ("I O\nsaw X O\n", USUAL, "line 2: 3 column"),
        ("I\nsaw\n", USUAL, "line 1: 1 column"),
        ("I O\n", Columns(0, 2), "line 1: 2 column.* in columns 0 and 2"),
        ("I O\n", Columns(-3, 1), "line 1: 2 column.* in columns -3 and 1"),
        ("I\tO\n\tO\n", USUAL, "line 2: the word is missing"),
        ("I\tO\nsaw\t\n", USUAL, "line 2: the tag is missing"),
        ("I O\nAl B-PER\n\nsaw X-PER\n", USUAL, "line 4: 'X-PER' is no tag of BIO"),
        ("I O\n# comment\nAl B-PER\n", USUAL, "line 2: 'comment' is no tag of BIO"),
        ("I O\nAl B-PER\nsaw B-\n", USUAL, "line 3: 'B-' is no tag of BIO"),
        ("I O\nAl S-PER\nsaw M-PER\nB B-PER\nC I-PER\n", USUAL, "line 5: 'I-PER' is no tag of BM"),
        (b"I O\nna\xefve O\n", USUAL, "line 2: not UTF-8"),
    ],
)
def test_reader_refuses_with_file_and_line(tmp_path, content, columns, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        read(tmp_path, content, columns)
    assert str(tmp_path / "data.txt") in str(refusal.value)
