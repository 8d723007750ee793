"""Entities: the schemes, the reader of columns, the scorer, and the tagger with its chain."""

import gzip
import pathlib

import jax
import numpy as np
import pytest

from birnn_jax.metrics import EntityScore, entity_f1, score_entities
from birnn_jax.text import complete_tags, convert_tags, find_scheme, spans_of_tags, tag_faults
from experiments.ner.config import Columns, EntityConfig
from experiments.ner.data import read_answers, read_data, read_entities, with_all_tags
from experiments.ner.model import decode, entity_totals, init_params
from experiments.runner.data.batches import flat_batch
from experiments.runner.data.reading import Reading
from experiments.words.data import build_vocabulary
from experiments.words.vectors import add_words, read_folded
from tests.experiments import _small_tagging

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data" / "wnut17"
SYSTEMS = {  # F1 of the seven systems of the shared task, in percent
    "uh_ritual.gz": 41.86,
    "spinningbytes.txt.gz": 40.78,
    "sjtu_adapt.txt.gz": 40.42,
    "arcada.gz": 39.98,
    "flytxt.gz": 38.35,
    "mic-cis.txt.gz": 37.06,
    "drexel_cci.gz": 26.30,
}
USUAL = Columns()
best = jax.jit(decode, static_argnames="model")
SAME = [(0, 2, "PER"), (2, 3, "PER"), (4, 5, "LOC")]
TINY = _small_tagging.OPTIONS | {"epochs": 2}
CHINESE = "王 B-PER\n小 M-PER\n明 E-PER\n在 O\n京 S-LOC\n\n\u3000 O\n# O\n\n"


@jax.jit(static_argnames="model")
def totals(model, params, batch):
    return entity_totals(model, params, batch, None)


def read(folder, text, columns=USUAL, scheme=None, name="data.txt", reading=None):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_entities(path, columns, scheme, reading or Reading())


@pytest.mark.parametrize(
    "tags",
    [
        ["B-PER", "I-PER", "B-PER", "O", "B-LOC"],
        ["I-PER", "I-PER", "B-PER", "O", "I-LOC"],
        ["B-PER", "E-PER", "S-PER", "O", "S-LOC"],
        ["B-PER", "I-PER", "B-PER", "O", "E-LOC"],
        ["I-PER", "E-PER", "E-PER", "O", "M-LOC"],
        ["B-PER", "L-PER", "U-PER", "O", "U-LOC"],
    ],
    ids=["BIO", "IOB1", "BIOES", "broken BIOES", "broken", "BILOU"],
)
def test_every_scheme_says_the_same_spans(tags):
    assert spans_of_tags(tags) == SAME
    assert convert_tags(tags, "BIO") == ["B-PER", "I-PER", "B-PER", "O", "B-LOC"]
    assert convert_tags(tags, "BIOES") == ["B-PER", "E-PER", "S-PER", "O", "S-LOC"]


@pytest.mark.parametrize(
    ("scheme", "tags", "places"),
    [
        ("BIO", "O B-P I-P I-L", [3]),
        ("BIO", "I-P I-P O I-P", [0, 3]),
        ("BIOES", "B-P O", [0]),
        ("BIOES", "B-P I-P O E-P", [1, 3]),
        ("BILOU", "B-P L-P U-L", []),
        ("BMES", "O B-P", [1]),
        ("BMES", "S-P B-P M-P E-P O", []),
        ("IOB1", "O B-P", [1]),
        ("IOB1", "I-P B-P I-L", []),
        ("IOB1", "I B O B", [3]),
        ("IO", "I-P I-P O I-L", []),
    ],
)
def test_faults_are_the_tags_that_stand_where_their_scheme_writes_others(scheme, tags, places):
    assert tag_faults(tags.split(), scheme) == places


@pytest.mark.parametrize(
    ("scheme", "sentences"),
    [
        ("BIO", ["B-P I-P B-P", "I-P"]),
        ("BIO", ["O O"]),
        ("IOB1", ["I-P B-P O I-L", "I-L", "B-P"]),
        ("IO", ["I-P I-P", "O I-L"]),
        ("BIOES", ["O", "S-P"]),
        ("BILOU", ["B-P L-P", "U-P"]),
        ("BMES", ["B-P M-P E-P"]),
    ],
)
def test_scheme_is_told_from_the_whole_file(scheme, sentences):
    assert find_scheme([tags.split() for tags in sentences]) == scheme


