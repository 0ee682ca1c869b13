"""Which translations become pairs, and why others do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError
from curation.language import LanguageDetector, Verdict
from curation.pair_filters import (
    LENGTH_FACTORS,
    ParallelConfig,
    TranslationFilter,
    has_words,
    length_ratio,
    may_be_written,
    measured,
    shared_words,
)

ENGLISH = "The lighthouse was built by the harbour company many years ago."
GERMAN = "Der Leuchtturm wurde vor vielen Jahren von der Hafengesellschaft gebaut."
FRENCH = "Le phare a été construit par la compagnie du port il y a longtemps."
CHINESE = "灯塔是很多年前由港口公司建造的。"


@pytest.fixture(scope="module")
def detector() -> LanguageDetector:
    return LanguageDetector()


def finding(
    detector: LanguageDetector, first: tuple[str, str], second: tuple[str, str], **config: Any
) -> str:
    """The reason and value of a finding in one string, "" for a pair that is kept."""
    wanted = TranslationFilter(ParallelConfig(**config), detector)
    found = wanted.finding(measured(*first), measured(*second))
    return f"{found.reason} {found.value}".strip() if found else ""


GOOD = {
    "german": (GERMAN, "de"),
    "chinese": (CHINESE, "zh"),
    "unknown to the engines": ("Bakakanga ifipya pa musumba wakale uwa bwingi.", "bem"),
    "names in latin": ("Windows 11 和 Microsoft Office 的安装", "zh"),
    "close language": ("Svjetionik je prije mnogo godina sagradila lučka kompanija.", "sr-Latn"),
}


@pytest.mark.parametrize("name", GOOD)
def test_translations_are_kept(name: str, detector: LanguageDetector) -> None:
    """Whatever the script, and where no engine can tell."""
    assert finding(detector, (ENGLISH, "en"), GOOD[name]) == ""
    assert finding(detector, GOOD[name], (ENGLISH, "en")) == ""


BAD: dict[str, tuple[tuple[str, str], str]] = {
    "empty_side": (("", "de"), "empty_side"),
    "no_words": (("12.5 % https://www.example.org a@b.org", "de"), "no_words"),
    "side_too_long": ((GERMAN * 15, "de"), f"side_too_long {len(GERMAN) * 15}"),
    "length_ratio": (("Ja.", "de"), "length_ratio 21.0"),
    "identical_sides": ((ENGLISH.upper(), "de"), "identical_sides"),
    "copied_words": ((ENGLISH.replace("many", "viele"), "de"), "copied_words 0.91"),
    "wrong_script": ((GERMAN, "ru"), "wrong_script ru in Latin"),
    "wrong_language": ((FRENCH, "de"), "wrong_language declared de, found fr"),
}


@pytest.mark.parametrize("reason", BAD)
def test_each_reason(reason: str, detector: LanguageDetector) -> None:
    """With the value that decided."""
    side, expected = BAD[reason]
    assert finding(detector, (ENGLISH, "en"), side).startswith(expected)
    assert finding(detector, side, (ENGLISH, "en")).partition(" ")[0] == reason


def test_the_side_to_blame_is_named(detector: LanguageDetector) -> None:
    """Its text and language go into the reject."""
    wanted = TranslationFilter(ParallelConfig(), detector)
    found = wanted.finding(measured(FRENCH, "en"), measured(GERMAN, "de"))
    assert found is not None
    assert (found.reason, found.side.text, found.side.language) == ("wrong_language", FRENCH, "en")


def test_bounds_are_those_of_the_config(detector: LanguageDetector) -> None:
    """Each bound lets through what it did not before."""
    pair = (ENGLISH, "en"), ("Ja.", "de")
    assert finding(detector, *pair, max_length_ratio=21.0) == ""
    assert finding(detector, *pair, min_characters=4) == "side_too_short 3"
    assert finding(detector, (ENGLISH, "en"), (GERMAN * 15, "de"), max_length_ratio=99.0) != ""
    long = (ENGLISH * 9, "en"), (GERMAN * 15, "de")
    assert finding(detector, *long, max_characters=5000) == ""
    assert finding(detector, (ENGLISH, "en"), (FRENCH, "de"), check_language=False) == ""
    copy = ENGLISH.replace("many", "viele"), "de"
    assert (
        finding(detector, (ENGLISH, "en"), copy, max_shared_words=1.0, check_language=False) == ""
    )


def test_the_language_of_a_repeated_side_is_asked_once() -> None:
    """One sentence stands beside its translations into a hundred languages."""
    asked: list[str] = []

    class Counting:
        def detect(self, text: str, declared: str | None = None) -> Verdict:
            asked.append(text)
            return Verdict(declared or "und", 1.0, True, "Latin")

    wanted = TranslationFilter(ParallelConfig(), Counting())  # type: ignore[arg-type]
    for number in range(5):
        other = measured(f"{GERMAN} {number}", "de")
        assert wanted.finding(measured(ENGLISH, "en"), other) is None
    assert asked.count(ENGLISH) == 1
    assert len(asked) == 6


@pytest.mark.parametrize("script", LENGTH_FACTORS)
def test_lengths_count_as_english(script: str) -> None:
    """A dense script's characters count more."""
    letter = {"Han": "的", "Hiragana": "の", "Hangul": "한", "Ethiopic": "አ", "Hebrew": "א"}[script]
    assert measured(letter * 10, "xx").length == pytest.approx(10 * LENGTH_FACTORS[script])
    assert measured("a" * 10, "xx").length == 10


