"""What each Unicode character asks of the clean-up, as one table looked up for a whole text.

Most text asks nothing: the look-up (4 ns a character) tells so, and no pattern runs over it.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

REPLACED, JOINER, ARABIC_FORM, COMPOSING, MARK = 1, 2, 4, 8, 16
LEADS_ONE, LEADS_TWO, FOLLOWS = 32, 64, 128  # bytes of UTF-8 sequences, read in a code page

_LAST = 0x20000  # characters from here on share one entry: rare, and then looked at one by one
_SPACES = "\t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_NEWLINES = "\x0b\x0c\r\u2028\u2029"
_C1 = "\x80-\x9f"
_SURROGATES = "\ud800-\udfff"
_REMOVED = (
    "\x00-\x08\x0e-\x1f\x7f"  # controls
    "\xad\u200b\u2060\ufeff"  # soft hyphen, zero-width space, word joiner, byte-order mark
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction
    "\u2061-\u2065\u206a-\u206f\ufff9-\ufffb\U000e0000-\U000e007f"  # operators, annotation, tags
    "\u3164\uffa0"  # Hangul fillers
    "\ufdd0-\ufdef" + "".join(f"{chr(p << 16 | 0xFFFE)}{chr(p << 16 | 0xFFFF)}" for p in range(17))
)
# Contextual forms of Arabic letters; ligatures of whole phrases (U+FDFA and others) stay.
ARABIC_FORMS = "\ufb50-\ufd3d\ufd50-\ufdcf\ufdf0-\ufdf9\ufe70-\ufefc"
_CODE_PAGES = ("latin-1", "cp1250", "cp1251", "cp1252")


def members(ranges: str) -> list[str]:
    """Return the characters of a class written as in a pattern: "a-cx" is a, b, c and x."""
    found: list[str] = []
    position = 0
    while position < len(ranges):
        last = ranges[position + 2] if ranges[position + 1 : position + 2] == "-" else ""
        found += map(chr, range(ord(ranges[position]), ord(last or ranges[position]) + 1))
        position += 3 if last else 1
    return found


@cache
def replacements() -> dict[str, str]:
    """Return character → what stands for it.

    C1 controls are read as Windows-1252, as browsers do: U+0092 is an apostrophe.
    """
    table = dict.fromkeys(members(_REMOVED), "")
    table |= dict.fromkeys(members(_SPACES), " ")
    table |= dict.fromkeys(members(_NEWLINES), "\n")
    table |= {c: c.encode("latin-1").decode("cp1252", "ignore") for c in members(_C1)}
    return table | dict.fromkeys(members(_SURROGATES), "\ufffd")


def _read_in_code_pages(first: int, last: int) -> set[str]:
    codes = bytes(range(first, last + 1))
    return {character for page in _CODE_PAGES for character in codes.decode(page, "ignore")}


def _composing() -> set[str]:
    """Return the characters that NFC changes, or joins to the one before."""
    found = set(members("\u1161-\u1175\u11a8-\u11c2"))  # vowels and finals of Hangul
    for character in map(chr, range(_LAST)):
        if not unicodedata.is_normalized("NFC", character):
            found.add(character)
        parts = unicodedata.decomposition(character)
        if parts and not parts.startswith("<"):
            found.update(chr(int(part, 16)) for part in parts.split()[1:])
    return found


@cache
def _flags_of_all() -> npt.NDArray[np.uint8]:
    table = np.zeros(_LAST + 1, np.uint8)
    for flag, characters in (
        (REPLACED, set(replacements())),
        (LEADS_ONE, _read_in_code_pages(0xC2, 0xDF)),
        (LEADS_TWO, _read_in_code_pages(0xE0, 0xF4)),
        (FOLLOWS, _read_in_code_pages(0x80, 0xBF)),
        (JOINER, {"\u200c", "\u200d"}),
        (ARABIC_FORM, set(members(ARABIC_FORMS))),
        (COMPOSING, _composing()),
        (MARK, set(filter(unicodedata.combining, map(chr, range(_LAST))))),
    ):
        table[[ord(c) for c in characters if ord(c) < _LAST]] |= flag
    table[_LAST] = REPLACED | COMPOSING | MARK
    return table


class Characters:
    """A text with its code points and their flags, each (length,)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        self.flags = _flags_of_all().take(self.points, mode="clip")
        self.present = int(np.bitwise_or.reduce(self.flags, initial=0))

    def has_sequence(self, *kinds: int) -> bool:
        """Tell whether characters of these kinds stand one behind the other."""
        if any(not self.present & kind for kind in kinds):
            return False
        end = len(self.flags) - len(kinds) + 1
        found = self.flags[: max(0, end)] & kinds[0]
        for place, kind in enumerate(kinds[1:], 1):
            found = np.where(found != 0, self.flags[place : place + end] & kind, 0)
        return bool(found.any())

    def unordered(self) -> npt.NDArray[np.intp]:
        """Return where NFC may change something: composing characters, and marks on marks."""
        flags = self.flags
        places = flags & COMPOSING != 0
        places[1:] |= (flags[:-1] & MARK != 0) & (flags[1:] & MARK != 0)
        return np.flatnonzero(places)