def test_training_on_single_entities_knows_the_tags_of_long_ones():
    assert complete_tags(["O", "B-LOC"], "BIO") == ["B-LOC", "I-LOC", "O"]
    assert complete_tags(["S"], "BIOES") == ["B", "E", "I", "S"]


def test_score_counts_entities_with_the_same_words_and_class():
    gold = [["B-PER", "I-PER", "O"], ["B-LOC", "B-PER", "I-PER"], ["O"]]
    said = [["B-PER", "I-PER", "I-LOC"], ["I-LOC", "I-PER", "O"], ["B-PER"]]
    scores = score_entities(gold, said)
    assert scores == {
        "": EntityScore(2, 5, 3),
        "LOC": EntityScore(1, 2, 1),
        "PER": EntityScore(1, 3, 2),
    }
    assert (scores[""].precision, scores[""].recall, scores[""].f1) == (2 / 5, 2 / 3, 1 / 2)
    assert score_entities([["O"]], [["O"]])[""] == EntityScore(0, 0, 0)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not beside the project")
@pytest.mark.parametrize(("name", "f1"), SYSTEMS.items())
def test_score_is_that_of_the_shared_task(name, f1):
    files = (SHARED / "emerging.test.annotated", SHARED / "submissions" / name)
    gold, said = (read_answers(path, USUAL, Reading()) for path in files)
    assert round(100 * score_entities(gold, said)[""].f1, 2) == f1


@pytest.mark.parametrize("scheme", ["BIO", "BMES"])
def test_f1_of_batches_is_that_of_the_scorer(scheme):
    tags = tuple(complete_tags(["B-PER", "B-LOC", "O"], scheme))
    rng = np.random.default_rng(0)
    lengths = np.array([9, 0, 4, 7, 9])
    labels, found = (rng.integers(0, len(tags), (5, 9)) for _ in range(2))
    found = np.where(rng.random((5, 9)) < 0.7, labels, found)
    rows = [
        [[tags[k] for k in row[:n]] for row, n in zip(some, lengths, strict=True)]
        for some in (labels, found)
    ]
    expected = score_entities(*rows)[""]
    total = entity_f1(tags, labels, found, lengths)
    assert expected.correct > 3 and expected.f1 < 1
    assert (total.sum, total.count) == (2 * expected.correct, expected.predicted + expected.gold)


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
        ("I o\nAl b-PER\n", ["tags are in small letters or without a hyphen, read as in B-PER"]),
        ("I O\nAl B_PER\n", ["tags are in small letters or without a hyphen, read as in B-PER"]),
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


@pytest.fixture(scope="module")
def tagging(tmp_path_factory):
    """Sentences, their vocabulary, and parameters with and without a chain."""
    text = "A B-PER\nB I-PER\n\nc O\nA B-PER\nc O\n\nc O\n"
    sentences = read(tmp_path_factory.mktemp("data"), text).parts[None]
    vocabulary = with_all_tags(build_vocabulary(sentences), "BIO")
    return sentences, vocabulary


@pytest.mark.parametrize("crf", [True, False], ids=["crf", "softmax"])
def test_chain_keeps_to_the_scheme_and_words_alone_do_not(tagging, crf):
    sentences, vocabulary = tagging
    config = EntityConfig(**TINY, crf=crf)
    model = config.model(vocabulary)
    assert model.tags == ("B-PER", "I-PER", "O")
    params = init_params(config, vocabulary, jax.random.key(0))
    b = params.words.tagger.b + np.array([0.0, 9.0, 0.0])  # every word alone is I-PER
    params = params._replace(words=params.words._replace(tagger=params.words.tagger._replace(b=b)))
    examples = config.encoder(vocabulary).encode_all(sentences)
    batch = flat_batch(examples, batch_size=4, length=5)
    labels = best(model, params, batch)
    first = "B-PER" if crf else "I-PER"
    assert [vocabulary.tags[k] for k in labels[1, :3]] == [first, "I-PER", "I-PER"]
    strange = batch | {"labels": np.where(batch["rows"][:, None] == 1, -1, batch["labels"])}
    losses = [
        totals(one, params, rows)["loss"]
        for one, rows in [
            (model, batch),
            (model, strange),
            (model._replace(recall_cost=20.0), batch),
        ]
    ]
    assert [loss.count for loss in losses] == [6, 3, 6]
    assert losses[2].sum - losses[0].sum > 1 and np.isfinite(losses[1].sum)


