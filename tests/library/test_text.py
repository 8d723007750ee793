"""Vocabularies, CoNLL files, vectors and tag schemes."""

import collections
import gzip
import itertools
import json
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birnn_jax.heads import tag_constraints
from birnn_jax.text import (
    Reading,
    Vocabulary,
    build_vocabulary,
    complete_tags,
    convert_tags,
    embedding_table,
    find_scheme,
    graphemes,
    read_columns,
    read_conll,
    read_vectors,
    spans_of_tags,
    tag_faults,
)

TOKENS = st.text(alphabet="abé漢👩 <>\n", max_size=3)
SCHEMES = ["BIO", "IOB1", "IO", "BIOES", "BILOU", "BIOUL", "BMES"]


@given(
    sequences=st.lists(st.lists(TOKENS, max_size=8), max_size=8),
    min_count=st.integers(1, 3),
    max_size=st.none() | st.integers(1, 5),
    padding=st.booleans(),
    unknown=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_vocabulary_has_the_frequent_tokens_and_gives_them_back(
    tmp_path_factory, sequences, min_count, max_size, padding, unknown
):
    options = {"min_count": min_count, "max_size": max_size}
    found = build_vocabulary(sequences, padding=padding, unknown=unknown, **options)
    counts = collections.Counter(token for tokens in sequences for token in tokens)
    frequent = {token for token, count in counts.items() if count >= min_count}
    assert set(found.tokens) <= frequent
    assert len(found.tokens) == min(len(frequent), max_size or len(frequent))
    left_out = [counts[token] for token in frequent - set(found.tokens)]
    assert max(left_out, default=0) <= min(map(counts.get, found.tokens), default=0) or not left_out
    assert build_vocabulary(sequences[::-1], padding=padding, unknown=unknown, **options) == found
    numbers = found.encode(found.tokens)
    assert numbers.dtype == np.int32
    assert numbers.tolist() == list(range(padding + unknown, len(found)))
    assert found.decode(numbers) == list(found.tokens)
    path = tmp_path_factory.mktemp("saved") / "a.json"
    found.save(path)
    assert Vocabulary.load(path) == found
    assert [found.index(token) for token in found.tokens] == numbers.tolist()
    assert all(token in found for token in found.tokens) and "zz" not in found


def test_numbers_of_padding_and_of_unknown_tokens():
    both = Vocabulary(("<unk>", "b"))
    assert (both.padding_index, both.unknown_index) == (0, 1)
    assert both.encode(["b", "x", "<unk>"]).tolist() == [3, 1, 2]
    assert both.decode(np.array([[0, 1], [2, 3]])) == ["<pad>", "<unk>", "<unk>", "b"]
    words = Vocabulary(("a",), padding=False)
    assert (words.padding_index, words.unknown_index, words.encode("xa").tolist()) == (
        *(None, 0),
        [0, 1],
    )
    padded = Vocabulary(("a",), unknown=False)
    assert (padded.padding_index, padded.unknown_index, padded.index("a")) == (0, None, 1)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: Vocabulary("ab"), TypeError, "tokens must be several strings, got one"),
        (lambda: Vocabulary(("a", "b", "a")), ValueError, "The token 'a' stands there twice"),
        (lambda: Vocabulary((1,)), TypeError, "tokens must be strings, got 1 among them"),
        (lambda: build_vocabulary("ab"), TypeError, "several sequences of tokens, got one string"),
        (
            lambda: build_vocabulary([["ab"]], min_count=0),
            ValueError,
            "min_count must be at least 1",
        ),
        (
            lambda: Vocabulary(("a",), unknown=False).encode(["a", "z", "y"]),
            ValueError,
            "does not have 'y', 'z', and it has no unknown token",
        ),
        (lambda: Vocabulary(("a",)).decode([3]), ValueError, "are 0 to 2, got 3"),
        (lambda: Vocabulary(("a",)).decode([-1]), ValueError, "are 0 to 2, got -1. Cut padding"),
        (lambda: convert_tags(["O"], "BIOSE"), ValueError, "scheme must be"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"tokens": ["a"]}',
        '{"kind": 1, "tokens": "a", "padding": true, "unknown": true}',
        '{"kind": 1, "tokens": ["a", "a"], "padding": true, "unknown": true}',
        '{"kind": 1, "tokens": ["a"], "padding": 1, "unknown": true}',
        "[" * 10**5,
    ],
)
def test_what_is_no_vocabulary_is_not_loaded(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"a\.json is not a vocabulary"):
        Vocabulary.load(path)