def test_chinese_is_not_too_short_for_english(detector: LanguageDetector) -> None:
    """Without its factor the ratio would be 4, with it 1.4."""
    assert len(ENGLISH) / len(CHINESE) > 3.8
    assert length_ratio(measured(ENGLISH, "en"), measured(CHINESE, "zh")) < 1.5


TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)


@given(TEXTS, TEXTS)
@settings(deadline=None, max_examples=50)
def test_measures_are_symmetric_and_bounded(first: str, second: str) -> None:
    """For any texts."""
    a, b = measured(first, "xx"), measured(second, "yy")
    assert length_ratio(a, b) == length_ratio(b, a) >= 1.0
    assert shared_words(first, second) == shared_words(second, first)
    assert 0.0 <= shared_words(first, second) <= 1.0
    assert shared_words(first, first) in (0.0, 1.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", True),
        ("1,234.5", False),
        ("http://a.de/b", False),
        ("see http://a.de", True),
        ("", False),
    ],
)
def test_words_beside_addresses_and_numbers(text: str, expected: bool) -> None:
    """Letters of an address are none."""
    assert has_words(text) is expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Windows 和", "zh", True),
        ("Windows", "zh", False),
        ("123", "zh", True),
        ("Привет", "sr", True),
        ("Привет", "de", False),
        ("anything", "qqq", True),
    ],
)
def test_scripts_of_a_language(text: str, language: str, expected: bool) -> None:
    """One letter of a script of the language is enough; unknown languages take any."""
    assert may_be_written(text, language) is expected


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_length_ratio", 0.5),
        ("min_characters", -1),
        ("max_characters", 0),
        ("max_shared_words", 1.5),
        ("max_translations", -1),
    ],
)
def test_values_out_of_range_are_refused(option: str, value: float) -> None:
    """By name."""
    with pytest.raises(ConfigError, match=rf"curation\.parallel\.{option} = "):
        ParallelConfig(**{option: value})


def test_length_factors_on_real_sentences(real_data: Path) -> None:
    """NTREX: as English, every reference is between 0.7 and 1.45 times as long as the source."""
    import tarfile

    means = {}
    with tarfile.open(real_data / "parallel/NTREX-128.tar.xz") as archive:
        for member in archive:
            handle = archive.extractfile(member) if member.name.endswith(".txt") else None
            if handle and "newstest2019" in member.name:
                lines = handle.read().decode().split("\n")[:200]
                name = member.name.rsplit("newstest2019-", 1)[1]
                means[name] = sum(measured(line, "xx").length for line in lines)
    english = means.pop("src.eng.txt")
    assert len(means) == 128
    assert all(0.65 < total / english < 1.45 for total in means.values())
