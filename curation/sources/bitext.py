"""Aligned text → translations: tab-separated columns with a score, or two files line by line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import IO

from curation.records import Reject
from curation.sources.lines import read_lines
from curation.sources.opener import Opener
from curation.sources.raw import RawTranslation


@dataclass(frozen=True, slots=True)
class Layout:
    """Which tab-separated columns hold what."""

    text: int
    translation: int
    score: int | None
    min_score: float | None
    """The bound for a source that sets none."""

    @property
    def width(self) -> int:
        """The columns that a row must have."""
        return max(self.text, self.translation, self.score or 0) + 1


# LASER margin scores are kept from 1.06 on, the threshold with which both corpora were mined
# for release (reference: curation, section 3).
LAYOUTS = {
    "nllb": Layout(0, 1, 2, 1.06),
    "ccmatrix": Layout(1, 2, 0, 1.06),
    "tsv": Layout(0, 1, None, None),
}


@dataclass(frozen=True, slots=True)
class Bitext:
    """What is known of a file of translations."""

    source: str
    language: str | None
    translation_language: str | None

    def identity(self, number: object) -> str:
        """Return the name of a record in rejects."""
        languages = f"{self.language or 'und'}-{self.translation_language or 'und'}"
        return f"{self.source}:{languages}:{number}"

    def reject(self, number: object, reason: str, value: str = "", excerpt: str = "") -> Reject:
        """Return a reject of the file's record."""
        language = self.translation_language or ""
        identity = self.identity(number)
        return Reject(identity, "extract", reason, self.source, language, value, excerpt[:200])


def read_columns(
    stream: IO[bytes], bitext: Bitext, layout: Layout, min_score: float | None
) -> Iterator[RawTranslation | Reject]:
    """Yield a translation per line; None for `min_score` takes the layout's own bound."""
    bound = layout.min_score if min_score is None else min_score
    for number, line in enumerate(read_lines(stream)):
        if line is None:
            yield bitext.reject(number, "line_too_long")
        elif line:
            yield _row(line, number, bitext, layout, bound)


def _row(
    line: bytes, number: int, bitext: Bitext, layout: Layout, bound: float | None
) -> RawTranslation | Reject:
    cells = line.split(b"\t", layout.width)
    if len(cells) < layout.width:
        return bitext.reject(number, "missing_columns", str(len(cells)))
    score = None
    if layout.score is not None:
        score = _score(cells[layout.score])
        if score is None:
            return bitext.reject(number, "malformed_score", repr(cells[layout.score][:40]))
        if bound is not None and score < bound:
            return bitext.reject(number, "low_score", f"{score:.4f}")
    return _translation(cells[layout.text], cells[layout.translation], number, bitext, score)


def _score(cell: bytes) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _translation(
    text: bytes, translation: bytes, number: int, bitext: Bitext, score: float | None = None
) -> RawTranslation | Reject:
    try:
        sides = text.decode(), translation.decode()
    except UnicodeDecodeError:
        excerpt = (text + b"\t" + translation)[:200].decode("utf-8", "replace")
        return bitext.reject(number, "undecodable", excerpt=excerpt)
    languages = bitext.language, bitext.translation_language
    return RawTranslation(*sides, *languages, bitext.identity(number), score)


def read_aligned(
    opener: Opener, path: str, translation_path: str, bitext: Bitext
) -> Iterator[RawTranslation | Reject]:
    """Yield a translation per line of two files; nothing of files whose lines do not match up.

    The files are read twice: a line that one of them lacks somewhere would shift all that follow,
    so their lengths are compared first. Only a file that is cut short may be the shorter one: its
    whole lines are aligned.
    """
    lengths = {name: _count_lines(opener, name) for name in (path, translation_path)}
    whole = min(lengths.values())
    if any(n > whole for n in lengths.values()) and not any(
        n == whole and opener.damage.get(name) == "truncated" for name, n in lengths.items()
    ):
        value = f"{lengths[path]} and {lengths[translation_path]} lines"
        yield bitext.reject("file", "unequal_files", value)
        return
    if "corrupt" in opener.damage.values():  # what is read behind the damage is shifted
        yield bitext.reject("file", "corrupt_alignment")
        return
    whole -= bool(opener.damage)  # the line at the cut may be half a one
    with opener.open(path) as first, opener.open(translation_path) as second:
        pairs = zip(read_lines(first), read_lines(second), strict=False)
        for number, (text, translation) in zip(range(whole), pairs, strict=False):
            if text is None or translation is None:
                yield bitext.reject(number, "line_too_long")
            elif text or translation:
                yield _translation(text, translation, number, bitext)


def _count_lines(opener: Opener, path: str) -> int:
    with opener.open(path) as stream:
        return sum(1 for _ in read_lines(stream))