def test_vocabulary_is_saved_as_readable_json(tmp_path):
    Vocabulary(("漢",)).save(tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "漢" in text and json.loads(text)["tokens"] == ["漢"]


def test_words_are_not_taken_for_characters_in_silence():
    words = ["rose", "is", "a"]
    with pytest.warns(
        DeprecationWarning, match=r"the string 'rose'.*words give \[words\].*refuses"
    ):
        silent = build_vocabulary(words)
    assert silent == build_vocabulary(map(list, words))
    assert build_vocabulary([words]).tokens == ("a", "is", "rose")
    assert build_vocabulary(["O", "B", "O"]).tokens == ("O", "B")  # which has one meaning


def test_graphemes_keep_marks_with_their_letters():
    text = "e\u0301x हिन्दी👨‍👩‍👧🇩🇪"
    found = graphemes(text)
    assert "".join(found) == text and found[:2] == ["e\u0301", "x"]
    assert found[3:] == ["हि", "न्दी", "👨‍👩‍👧", "🇩🇪"]
    assert build_vocabulary(map(graphemes, [text]), padding=False).unknown_index == 0


# --------------------------------------------------------------------------------------- columns

CONLL = "-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\nPeter NNP B-PER\n"
CONLLU = """# sent_id = 1
1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_
1\tde\tde\tADP\t_\t_\t2\tcase\t_\t_
2\tle\tle\tDET\t_\t_\t0\troot\t_\t_
"""
SPLIT = "# split = train\na\tX\n\n# split = dev\nb\tY\n\nc\tZ\n"


def write(folder, text, name="a.txt"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "options", "sentences"),
    [
        (CONLL, {}, [(("EU", "rejects"), ("B-ORG", "O")), (("Peter",), ("B-PER",))]),
        (CONLL, {"columns": (1,)}, [(("NNP", "VBZ"),), (("NNP",),)]),
        (CONLL, {"columns": (-1, 0, -3)}, [
            (("B-ORG", "O"), ("EU", "rejects"), ("EU", "rejects")),
            (("B-PER",), ("Peter",), ("Peter",)),
        ]),
        (CONLLU, {"columns": ("FORM", "UPOS")}, [(("de", "le"), ("ADP", "DET"))]),
        (CONLLU, {"columns": ("FORM", 3, "HEAD")}, [(("de", "le"), ("ADP", "DET"), ("2", "0"))]),
        ("# global.columns = FORM NE\nx\tO\n", {"columns": ("NE", "FORM")}, [(("O",), ("x",))]),
        (SPLIT, {"part": "dev"}, [(("b",), ("Y",)), (("c",), ("Z",))]),
        (SPLIT, {}, [(("a",), ("X",)), (("b",), ("Y",)), (("c",), ("Z",))]),
        ("1\ta\tX\n2\tb\tY\n", {}, [(("a", "b"), ("X", "Y"))]),
    ],
)  # fmt: skip
def test_conll_gives_the_columns_that_are_wanted(tmp_path, text, options, sentences):
    assert read_conll(write(tmp_path, text), **options) == sentences
    zipped = write(tmp_path, gzip.compress(text.encode()), "a.gz")
    assert read_conll(str(zipped), **options) == sentences


def test_what_is_repaired_is_noted_or_warned_of_or_refused(tmp_path):
    path = write(tmp_path, "token\ttag\nca\xf1a\tX\n\n\n\nb\tY\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"line 2: not UTF-8 .* for example Reading\('latin-1'\)"):
        read_conll(path)
    reading = Reading("latin-1")
    want = [(("ca\xf1a",), ("X",)), (("b",), ("Y",))]
    assert read_conll(path, reading=reading) == want
    header, empty = reading.sentences()
    assert "line 1: a header line; left out" in header and "(lines 4, 5)" in empty
    with pytest.raises(ValueError, match="line 1: a header line; strict=True refuses that"):
        read_conll(path, reading=Reading("latin-1", strict=True))
    plain = write(tmp_path, "a\tX\n\n\nb\tY\n")
    with pytest.warns(UserWarning, match="line 3: an empty sentence; left out") as warned:
        assert len(read_conll(plain)) == 2
    assert [one.filename for one in warned] == [__file__]
    with pytest.warns(UserWarning, match="an empty sentence") as warned:
        assert len(read_columns(plain).blocks) == 2
    assert [one.filename for one in warned] == [__file__]


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        (CONLL, {"columns": ("UPOS",)}, "has no column UPOS; its columns have no names; give pos"),
        (CONLLU, {"columns": ("NER",)}, "has no column NER; its columns are ID, FORM"),
        (CONLL, {"columns": (0, 3)}, "has 3 columns, but column 3 is wanted"),
        (CONLL, {"columns": (-4,)}, "has 3 columns, but column -4 is wanted"),
        (SPLIT, {"part": "test"}, "has no part test; it has dev, train"),
        (CONLL, {"part": "test"}, "has no part test; no line of it is # split ="),
        ("a\tX\nb\t\n", {}, "line 2: column 1 is empty"),
        ("a\tX\nb\n", {}, "line 2: 1 column"),
        ("", {}, "is empty"),
    ],
)
def test_what_is_not_in_a_file_is_named(tmp_path, text, options, sentence):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=sentence) as refusal:
        read_conll(path, **options)
    assert str(path) in str(refusal.value)


