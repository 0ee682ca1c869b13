"""Segment shuffle: long texts whose opening does not summarise them (paper, appendix A.1).

A model learns to rely on the opening sentences, which tend to sum up the rest. A small share of
texts is therefore cut into three segments that change places. Cuts lie at the end of a line or
sentence if there is one near a third of the text, else at white space; inside a script without
spaces, between two characters. No character is added or lost: what stood between the segments
(a space, a blank line, nothing) stands between them again.
"""

from __future__ import annotations

import itertools
import re
import unicodedata

from curation.draw import is_drawn, rank
from curation.text import UNSPACED, dominant_script

MIN_CHARACTERS = 100
"""Texts of this length or less stay as they are."""

_PERMUTATIONS = [p for p in itertools.permutations(range(3)) if p != (0, 1, 2)]
# Where a segment may end, best first; the group is what stands between it and the next.
_LINE = re.compile(r"(\s*\n\s*)")
_SENTENCE = re.compile(r"""[.!?…।॥؟۔։።။៖។]["'”’»)\]]*(\s+)|[。！？][」』”）]*(\s*)""")
_SPACE = re.compile(r"(\s+)")
_PLACE = re.compile(r"()(?=.)", re.DOTALL)
_JOINERS = "\u200c\u200d"
_LEADING_VOWELS = frozenset("เแโใไເແໂໃໄ")  # written before the consonant they belong to

Span = tuple[int, int]


def shuffled(text: str, identity: str, share: float) -> str:
    """Return `text` with its segments shuffled where the draw of `identity` wants it.

    The draw and the order depend on the identity alone.
    """
    if len(text) <= MIN_CHARACTERS or not is_drawn(identity, "segment shuffle", share):
        return text
    return shuffle_segments(text, identity)


def shuffle_segments(text: str, identity: str) -> str:
    """Return the three segments of `text` in another order; `text` itself where it has no cuts."""
    spans = cuts(text)
    if spans is None:
        return text
    (start, end), (second_start, second_end) = spans
    segments = (text[:start], text[end:second_start], text[second_end:])
    first_gap, second_gap = text[start:end], text[second_start:second_end]
    offset = rank(identity, "segment order") % len(_PERMUTATIONS)
    for a, b, c in (*_PERMUTATIONS[offset:], *_PERMUTATIONS[:offset]):
        found = segments[a] + first_gap + segments[b] + second_gap + segments[c]
        if found != text:  # equal segments may give the same text again
            return found
    return text


def cuts(text: str) -> tuple[Span, Span] | None:
    """Return the two spans between three segments, None for a text without places to cut."""
    patterns = [_LINE, _SENTENCE, _SPACE]
    if dominant_script(text) in UNSPACED:
        patterns.append(_PLACE)
    size = len(text)
    first = _nearest(text, patterns, size // 3)
    second = _nearest(text, patterns, 2 * size // 3)
    return (first, second) if first and second else None


def _nearest(text: str, patterns: list[re.Pattern[str]], target: int) -> Span | None:
    """Return the place to cut that is nearest to `target`, of the best kind within reach."""
    reach = len(text) // 7  # less than a sixth: the two cuts cannot meet
    for pattern in patterns:
        found = list(pattern.finditer(text, target - reach, target + reach))
        spans = [span for m in found if (span := _gap(m)) and _is_place(text, *span)]
        if spans:
            return min(spans, key=lambda span: (abs(span[0] - target), span))
    return None


def _gap(found: re.Match[str]) -> Span | None:
    return next(
        (found.span(i) for i in range(1, found.re.groups + 1) if found[i] is not None), None
    )


def _is_place(text: str, start: int, end: int) -> bool:
    """Tell whether a cut leaves no character torn from its marks."""
    if end >= len(text) or start <= 0:
        return False
    before, after = text[start - 1], text[end]
    torn = unicodedata.category(after)[0] == "M" or after in _JOINERS or before in _JOINERS
    return start < end or not (torn or before in _LEADING_VOWELS)
