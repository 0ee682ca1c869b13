"""Tokenisation of batches: the same words as one text at a time, and as regular expressions."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import characters
from curation.words import split_words

MIXED = st.text(
    st.characters(codec="utf-8")
    | st.sampled_from("abc 123\n\u0301\u200d東京のไทยที่မြန်မာ한국어हिन्दी.#{…"),
    max_size=60,
)


def words_of(text: str) -> list[str]:
    words = split_words([text])
    return [text[a:b] for a, b in zip(words.starts.tolist(), words.ends.tolist(), strict=True)]


SPLIT = {
    "latin": ("The 3rd one's café_bar.", ["The", "3rd", "one", "s", "café", "bar"]),
    "decomposed": ("cafe\u0301", ["cafe\u0301"]),
    "hindi": ("हिन्दी भाषा।", ["हिन्दी", "भाषा"]),
    "persian": ("می\u200cشود", ["می\u200cشود"]),
    "korean": ("서울은 수도", ["서울은", "수도"]),
    "japanese": ("東京はCafe3軒", ["東", "京", "は", "Cafe3", "軒"]),
    "thai": ("ที่นี่", ["ที่", "นี่"]),
    "none": (" .,\n", []),
}


@pytest.mark.parametrize(("text", "expected"), SPLIT.values(), ids=SPLIT)
def test_words_of_every_script(text: str, expected: list[str]) -> None:
    """A letter of a script without spaces is a word, with its marks."""
    assert words_of(text) == expected


@given(MIXED)
@settings(deadline=None, max_examples=150)
def test_words_are_the_runs_of_letters_marks_and_digits(text: str) -> None:
    """Put together again, the words are those runs."""
    kinds = {"L": "a", "M": "a", "N": "a"}
    marked = "".join(
        "a" if c in "\u200c\u200d" else kinds.get(unicodedata.category(c)[0], " ") for c in text
    )
    inside = [text[m.start() : m.end()] for m in re.finditer("a+", marked)]
    assert "".join(words_of(text)) == "".join(inside)


@given(st.lists(MIXED, min_size=1, max_size=5))
@settings(deadline=None, max_examples=100)
def test_a_batch_is_its_texts(texts: list[str]) -> None:
    """Hashes, counts and n-grams of a text do not depend on its company."""
    batch = split_words(texts)
    for number, text in enumerate(texts):
        alone = split_words([text])
        own = slice(batch.borders[number], batch.borders[number + 1])
        assert batch.hashes[own].tolist() == alone.hashes.tolist()
        assert batch.kind_counts[number].tolist() == alone.kind_counts[0].tolist()
        rows = np.arange(batch.borders[number], batch.borders[number + 1])
        rows = rows[batch.fits(rows, 2)]
        pairs = alone.ngrams(np.arange(max(0, len(alone.hashes) - 1)), 2)
        assert batch.ngrams(rows, 2).tolist() == pairs.tolist()


def test_case_does_not_matter_and_order_does() -> None:
    """Hashes fold case, also beyond Latin, and tell anagrams apart."""
    words = split_words(["Straße STRASSE ΑΘΗΝΑ αθηνα Москва МОСКВА on no"])
    hashes = words.hashes.tolist()
    assert hashes[2] == hashes[3]
    assert hashes[4] == hashes[5]
    assert len({hashes[0], hashes[1], *hashes[6:]}) == 4


def test_every_character_has_a_kind() -> None:
    """The table agrees with the Unicode categories of what it covers."""
    table = characters.kinds()
    letters = {characters.LETTER, characters.UNSPACED}
    for character in "aΩж中のกກकア𠀀ﾊ":
        assert table[ord(character)] in letters
    assert table[ord("中")] == characters.UNSPACED != table[ord("한")]
    assert {table[ord(c)] for c in " \t\u00a0\u3000"} == {characters.SPACE}
    assert {table[ord(c)] for c in "5٣五"[:2]} == {characters.DIGIT}