@pytest.mark.parametrize(
    "text",
    [
        "2 3\nzebra 1 2 3\na 4 5 6\n",
        "zebra 1 2 3\na 4 5 6 \n",
        "Zebra 7 7 7\nzebra 1 2 3\nZEBRA 8 8 8\nA 4 5 6",
    ],
    ids=["word2vec", "GloVe", "case"],
)
def test_training_starts_from_the_vectors_of_a_file(tagging, tmp_path, text):
    _, vocabulary = tagging
    path = tmp_path / "vectors.txt.gz"
    path.write_bytes(gzip.compress(text.encode()))
    vectors = read_folded(path, Reading(), size=3, limit=9)
    assert read_folded(path, Reading(), size=3, limit=1).keys() == {"zebra"}
    larger = add_words(vocabulary, vectors)
    config = EntityConfig(**TINY)
    words = init_params(config, larger, jax.random.key(0), vectors).words.words
    known = config.encoder(larger).encode_words(["Zebra", "a", "c"])["words"]
    np.testing.assert_array_equal(words[known[:2]], [[1, 2, 3], [4, 5, 6]])
    assert 0 < abs(words[known[2]]).max() < 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"3 4\n", "is empty"),
        (b"a 1 2\n", "has vectors of 2 numbers, not 3: give their size to --word-size"),
        (b"a 1 2 3\nb 1 2\n", "line 2: a word and 3 finite numbers were expected, got 'b 1 2'"),
        (b"a 1 2 3\nb 1 2 1e93\n", "line 2: a word and 3 finite numbers were expected"),
        (b"a 1 2 3\nb 1 x 3\n", "line 2: a word and 3 finite numbers"),
        (
            b"a 1 2 3\nna\xefve 1 2 3\n",
            "vectors.txt, line 2: not UTF-8 .*--vectors-encoding latin-1",
        ),
        (b"1 3\nab \0\0\x80?\0", "has bytes of 0: vectors in binary form"),
        (b"\xff\xfea", "line 1: not UTF-16"),
    ],
)
def test_vectors_that_cannot_be_read_are_refused(tmp_path, content, sentence):
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        read_folded(path, Reading(option="--vectors-encoding"), size=3, limit=9)


@pytest.mark.parametrize(
    ("content", "encoding", "told"),
    [
        ("5 1\né 1\nb 2\n", "latin-1", ["its first line says 5 vectors, but 2 follow."]),
        ("2 1\né 1\nb 2\n", "utf-16", ["read as UTF-16, which its byte order mark says."]),
        ("é 1\nb 2\n", "utf-8-sig", []),
        ("é 1\n\nb 2\n", "utf-8", ["line 2: an empty line; left out."]),
        ("e\u0301 1\nb 2\né 3\nb 4\nÉ 5", "utf-8", ["twice, 2 times (lines 3, 4); the first"]),
        (
            "2 1\né 1\nc\udce9 7\nb 2\nd\udce4\udcbd 7\n",
            "utf-8",
            ["a word cut within a character, 2 times (lines 3, 5)", "says 2 vectors, but 4 follow"],
        ),
    ],
    ids=["header", "UTF-16", "mark", "blank", "twice", "cut"],
)
def test_vectors_are_read_as_they_are_found_and_that_is_told(tmp_path, content, encoding, told):
    path, reading = tmp_path / "vectors.txt", Reading(encoding)
    path.write_bytes(content.encode(encoding, "surrogateescape"))
    vectors = read_folded(path, reading, size=1, limit=9)
    assert {word: float(value[0]) for word, value in vectors.items()} == {"é": 1, "b": 2}
    assert len(reading.sentences()) == len(told)
    for sentence in told:
        assert any(sentence in said for said in reading.sentences())
    if any(";" in sentence or "cut" in sentence for sentence in told):
        with pytest.raises(ValueError, match="--strict refuses"):
            read_folded(path, Reading(encoding, strict=True), size=1, limit=9)
