"""What every Unicode character counts as, in tables that numpy indexes with code points."""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

# Kinds of characters: each has exactly one.
SYMBOL, LETTER, UNSPACED, MARK, UNSPACED_MARK, DIGIT, SPACE, NEWLINE, HASH, BRACE = range(10)
KINDS = 16  # room for a kind in a mixed-radix count

TERMINAL = ".!?…‥。！？｡؟۔۝।॥၊။។៕።፧፨՝՞։෴᙮᠃᠉؛;:；：\"'”’»」』›》〉)）]】"
BULLETS = "•‣⁃◦∙·●○■□▪▫◆◇►▸▶➤➢✓✔★☆*-–—・※"
_JOINERS = "\u200c\u200d"  # stand inside words of Persian and of Indic scripts
_ASSIGNED = 0x32400  # beyond lie tags, variation selectors and private use: symbols all
_POINTS = 0x110000
# Letters of scripts written without spaces: Thai, Lao, Tibetan, Myanmar, Khmer, kana, Han.
_UNSPACED_RANGES = (
    *((0x0E00, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3031, 0x312F), (0x31F0, 0x31FF)),
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F), (0xF900, 0xFAFF)),
    *((0xFF66, 0xFF9F), (0x1B000, 0x1B16F), (0x20000, 0x323AF)),
)

Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]


@cache
def kinds() -> Bytes:
    """Return the kind of every code point."""
    table = np.full(_POINTS, SYMBOL, np.uint8)
    by_category = {"L": LETTER, "M": MARK, "N": DIGIT, "Z": SPACE}
    for point in range(_ASSIGNED):
        table[point] = by_category.get(unicodedata.category(chr(point))[0], SYMBOL)
    table[[9, 11, 12, 13, 0x1C, 0x1D, 0x1E, 0x1F, 0x85]] = SPACE
    table[points_of(_JOINERS)] = MARK
    table[ord("\n")], table[ord("#")], table[ord("{")] = NEWLINE, HASH, BRACE
    for first, last in _UNSPACED_RANGES:
        part = table[first : last + 1]
        part[part == LETTER] = UNSPACED
        part[part == MARK] = UNSPACED_MARK
    return table


@cache
def hashes() -> Hashes:
    """Return a random 64-bit number for every code point; upper and lower case share one."""
    folded = np.arange(_POINTS, dtype=np.uint64)
    for point in range(0x1EA00):  # the last cased script ends here
        lower = chr(point).lower()
        if len(lower) == 1:
            folded[point] = ord(lower)
    return mix(folded + np.uint64(1))


@cache
def wide() -> npt.NDArray[np.bool_]:
    """Tell which code points take two columns."""
    table = np.zeros(_POINTS, np.bool_)
    for point in range(_ASSIGNED):
        table[point] = unicodedata.east_asian_width(chr(point)) in "WF"
    return table


@cache
def members(characters: str) -> npt.NDArray[np.bool_]:
    """Tell for every code point whether it is among `characters`."""
    table = np.zeros(_POINTS, np.bool_)
    table[points_of(characters)] = True
    return table


def points_of(text: str) -> npt.NDArray[np.uint32]:
    """Return the code points of a text, one for each of its characters."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def mix(values: Hashes) -> Hashes:
    """Return 64-bit numbers whose bits all depend on all bits of `values` (splitmix64)."""
    values = values * np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