# --------------------------------------------------------------------------------------- vectors


@pytest.mark.parametrize("head", ["", "3 2\n"], ids=["GloVe", "word2vec"])
@pytest.mark.parametrize("zipped", [False, True])
def test_vectors_are_read_in_the_usual_formats(tmp_path, head, zipped):
    text = head + "The 1 2\ncat 0.5 -1e-3 \nthe 3 4\n"
    content = gzip.compress(text.encode()) if zipped else text.encode()
    path = write(tmp_path, content, "a.vec" + ".gz" * zipped)
    found = read_vectors(path)
    assert list(found) == ["The", "cat", "the"] and found["cat"].dtype == np.float32
    np.testing.assert_allclose(np.stack([*found.values()]), [[1, 2], [0.5, -1e-3], [3, 4]])
    lower = read_vectors(path, form=str.lower, size=2)
    assert {word: vector.tolist() for word, vector in lower.items()}["the"] == [3, 4]
    assert list(read_vectors(path, limit=2)) == ["The", "cat"]
    with pytest.raises(ValueError, match="has vectors of 2 numbers, not 3"):
        read_vectors(path, size=3)


def test_known_words_get_their_vectors_and_others_keep_theirs():
    vocabulary = Vocabulary(("cat", "dog", "emu"))
    table = np.random.default_rng(0).normal(size=[6, 2]).astype(np.float32)
    vectors = {"emu": np.array([7.0, 8.0]), "yak": np.array([1.0, 1.0]), "cat": np.array([5.0, 6])}
    found = embedding_table(vocabulary, vectors, jnp.array(table))
    want = table.copy()
    want[[2, 4]] = [[5, 6], [7, 8]]
    np.testing.assert_array_equal(found, want)
    np.testing.assert_array_equal(embedding_table(vocabulary, {}, jnp.array(table)), table)
    with pytest.raises(ValueError, match="vectors have 2 numbers, but the table is for 3"):
        embedding_table(vocabulary, vectors, jnp.zeros([5, 3]))
    with pytest.raises(ValueError, match="table has 4 rows, too few for a vocabulary of 5"):
        embedding_table(vocabulary, vectors, jnp.zeros([4, 2]))


# --------------------------------------------------------------------------------------- schemes


def allowed(tags, scheme):
    """Whether each tag may stand where it does, by the constraints of the CRF."""
    if not tags:
        return True
    names = sorted(set(tags))
    rules = tag_constraints(names, scheme=scheme)
    places = [names.index(tag) for tag in tags]
    return (
        bool(rules.start[places[0]])
        and bool(rules.end[places[-1]])
        and all(rules.transitions[a, b] for a, b in itertools.pairwise(places))
    )


LETTERS = {"BIO": "BI", "IOB1": "BI", "IO": "I", "BIOES": "BIES", "BILOU": "BILU", "BIOUL": "BILU"}


@pytest.mark.parametrize("scheme", SCHEMES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_converted_tags_have_the_spans_and_keep_to_the_scheme(scheme, data):
    written = data.draw(st.sampled_from(SCHEMES))
    letters = LETTERS.get(written, "BMES")
    tag = st.sampled_from(["O", *(f"{a}-{b}" for a in letters for b in ("x", "y-z"))])
    tags = data.draw(st.lists(tag, max_size=9))
    converted = convert_tags(tags, scheme)
    assert allowed(converted, scheme) and tag_faults(converted, scheme) == []
    spans = spans_of_tags(tags)
    if scheme != "IO":  # which cannot tell two spans apart that touch
        assert spans_of_tags(converted) == spans
    assert (tag_faults(tags, written) == []) == allowed(tags, written)
    assert set(converted) <= set(complete_tags([*tags, "O"], scheme))


def test_scheme_is_found_by_its_letters():
    rows = {
        "BILOU": [["B-x", "L-x"], ["U-y"]],
        "BMES": [["B", "M", "E"], ["S"]],
        "BIOES": [["B-x", "E-x"]],
        "IO": [["I-x", "O"]],
        "IOB1": [["I-x", "B-x"], ["I-y", "O", "I-x"]],
        "BIO": [["B-x", "I-x"], ["O", "I-y", "B-y"], ["B-x"]],
    }
    assert {name: find_scheme(tags) for name, tags in rows.items()} == {name: name for name in rows}
    assert find_scheme([["O"]]) == "BIO"


def test_text_needs_regex_for_graphemes_only():
    code = (
        "import sys; sys.modules['regex'] = None; from birnn_jax import text\n"
        "text.build_vocabulary([['ab']])\n"
        "try: text.graphemes('ab')\n"
        "except ImportError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    sentence = "birnn_jax.text.graphemes needs regex: pip install 'birnn-jax[text]'.\n"
    assert result.stdout == sentence
