"""Which lines of a page are its text: what stands around them are menus, teasers and forms.

Lines of prose count for, all others against, and the text is the stretch of lines with the
largest sum (maximum subsequence segmentation). It needs no list of words in any language.
"""

from __future__ import annotations

import re
from collections import Counter

_SENTENCE = 60  # characters of a line of prose that ends like a sentence
_PARAGRAPH = 160  # characters of one that does not
_MOST = 300  # what one line can count: an outlier must not bridge a dozen teasers
_AGAINST = 45  # what a line counts that is no prose
_WIDTH = 5 / 2  # a character of a script without spaces says as much as so many others
_WIDE = re.compile(r"[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_END = re.compile("[.!?…。！？।॥؟۔։။។:;\"”»»’')\\]]\\s*\\Z")
_FALLBACK = 1500  # characters: a shorter text may be a wrong choice of its extractor
_GAIN = 2  # times as much prose that another choice must have


def prose(text: str) -> str:
    """Return the stretch of lines that is the page's text, without short lines that repeat in it.

    A text without any prose is returned as it is.
    """
    lines = text.split("\n")
    weights = [_weight(stripped) if (stripped := line.strip()) else 0 for line in lines]
    start, end = _best_stretch(weights)
    kept = lines[start:end]
    if not kept:
        return text
    counts = Counter(line.strip() for line in kept)
    return "\n".join(
        line
        for line, weight in zip(kept, weights[start:end], strict=True)
        if weight >= 0 or counts[line.strip()] == 1
    )


def amount(text: str) -> int:
    """Return how much a text has in whole paragraphs, in characters of a spaced script.

    Teasers and descriptions of services are prose too, but they are sentences of one line.
    """
    widths = (_width(line.strip()[: 2 * _PARAGRAPH]) for line in text.split("\n"))
    return sum(min(width, _MOST) for width in widths if width >= _PARAGRAPH)


def better(text: str, other: str) -> str:
    """Return `other` instead of a short `text` that has less than half of its paragraphs."""
    return other if amount(other) > _GAIN * amount(text) else text


def is_doubtful(text: str) -> bool:
    """Tell whether a main text is so short that the whole page should be looked at."""
    return _width(text[:_FALLBACK]) < _FALLBACK


def _width(text: str) -> int:
    wide = len(_WIDE.findall(text))
    return len(text) + int(wide * (_WIDTH - 1))


def _weight(line: str) -> int:
    """Return what a line counts for or against being text."""
    width = _width(line[: 2 * _PARAGRAPH])
    ends = _END.search(line[-8:])
    if width >= _PARAGRAPH or (width >= _SENTENCE and ends):
        return min(width, _MOST)
    return -_AGAINST if not ends else -_AGAINST // 3


def _best_stretch(weights: list[int]) -> tuple[int, int]:
    """Return (start, end) of the contiguous weights with the largest sum; (0, 0) if none is > 0."""
    best, found, start = 0, (0, 0), 0
    total = 0
    for number, weight in enumerate(weights):
        if total <= 0:
            total, start = 0, number
        total += weight
        if total > best:
            best, found = total, (start, number + 1)
    return found
