"""Translations to pairs in both directions."""

from __future__ import annotations

from typing import Any

import pytest

from curation.config import SourceConfig
from curation.language import LanguageDetector
from curation.pair_filters import ParallelConfig, TranslationFilter
from curation.records import Pair, Reject
from curation.sources.raw import RawTranslation
from curation.translations import translation_pairs

ENGLISH = "The lighthouse was built many years ago."
GERMAN = "Der Leuchtturm wurde vor vielen Jahren gebaut."


@pytest.fixture(scope="module")
def wanted() -> TranslationFilter:
    return TranslationFilter(ParallelConfig(), LanguageDetector())


def give(wanted: TranslationFilter, sample: float = 1.0, **changes: Any) -> list[Any]:
    values: dict[str, Any] = {
        "text": ENGLISH,
        "translation": GERMAN,
        "language": "en",
        "translation_language": "de",
        "id": "web:en-de:7",
    }
    source = SourceConfig(kind="parallel", format="tmx", path="x", name="web", sample=sample)
    return list(translation_pairs(RawTranslation(**(values | changes)), source, wanted))


def test_both_directions_are_named_by_language(wanted: TranslationFilter) -> None:
    """Each side is once the query; the score goes along."""
    first, second = give(wanted, score=1.25)
    assert first == Pair(ENGLISH, GERMAN, "parallel", "en", "de", "web", source_score=1.25)
    assert second == Pair(GERMAN, ENGLISH, "parallel", "de", "en", "web", source_score=1.25)


def test_sides_are_cleaned_and_codes_canonical(wanted: TranslationFilter) -> None:
    """One line, no NUL bytes, the shortest code."""
    first, _ = give(
        wanted, text=f" {ENGLISH[:10]}\0{ENGLISH[10:]}\n", translation_language="deu_Latn"
    )
    assert (first.query, first.language) == (ENGLISH, "de")


def test_a_reject_says_which_side(wanted: TranslationFilter) -> None:
    """One for both directions, with the record's id and the side's language."""
    (found,) = give(wanted, translation=ENGLISH)
    assert found == Reject("web:en-de:7", "extract", "identical_sides", "web", "de", "", ENGLISH)


def test_a_translation_without_language_is_rejected(wanted: TranslationFilter) -> None:
    """It is never guessed: the check would check itself."""
    (found,) = give(wanted, translation_language=None)
    assert found.reason == "no_language"


def test_the_sample_draws_both_directions_together(wanted: TranslationFilter) -> None:
    """None stands for what is left out, and the share is about right."""
    drawn = [give(wanted, 0.3, text=f"{ENGLISH} {i}") for i in range(300)]
    assert {len(found) for found in drawn} == {1, 2}
    kept = [found for found in drawn if found != [None]]
    assert all(isinstance(pair, Pair) for found in kept for pair in found)
    assert 60 < len(kept) < 120


def test_personal_data_are_masked(wanted: TranslationFilter) -> None:
    """On both sides."""
    raw = RawTranslation(ENGLISH, GERMAN, "en", "de", "x")
    source = SourceConfig(kind="parallel", format="tmx", path="x")
    first, _ = translation_pairs(raw, source, wanted, lambda t: t.replace("many", "<n>"))
    assert isinstance(first, Pair)
    assert first.query == ENGLISH.replace("many", "<n>")
