"""Quality scores: counted by hand, and their laws."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.phrases import PhraseSet
from curation.quality import SCORES, fill_scores, score_texts
from curation.records import Document
from tests.builders import PARAGRAPH


def score(text: str, language: str = "en", flagged: PhraseSet | None = None) -> dict[str, float]:
    columns = score_texts([text], [language], flagged)
    return {name: float(column[0]) for name, column in columns.items()}


def test_scores_of_a_small_text() -> None:
    """Every character score and line score, counted by hand."""
    found = score("Abc 12!\nAbc 12!\nde")
    assert {name: value for name, value in found.items() if value} == pytest.approx(
        {
            "characters": 18,
            "words": 5,
            "mean_word_length": 8 / 5,
            "letter_share": 8 / 14,
            "digit_share": 4 / 14,
            "symbol_share": 2 / 14,
            "letter_word_share": 3 / 5,
            "line_word_ratio": 3 / 5,
            "line_end_share": 2 / 3,
            "short_line_share": 1.0,
            "duplicate_line_share": 1 / 3,
            "duplicate_line_character_share": 7 / 16,
        }
    )


COUNTED = {
    "hash": ("#one #two three", "hash_word_ratio", 2 / 3),
    "ellipsis": ("one... two… three.. four....", "ellipsis_word_ratio", 3 / 4),
    "brace": ("if{x}", "brace_share", 1 / 5),
    "bullets": ("• one\n- two\nthree\n* four", "bullet_line_share", 3 / 4),
    "ellipsis ends": ("one...\ntwo…\nthree..\nfour.", "ellipsis_line_share", 1 / 2),
    "short lines": (f"short\n{'long ' * 7}\n{'東' * 15}\n{'東' * 16}", "short_line_share", 1 / 2),
    "ends": ("One.\nदो।\n三。\nأربعة؟\nfive", "line_end_share", 4 / 5),
    "paragraphs": ("a\nb\n\nc\n\na\nb\n\nd", "duplicate_paragraph_share", 1 / 4),
    "empty lines": ("a\n\n\nb\n \nc", "line_word_ratio", 1.0),
    "stop words": ("The river and the sea", "stop_word_share", 3 / 5),
    "words with letters": ("1990 1991 won B2", "letter_word_share", 1 / 2),
    "boilerplate": ("This site uses cookies.\nText of ours now here", "boilerplate_share", 23 / 44),
    "placeholder": ("LOREM Ipsum dolor", "placeholder_share", 1.0),
    "japanese furniture": ("当サイトはCookieを使用します", "boilerplate_share", 1.0),
}


@pytest.mark.parametrize(("text", "name", "expected"), COUNTED.values(), ids=COUNTED)
def test_each_score_counts_what_it_says(text: str, name: str, expected: float) -> None:
    """One score of one text."""
    assert score(text)[name] == pytest.approx(expected)


def test_stop_words_are_those_of_the_language() -> None:
    """German words are none in English, a region's code has its language's, an unknown none."""
    text = "der Fluss und die See"
    found = {code: score(text, code)["stop_word_share"] for code in ("de", "de-AT", "en", "xx")}
    assert found == pytest.approx({"de": 0.6, "de-AT": 0.6, "en": 0.0, "xx": 0.0})


@pytest.mark.parametrize(
    ("text", "words"),
    [("東京は日本の首都。", 8), ("กรุงเทพ", 6), ("서울은 수도", 2)],
    ids=["japanese", "thai", "korean"],
)
def test_a_word_is_a_character_where_no_spaces_are_written(text: str, words: int) -> None:
    """Scripts without spaces are counted in letters, marks apart."""
    assert score(text)["words"] == words


def test_marks_belong_to_letters() -> None:
    """Vowel signs are no symbols: Devanagari prose is all letters."""
    found = score("हिन्दी भाषा")
    assert (found["letter_share"], found["symbol_share"]) == (1.0, 0.0)


@pytest.mark.parametrize("text", ["", " ", "\n\n"])
def test_an_empty_text_has_no_share_of_anything(text: str) -> None:
    """Nothing is divided by zero."""
    found = score(text)
    assert found.pop("characters") == len(text)
    assert set(found.values()) == {0.0}


TEXTS = st.text(st.characters() | st.sampled_from("ab 1\n\n.#東京ไที่"), max_size=80)


@given(st.lists(TEXTS, min_size=1, max_size=4))
@settings(deadline=None, max_examples=100)
def test_shares_are_shares(texts: list[str]) -> None:
    """In 0..1; letters, digits and symbols make up what is seen; company does not matter."""
    columns = score_texts(texts, ["en"] * len(texts))
    assert list(columns) == [name for name in SCORES if name != "masked"]
    for number, text in enumerate(texts):
        found = {name: float(column[number]) for name, column in columns.items()}
        assert all(0 <= found[name] <= 1 for name in found if name.endswith("_share"))
        parts = found["letter_share"] + found["digit_share"] + found["symbol_share"]
        assert parts == pytest.approx(1.0) or not parts
        assert found == score(text)


@given(st.lists(st.text("abc1! é.•", max_size=8), max_size=8), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_the_order_of_lines_does_not_matter(lines: list[str], order: random.Random) -> None:
    """What is counted by character, word or line is the same in shuffled lines."""
    shuffled = list(lines)
    order.shuffle(shuffled)
    one, other = score("\n".join(shuffled)), score("\n".join(lines))
    for name in one:
        if "gram" not in name and "paragraph" not in name:
            assert one[name] == other[name], name


def test_documents_are_filled_batch_by_batch() -> None:
    """Many documents in several batches score as they do alone, and masks are kept."""
    texts = [PARAGRAPH * (1 + i % 7) for i in range(1000)]
    made = [Document(str(i), "s", "t", text, language="en") for i, text in enumerate(texts)]
    made[5].quality["masked"] = 3
    fill_scores(made)
    assert made[5].quality["masked"] == 3
    assert made[6].quality == score(texts[6]) | {"masked": 0}
    assert made[999].quality == score(texts[999]) | {"masked": 0}
