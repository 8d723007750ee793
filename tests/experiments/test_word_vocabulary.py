"""The vocabulary of taggers and classifiers: what it knows, and how words become numbers."""

import unicodedata

from experiments.words.data import Encoder, Sentence, Vocabulary, build_vocabulary
from tests.experiments._small_tagging import SENTENCES


def test_vocabulary_knows_words_in_lower_case_and_usual_tags_in_their_own():
    vocabulary = build_vocabulary([*SENTENCES, SENTENCES[0]])
    assert vocabulary.counts["the"] == 4 and "The" not in vocabulary.counts
    assert [vocabulary.guess(word) for word in ("dog", "and", "cat")] == ["NOUN", "DET", "DET"]


def test_words_are_looked_up_in_any_normalisation_form():
    text = "Äpfel côté ガギ 각"
    forms = [unicodedata.normalize(form, text).split() for form in ("NFC", "NFD")]
    assert forms[0] != forms[1]
    for seen in forms:
        tags = ("N", "A", "N", "A")
        vocabulary = build_vocabulary([Sentence(tuple(seen), tags, ())])
        encoder = Encoder(vocabulary, word_width=9)
        for words in forms:
            encoded = encoder.encode_words(words)
            assert (
                encoded["words"].tolist() == [1, 2, 3, 4] and encoded["counts"].tolist() == [1] * 4
            )
            spelled = [
                [vocabulary.characters[i - 2] for i in row if i] for row in encoded["characters"]
            ]
            assert ["".join(word) for word in spelled] == forms[0]
            assert [vocabulary.guess(word) for word in words] == [*tags]
            assert all(map(vocabulary.knows, words)) and not vocabulary.knows("cote")
    assert vocabulary.longest_word == 5


def test_vocabulary_of_before_keeps_the_form_of_its_file():
    words = unicodedata.normalize("NFD", "Äpfel côté").split()
    characters = sorted({*"".join(words)})
    counts = {word.lower(): 1 for word in words}
    vocabulary = Vocabulary(counts, characters, ["N"], dict.fromkeys(words, "N"), "X")
    encoded = Encoder(vocabulary, word_width=9).encode_words(words)
    assert encoded["words"].tolist() == [1, 2] and (encoded["characters"] != 1).all()
    assert (encoded["characters"] > 1).sum(axis=1).tolist() == [6, 6]
    assert vocabulary.knows(words[0]) and vocabulary.guess(words[1]) == "N"


def test_long_word_keeps_both_ends():
    vocabulary = build_vocabulary(SENTENCES)
    encode = Encoder(vocabulary, word_width=6).encode_words
    spelled = "".join(
        vocabulary.characters[i - 2] for i in encode(["uncharacteristically"])["characters"][0]
    )
    assert spelled == "unclly"


def test_unknown_words_characters_and_tags_have_their_own_indices():
    encoder = Encoder(build_vocabulary(SENTENCES), word_width=4)
    (example,) = encoder.encode_all([Sentence(("THE", "z"), ("VERB", "INTJ"), ())])
    assert example["words"].tolist() == [1, 0]
    assert example["counts"].tolist() == [3, 0]
    assert example["characters"][1].tolist() == [1, 0, 0, 0]
    assert example["labels"][0] >= 0 > example["labels"][1]
