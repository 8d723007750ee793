"""Words of texts in many scripts, as a reader of each would cut them."""

import unicodedata

import pytest

from experiments.words.segments import graphemes, split_text

CUT = {  # a text, with a bar wherever it is cut
    "marks stay with their letters": "हिन्दी |में |लिखा |हुआ",
    "and in Tamil": "தமிழ் |மொழி",
    "and points in Hebrew and Arabic": "שָׁלוֹם |مُحَمَّد",
    "Korean has blanks": "나는 |학생이다",
    "Thai has none": "ฉัน|รัก|เธอ",
    "Japanese": "私|は|学生|です",
    "long vowels": "コーヒー",
    "Chinese": "我|爱|北京|。",
    "scripts side by side": "iPhone|手机 |5s",
    "English": "It|'s |do|n't|, |we|'ll |they|'re",
    "curly quotes": "It|\u2019s |do|n\u2019t",
    "other quotes": "'|rock |'|n|' |roll|'",
    "runs of marks": "Wow|!!!|?? |... |:|-|)",
    "symbols of several code points": "👨‍👩‍👧|🇩🇪|🇫🇷",
}


@pytest.mark.parametrize("cut", CUT.values(), ids=CUT)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_texts_are_cut_as_readers_do(cut, form):
    expected = [unicodedata.normalize("NFC", word.strip()) for word in cut.split("|")]
    text = unicodedata.normalize(form, cut.replace("|", ""))
    assert list(split_text(text)) == expected


def test_scripts_without_blanks_are_cut_into_characters_if_asked():
    text = unicodedata.normalize("NFD", "ガギ น้ำ हिन्दी 나는 don't 北京")
    expected = ("ガ", "ギ", "น้ำ", "हिन्दी", "나는", "do", "n't", "北", "京")
    assert split_text(text, "characters") == expected
    assert split_text(text, "words")[-1] == "北京"


def test_graphemes_are_what_a_reader_sees():
    for text, number in (("né", 2), ("ガギ", 2), ("각", 1), ("🇩🇪🇫🇷", 2), ("a\r\nb", 3)):
        assert len(graphemes(unicodedata.normalize("NFD", text))) == number
    assert "".join(graphemes("हिन्दी ภาษา")) == "हिन्दी ภาษา"


def test_there_is_no_word_in_blanks():
    assert split_text(" \t\u3000\n") == ()
