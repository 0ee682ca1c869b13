"""Closes the gaps that removed markup leaves: empty brackets and quotes, stray punctuation.

Removed pieces are marked by `HOLE`, so what an author wrote ("[...]", "a , b") is told from
what a removal left ("(, a city)", "a and, b").
"""

from __future__ import annotations

import re

from curation.sources.templates import HOLE

ITEM = "\ue002"
"""Begins the line of a list's item, until the lines are counted."""

_PAIRS = dict(zip("(（[［「『“„«‹《〈【", ")）]］」』””»›》〉】", strict=True)) | {'"': '"'}
_OPEN = frozenset("(（[［")
_CLOSE = frozenset(")）]］")
_SEPARATORS = ",;:、،؛，；："
_SPACE = " \t\u00a0\u2009\u202f"
_ENDS = ".!?。！？।…"
_DASHES = "–—-=/·•"
_MARKS = f"*#:; \t{ITEM}"
_INVISIBLE = "\u00ad\u200b-\u200f\u2060\ufeff"  # joiners and marks that stand alone are no text
_INSIDE = rf"[\s{_INVISIBLE}{_SEPARATORS}{re.escape(_DASHES)}{HOLE}]*"
_EMPTY = re.compile(rf"\({_INSIDE}\)|（{_INSIDE}）|[\[［]{_INSIDE}[\]］]")
_AFTER_OPEN = re.compile(rf"([(（])[\s{_SEPARATORS}]+")
_BEFORE_CLOSE = re.compile(rf"(?<![\s{_SEPARATORS}])[\s{_SEPARATORS}]++([)）])")
_SPACES = re.compile(rf"[{_SPACE}]{{2,}}|[\t\u00a0\u2009\u202f]")
_LINE_SPACES = re.compile(rf" ?\n ?(?:{ITEM} *(?=\n|$))?")
_BLANK_LINES = re.compile(r"\n{3,}")


def tidy(text: str) -> str:
    """Return text without holes, empty brackets and what removed markup leaves around them."""
    for _ in range(2):  # "(())" needs a second look
        text = _EMPTY.sub(HOLE, text)
    if HOLE in text:
        text = _closed(text.split(HOLE))
    text = _BEFORE_CLOSE.sub(r"\1", _AFTER_OPEN.sub(r"\1", text))
    text = _SPACES.sub(" ", text)
    return _BLANK_LINES.sub("\n\n", _LINE_SPACES.sub("\n", text)).strip()


def _closed(pieces: list[str]) -> str:
    """Join the pieces between holes."""
    done: list[str] = []
    left = pieces[0]
    for right in pieces[1:]:
        left, right = _seam(left, right)
        while left and not left.strip(_SPACE) and done:  # only space: what lies before decides
            left = done.pop() + left
        if right.strip(_SPACE):
            if left:
                done.append(left)
            left = right
        else:
            left += right
    return "".join([*done, left])


def _seam(left: str, right: str) -> tuple[str, str]:
    """Return both sides of a hole as they meet without it."""
    before, after = left.rstrip(_SPACE), right.lstrip(_SPACE)
    spaced = len(before) < len(left) or len(after) < len(right)
    while before and after and _PAIRS.get(before[-1]) == after[0]:
        before, after = before[:-1].rstrip(_SPACE), after[1:].lstrip(_SPACE)
        spaced = True
    if before and before[-1] in _OPEN:
        return before, after.lstrip(_SEPARATORS + _SPACE)
    if after and after[0] in _CLOSE:
        return before.rstrip(_SEPARATORS + _SPACE + _DASHES), after
    line = before.rpartition("\n")[2]
    if not line.strip(_MARKS):
        return before, after.lstrip(_SEPARATORS + _DASHES + _SPACE)
    if not after or after[0] == "\n":
        return (before.rstrip(_DASHES + _SPACE) if spaced else before), after
    return _inline(before, after, spaced)


def _inline(before: str, after: str, spaced: bool) -> tuple[str, str]:
    """Join two sides within a line: one mark where two would meet, no space before one."""
    mark = after[0]
    if mark in _SEPARATORS or mark in _ENDS:
        if before[-1] in _SEPARATORS and mark in _SEPARATORS:
            after = after[1:] if mark == before[-1] else after
        elif before[-1] in _SEPARATORS and before[-1] != ":":
            before = before[:-1]
        return before, after
    return (before + " " if spaced and before[-1:] != "\n" else before), after
