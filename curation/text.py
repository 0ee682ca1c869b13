"""Unicode clean-up and the counts of letters that language and quality decisions share."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from functools import cache

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufff9-\ufffb\u200b\u2060\u00ad]")
_BIDI = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_INLINE_SPACE = re.compile(r"[ \t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_AROUND_NEWLINE = re.compile(r" ?\n ?")
_MANY_NEWLINES = re.compile(r"\n{3,}")
_LETTER = re.compile(r"[^\W\d_]")
_LONG_REFERENCE = re.compile(r"&#[0-9]{9,};?")
WORD = re.compile(r"\w+")

# Scripts written without spaces between words: counted in characters, not words.
UNSPACED = frozenset({"Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"})

_SCRIPT_NAMES = {
    "CJK": "Han",
    "HIRAGANA": "Hiragana",
    "KATAKANA": "Katakana",
    "HANGUL": "Hangul",
    "KATAKANA-HIRAGANA": "Katakana",
}


def normalise(text: str) -> str:
    """Return NFC text without control, zero-width and bidi-override characters, spaces tidied.

    Zero-width joiner and non-joiner stay: Persian and Indic spelling need them.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text)
        text = _BIDI.sub("", text)
    text = _CONTROL.sub("", text)  # before NFC: a removed character may stand between two that join
    text = _INLINE_SPACE.sub(" ", unicodedata.normalize("NFC", text))
    return _MANY_NEWLINES.sub("\n\n", _AROUND_NEWLINE.sub("\n", text)).strip()


def unescape(text: str) -> str:
    """Resolve HTML entities; a number of too many digits is U+FFFD, where `html` would raise."""
    return html.unescape(_LONG_REFERENCE.sub("\ufffd", text))


def one_line(text: str) -> str:
    """Return `text` normalised and on one line, as titles and queries are."""
    return " ".join(normalise(text).split())


@cache
def script_of(character: str) -> str:
    """Return the Unicode script of a letter in title case ("Latin", "Han", "Devanagari")."""
    name = unicodedata.name(character, "")
    first = name.partition(" ")[0]
    return _SCRIPT_NAMES.get(first, first.title())


def script_counts(text: str, sample: int = 2000) -> Counter[str]:
    """Count letters by script over at most `sample` characters from the text's start."""
    letters = Counter(_LETTER.findall(text[:sample]))
    counts: Counter[str] = Counter()
    for letter, number in letters.items():
        counts[script_of(letter)] += number
    return counts


def dominant_script(text: str) -> str:
    """Return the script of most letters, "" where there are none.

    Japanese counts as Hiragana as soon as a tenth of its letters are kana.
    """
    counts = script_counts(text)
    if not counts:
        return ""
    kana = counts["Hiragana"] + counts["Katakana"]
    if kana and kana * 10 >= counts["Han"] + kana:
        counts["Hiragana"] = counts["Han"] + kana
    return max(counts, key=lambda script: (counts[script], script))
