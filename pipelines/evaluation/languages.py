"""Which languages a set's name ends in: xquad-de, afriqa-test-hau_en, mrtydi-v1.1-arabic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from curation.language_codes import canonical_code, known_codes

# Mr.TyDi calls its folders by name.
_NAMES = {
    "arabic": "ar",
    "bengali": "bn",
    "combined": "mul",
    "english": "en",
    "finnish": "fi",
    "indonesian": "id",
    "japanese": "ja",
    "korean": "ko",
    "russian": "ru",
    "swahili": "sw",
    "telugu": "te",
    "thai": "th",
}
_END = re.compile(r"[-.]([A-Za-z]{2,10}(?:_[A-Za-z]{2,4})?)$")


@dataclass(frozen=True, slots=True)
class Ends:
    """The languages at the end of a name."""

    query: str
    document: str
    text: str
    """The end itself, as it is written."""


@cache
def languages_of(name: str) -> Ends | None:
    """Return the languages that a name ends in, None where it ends in none.

    `-de` is both languages, `-hau_en` the queries' and the documents', `-zh_Hant` a script.
    """
    match = _END.search(name)
    if not match:
        return None
    text = match.group(1)
    first, _, second = text.partition("_")
    if _is_language(text) or (second and not _is_language(second) and _is_language(first)):
        code = _code(text)
        return Ends(code, code, text)
    if second and _is_language(first) and _is_language(second):
        return Ends(_code(first), _code(second), text)
    return None


def benchmark_of(name: str) -> str:
    """Return what sets of several languages have in common: the name without the languages."""
    ends = languages_of(name)
    return name[: -1 - len(ends.text)] if ends else name


def _code(text: str) -> str:
    return _NAMES.get(text.lower()) or canonical_code(text)


def _is_language(text: str) -> bool:
    return text.lower() in _NAMES or text.lower() in known_codes()
