"""Filters for translations: measures first, then the decision and its reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from curation import text as texts
from curation.errors import check_range
from curation.language import LanguageDetector
from curation.language_codes import are_related, fits_script
from curation.records import text_key

# Characters of an English sentence for one of its translation, by the translation's script: means
# over the 1,997 sentences of NTREX. All 110 references in other scripts lie between 0.74 and 1.16.
LENGTH_FACTORS = {
    "Han": 2.9,
    "Hiragana": 2.2,
    "Hangul": 1.9,
    "Ethiopic": 1.5,
    "Hebrew": 1.2,
}

_CACHED_SIDES = 1 << 14  # a sentence may come with its translation into each of many languages

_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+\.\w+")


@dataclass(frozen=True, kw_only=True, slots=True)
class ParallelConfig:
    """The `[curation.parallel]` table: which translations become pairs."""

    max_length_ratio: float = 9.0
    """The longer side has at most so many times the shorter's characters, as English (NLLB)."""
    min_characters: int = 1
    """A side has at least so many characters, as English."""
    max_characters: int = 1050
    """A side has at most so many characters, as English (NLLB)."""
    max_shared_words: float = 0.8
    """At most this share of the longer side's words stands in the other side too: else a copy."""
    check_language: bool = True
    """Reject a side on which both language engines contradict the declared language."""
    max_translations: int = 10
    """At most so many translations of one sentence into one language; 0: any number."""

    def __post_init__(self) -> None:
        check_range("curation.parallel.max_length_ratio", self.max_length_ratio, 1.0, 1e6)
        check_range("curation.parallel.min_characters", self.min_characters, 0, 1e6)
        check_range("curation.parallel.max_characters", self.max_characters, 1, 1e8)
        check_range("curation.parallel.max_shared_words", self.max_shared_words, 0.0, 1.0)
        check_range("curation.parallel.max_translations", self.max_translations, 0, 1e9)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a translation: its text on one line, its language, and what is measured."""

    text: str
    language: str
    script: str
    length: float
    """Characters, as English."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a translation is rejected, what decided it, and the side that is to blame."""

    reason: str
    value: str
    side: Side


def measured(text: str, language: str) -> Side:
    """Return a side with its measures; `text` stands on one line."""
    script = texts.dominant_script(text)
    return Side(text, language, script, len(text) * LENGTH_FACTORS.get(script, 1.0))


def length_ratio(first: Side, second: Side) -> float:
    """Return the longer side's length over the shorter's; infinite where one is empty."""
    short, long = sorted((first.length, second.length))
    return long / short if short else float("inf")


def shared_words(first: str, second: str) -> float:
    """Return the words that stand in both texts as a share of the longer text's words.

    Numbers and addresses do not count: they are the same in every language.
    """
    words = [Counter(_words(side)) for side in (first, second)]
    most = max(words[0].total(), words[1].total())
    return (words[0] & words[1]).total() / most if most else 0.0


def _words(side: str) -> list[str]:
    found = texts.WORD.findall(_ADDRESS.sub(" ", side).casefold())
    return [word for word in found if not word.isdigit()]


def has_words(side: str) -> bool:
    """Tell whether letters are left without addresses and numbers."""
    return any(map(str.isalpha, _ADDRESS.sub(" ", side) if "." in side else side))


class TranslationFilter:
    """Decides on translations; `detector` is shared with the other filters of the process."""

    def __init__(self, config: ParallelConfig, detector: LanguageDetector) -> None:
        self._config = config
        self._verdict = lru_cache(_CACHED_SIDES)(detector.detect)

    def finding(self, first: Side, second: Side) -> Finding | None:
        """Return why a translation is rejected, None for one to keep: cheap questions first."""
        for findings in (self._shape, self._copies, self._languages):
            if found := next(findings(first, second), None):
                return found
        return None

    def _shape(self, first: Side, second: Side) -> Iterator[Finding]:
        config = self._config
        for side in (first, second):
            if not side.text:
                yield Finding("empty_side", "", side)
            elif side.length < config.min_characters:
                yield Finding("side_too_short", f"{side.length:.0f}", side)
            elif side.length > config.max_characters:
                yield Finding("side_too_long", f"{side.length:.0f}", side)
            elif not has_words(side.text):
                yield Finding("no_words", "", side)
        ratio = length_ratio(first, second)
        if ratio > config.max_length_ratio:
            yield Finding("length_ratio", f"{ratio:.1f}", second)

    def _copies(self, first: Side, second: Side) -> Iterator[Finding]:
        if text_key(first.text) == text_key(second.text):
            yield Finding("identical_sides", "", second)
        if first.script != second.script:
            return
        shared = shared_words(first.text, second.text)
        if shared > self._config.max_shared_words:
            yield Finding("copied_words", f"{shared:.2f}", second)

    def _languages(self, first: Side, second: Side) -> Iterator[Finding]:
        for side in (first, second):
            if not (
                fits_script(side.language, side.script) or may_be_written(side.text, side.language)
            ):
                yield Finding("wrong_script", f"{side.language} in {side.script}", side)
        if not self._config.check_language:
            return
        for side in (first, second):
            verdict = self._verdict(side.text, side.language)
            if not are_related(verdict.language, side.language):
                value = f"declared {side.language}, found {verdict.language} {verdict.score:.2f}"
                yield Finding("wrong_language", value, side)


def may_be_written(side: str, language: str) -> bool:
    """Tell whether any letter of a text is of a script of the language.

    Names in other scripts may outnumber a short sentence's own letters.
    """
    scripts = texts.script_counts(side)
    return not scripts or any(fits_script(language, script) for script in scripts)
