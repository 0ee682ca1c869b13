"""Unicode clean-up and the counts of letters that language and quality decisions share."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from functools import cache

import numpy as np

from curation.cleanup import (
    ARABIC_FORM,
    ARABIC_FORMS,
    COMPOSING,
    JOINER,
    MARK,
    REPLACED,
    Characters,
    replacements,
)
from curation.mojibake import is_suspect, repaired

_JOINERS = re.compile(
    # Kept after letters of scripts that join or stack them, and between emoji.
    "(?<![\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\ua840-\ua9ff\U00010a00-\U00011fff])"
    "(?<![\u2190-\u2bff\ufe0f\U0001f000-\U0001faff](?=\u200d[\u2190-\u2bff\U0001f000-\U0001faff]))"
    "[\u200c\u200d]+"
)
_ARABIC_FORM = re.compile(f"[{ARABIC_FORMS}]")
_SPACE_RUN = re.compile("  +")
_FEW = 8  # distinct characters up to which replacing one after the other is faster
_MANY_NEWLINES = re.compile(r"\n{3,}")
_LONG_REFERENCE = re.compile(r"&#[0-9]{9,};?")
WORD = re.compile(r"\w+")

# Scripts written without spaces between words: counted in characters, not words.
UNSPACED = frozenset({"Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"})

# The script of a letter is the beginning of its Unicode name, but for these beginnings.
_SCRIPT_NAMES = {
    "CANADIAN": "Canadian Aboriginal",
    "CJK": "Han",
    "HENTAIGANA": "Hiragana",
    "IDEOGRAPHIC": "Han",
    "KATAKANA-HIRAGANA": "Katakana",
    "MEETEI": "Meetei Mayek",
    "OL": "Ol Chiki",
    "SYLOTI": "Syloti Nagri",
}
_TAI = ("NEW TAI LUE", "TAI LE", "TAI THAM", "TAI VIET")
_WIDTH = re.compile(r"(?:FULL|HALF)WIDTH ")
# Letters that belong to no script: modifiers, and the letter-like signs of mathematics.
_NO_SCRIPT = re.compile(
    r"(?:ALEF|ANGSTROM|BET|BLACK-LETTER|CARON|DALET|DOUBLE-STRUCK|EULER|FEMININE|GIMEL|INFORMATION"
    r"|KELVIN|MASCULINE|MASU|MATHEMATICAL|MICRO|MODIFIER|OHM|PLANCK|ROMAN|SCRIPT|SUPERSCRIPT|TURNED"
    r"|VEDIC|VERTICAL)\b"
)


def normalise(text: str) -> str:
    """Return NFC text: mojibake repaired, no invisible characters, spaces tidied.

    Controls, zero-width and direction characters, non-characters and lone surrogates go (the last
    become U+FFFD); joiners stay where spelling needs them, as in Persian and Indic scripts.
    """
    while (again := _normalised_once(text)) != text:
        text = again  # what was removed may have parted a pair; mostly it had not
    return text


def _normalised_once(text: str) -> str:
    found = Characters(text)
    if is_suspect(found) and (better := repaired(text)) != text:
        found = Characters(better)
    if found.present & REPLACED:
        found = Characters(_replaced(found))
    if found.present & (JOINER | ARABIC_FORM):
        found = Characters(_ARABIC_FORM.sub(_letters_of_form, _JOINERS.sub("", found.text)))
    if found.present & (COMPOSING | MARK):
        return _tidied(_composed(found))
    return _tidied(found.text)


def _composed(found: Characters) -> str:
    """Return the text in NFC. Words are normalised alone: nothing composes with a space."""
    places = found.unordered()
    if not len(places):
        return found.text
    spaces = np.flatnonzero((found.points == ord(" ")) | (found.points == ord("\n")))
    bounds = np.concatenate([[-1], spaces, [len(found.text)]])
    pieces, done = [], 0
    for word in np.unique(np.searchsorted(bounds, places)).tolist():
        start, end = int(bounds[word - 1]) + 1, int(bounds[word])
        pieces += [found.text[done:start], unicodedata.normalize("NFC", found.text[start:end])]
        done = end
    return "".join([*pieces, found.text[done:]])


def _tidied(text: str) -> str:
    if "  " in text:
        text = _SPACE_RUN.sub(" ", text)
    text = text.replace(" \n", "\n").replace("\n ", "\n")
    if "\n\n\n" in text:
        text = _MANY_NEWLINES.sub("\n\n", text)
    return text.strip(" \n")


def _letters_of_form(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", match[0]).strip()


def _replaced(found: Characters) -> str:
    table, text = replacements(), found.text.replace("\r\n", "\n")
    odd = map(chr, np.unique(found.points[found.flags & REPLACED != 0]).tolist())
    changes = {character: table[character] for character in odd if character in table}
    if len(changes) > _FEW:
        return text.translate({ord(character): new for character, new in changes.items()})
    for character, new in changes.items():
        text = text.replace(character, new)
    return text


def unescape(text: str) -> str:
    """Resolve HTML entities; a number of too many digits is U+FFFD, where `html` would raise."""
    return html.unescape(_LONG_REFERENCE.sub("\ufffd", text))


def one_line(text: str) -> str:
    """Return `text` normalised and on one line, as titles and queries are."""
    line = normalise(text)
    while "\n" in line:
        line = normalise(line.replace("\n", " "))
    return line


@cache
def script_of(character: str) -> str:
    """Return the Unicode script of a letter in title case ("Latin", "Han"), "" for none."""
    name = _WIDTH.sub("", unicodedata.name(character, ""))
    first = name.partition(" ")[0]
    if _NO_SCRIPT.match(name):
        return ""
    for script in _TAI:
        if name.startswith(script):
            return script.title()
    return _SCRIPT_NAMES.get(first, first.title())


def script_counts(text: str, sample: int = 2000) -> Counter[str]:
    """Count letters by script over at most `sample` characters from the text's start."""
    counts: Counter[str] = Counter()
    for character, number in Counter(text[:sample]).items():
        if character.isalpha() and (script := script_of(character)):
            counts[script] += number
    return counts


def dominant_script(text: str) -> str:
    """Return the script of most letters, "" where there are none.

    Chinese characters count as Japanese as soon as a tenth of them and the kana are kana, and as
    Korean as soon as a tenth of them and the Hangul are Hangul.
    """
    counts = script_counts(text)
    if not counts:
        return ""
    han, hangul = counts["Han"], counts["Hangul"]
    kana = counts["Hiragana"] + counts["Katakana"]
    if kana and kana * 10 >= han + kana:
        counts["Hiragana"] = han + kana
    elif hangul and hangul * 10 >= han + hangul:
        counts["Hangul"] = han + hangul
    return max(counts, key=lambda script: (counts[script], script))
