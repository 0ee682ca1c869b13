"""Quality scores and the bounds on them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError
from curation.filters import Thresholds, quality
from curation.records import QUALITY
from curation.text import normalise
from tests.builders import PARAGRAPH

SCORES = [field.name for field in QUALITY]


def test_scores_of_a_small_text() -> None:
    """Every score, counted by hand."""
    assert quality("Abc 12!\nAbc 12!\nde", "Latin") == {
        "characters": 18,
        "words": 5,
        "mean_word_length": 8 / 5,
        "letter_share": 8 / 14,
        "digit_share": 4 / 14,
        "symbol_share": 2 / 14,
        "duplicate_line_share": 1 - 2 / 3,
        "line_end_share": 2 / 3,
    }


@pytest.mark.parametrize(
    ("text", "script", "words"),
    [("東京は日本の首都。", "Hiragana", 8), ("กรุงเทพ", "Thai", 6), ("서울은 수도", "Hangul", 2)],
    ids=["japanese", "thai", "korean"],
)
def test_a_word_is_a_character_where_no_spaces_are_written(
    text: str, script: str, words: int
) -> None:
    """Scripts without spaces are counted in letters, marks apart."""
    assert quality(text, script)["words"] == words


def test_marks_belong_to_letters() -> None:
    """Vowel signs are no symbols: Devanagari prose is all letters."""
    scores = quality("हिन्दी भाषा", "Devanagari")
    assert (scores["letter_share"], scores["symbol_share"]) == (1.0, 0.0)


@pytest.mark.parametrize("text", ["", " ", "\n\n"])
def test_an_empty_text_has_no_share_of_anything(text: str) -> None:
    """Nothing is divided by zero."""
    scores = quality(text, "")
    assert scores == dict.fromkeys(SCORES, 0) | {"characters": len(text)} | {
        "duplicate_line_share": 1.0 if not text.strip() else 0
    }


@given(st.text(max_size=80), st.sampled_from(["", "Latin", "Han", "Thai"]))
@settings(deadline=None, max_examples=100)
def test_shares_are_shares(text: str, script: str) -> None:
    """The scores are those of the schema; letters, digits and symbols make up what is seen."""
    scores = quality(text, script)
    assert list(scores) == SCORES
    assert all(0 <= scores[name] <= 1 for name in SCORES if name.endswith("_share"))
    parts = scores["letter_share"] + scores["digit_share"] + scores["symbol_share"]
    assert parts == pytest.approx(1.0 if text.split() else 0.0)


@given(st.lists(st.text("abc1! é", max_size=8), max_size=8), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_the_order_of_lines_does_not_matter(lines: list[str], random: object) -> None:
    """Scores are counts: shuffled lines score the same."""
    shuffled = list(lines)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert quality("\n".join(shuffled), "Latin") == quality("\n".join(lines), "Latin")


ENGLISH = normalise(PARAGRAPH * 3)

REJECTED = {
    "too short": (ENGLISH[:99], "en", ("characters_too_low", "99 < 100")),
    "too few words": ("incomprehensibilities " * 19, "en", ("words_too_low", "19 < 20")),
    "numbers": ("word 1234567 " * 30, "en", ("letter_share_too_low", "0.3636 < 0.6")),
    "some numbers": ("words 123 " * 30, "en", ("digit_share_too_high", "0.375 > 0.3")),
    "symbols": ("words +-* " * 30, "en", ("symbol_share_too_high", "0.375 > 0.3")),
    "the same line": (f"{ENGLISH}\n" * 2, "en", ("duplicate_line_share_too_high", "0.5 > 0.3")),
    "short korean": ("서울은 수도 " * 9, "ko", ("words_too_low", "18 < 20")),
    "short japanese": ("東京は日本の首都。" * 5, "ja", ("characters_too_low", "45 < 50")),
}


@pytest.mark.parametrize(("text", "language", "expected"), REJECTED.values(), ids=REJECTED)
def test_the_first_broken_bound_is_the_reason(
    text: str, language: str, expected: tuple[str, str]
) -> None:
    """Reason and value name the score, what it is and what it should be."""
    script = {"ja": "Hiragana", "ko": "Hangul"}.get(language, "Latin")
    found = Thresholds.load().reject_reason(quality(text.strip(), script), language)
    assert found == expected


@pytest.mark.parametrize(
    ("text", "script", "language"),
    [
        (ENGLISH, "Latin", "en"),
        (ENGLISH, "Latin", "xx"),
        ("東京は日本の首都。" * 6, "Hiragana", "ja"),
    ],
    ids=["english", "language without a table", "japanese"],
)
def test_prose_is_kept(text: str, script: str, language: str) -> None:
    """A language without a table has the default bounds."""
    assert Thresholds.load().reject_reason(quality(text, script), language) is None


def test_a_language_overrides_single_bounds() -> None:
    """What its table leaves out stays as in [default]."""
    thresholds = Thresholds.load(
        'version = 3\n[default]\nmin_words = 5\nmax_words = 9\n[de]\nmin_words = 2\n'
    )  # fmt: skip
    assert thresholds.version == "3"
    assert thresholds.bounds("de") == {"min_words": 2, "max_words": 9}
    assert thresholds.bounds("en") == {"min_words": 5, "max_words": 9}


@pytest.mark.parametrize(
    ("words", "reason"), [(4, "words_too_low"), (5, ""), (9, ""), (10, "words_too_high")]
)
def test_a_value_on_the_bound_is_kept(words: int, reason: str) -> None:
    """Bounds are inclusive."""
    thresholds = Thresholds.load('version = "1"\n[default]\nmin_words = 5\nmax_words = 9\n')
    found = thresholds.reject_reason({"words": words}, "en")
    assert (found[0] if found else "") == reason


INVALID = {
    "no TOML": ("min_words: 5", "not TOML"),
    "no version": ("[default]\nmin_words = 5", "`version`"),
    "no default": ('version = "1"\n[de]\nmin_words = 5', r"\[default\]"),
    "misspelt score": ('version = "1"\n[default]\nmin_wrods = 5', "did you mean 'min_words'"),
    "misspelt side": ('version = "1"\n[default]\nmaximum_words = 5', "did you mean 'max_words'"),
    "misspelt in a language": ('version = "1"\n[default]\n[de]\nwords = 5', r"\[de\] 'words'"),
    "outside a table": ('version = "1"\nmin_words = 5\n[default]', "min_words = 5 belongs"),
    "text for a number": ('version = "1"\n[default]\nmin_words = "5"', "is not a number"),
    "truth for a number": ('version = "1"\n[default]\nmin_words = true', "is not a number"),
}


@pytest.mark.parametrize(("toml", "message"), INVALID.values(), ids=INVALID)
def test_an_invalid_file_says_what_is_wrong(toml: str, message: str) -> None:
    """A mistake in the user's thresholds is found before any text is read."""
    with pytest.raises(ConfigError, match=message):
        Thresholds.load(toml)
