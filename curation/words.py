"""Texts → words, once for all scores: code points, word borders and hashes of whole batches.

A word is a run of letters, marks and digits; a letter of a script without spaces is a word of
its own, with the marks that follow it, so that every script gives n-grams. Hashes are taken of
prefixes: `sum(h[i] * B**i)` modulo 2**64, so that the hash of any stretch is one subtraction
and one multiplication with a power of B's inverse, wherever in the batch the stretch begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from curation import characters
from curation.characters import DIGIT, KINDS, LETTER, MARK, UNSPACED, UNSPACED_MARK, Hashes

Ints = npt.NDArray[np.int64]
_BREAK = "\n\n"  # between two texts of a batch: no line, paragraph or word crosses it
_BASE = {"characters": 0x9E6C63D0876A9A47, "words": 0xD6E8FEB86659FD93}


@cache
def _powers(base: int, size: int) -> tuple[Hashes, Hashes]:
    """Return the first powers of `base` and of its inverse modulo 2**64."""
    found = []
    for factor in (base, pow(base, -1, 1 << 64)):
        powers = np.full(size, factor, np.uint64)
        powers[0] = 1
        found.append(np.cumprod(powers, dtype=np.uint64))
    return found[0], found[1]


@dataclass(frozen=True, slots=True)
class PrefixHashes:
    """Hashes of all stretches of a sequence of 64-bit numbers."""

    prefix: Hashes
    inverse: Hashes

    @classmethod
    def of(cls, values: Hashes, kind: str) -> PrefixHashes:
        """Take the prefixes' hashes; `kind` says of what the values are."""
        size = 1 << max(16, len(values).bit_length())
        powers, inverse = _powers(_BASE[kind], size)
        prefix = np.zeros(len(values) + 1, np.uint64)
        np.cumsum(values * powers[: len(values)], out=prefix[1:])
        return cls(prefix, inverse)

    def between(self, starts: Ints, ends: Ints) -> Hashes:
        """Return the hashes of the half-open stretches."""
        return (self.prefix[ends] - self.prefix[starts]) * self.inverse[starts]


@dataclass(frozen=True, slots=True)
class Words:
    """The characters and words of a batch of texts, as parallel arrays."""

    points: npt.NDArray[np.uint32]
    kinds: npt.NDArray[np.uint8]
    firsts: Ints
    """Where each text begins in `points`."""
    kind_counts: Ints
    """Characters of each kind in each text."""
    characters: PrefixHashes
    starts: Ints
    ends: Ints
    """Where each word lies in `points`."""
    texts: Ints
    """The text of each word."""
    borders: Ints
    """`borders[t] : borders[t + 1]` are the words of text `t`."""
    hashes: Hashes
    """Of each word, case folded."""
    grams: PrefixHashes
    """Hashes of stretches of words."""

    @property
    def count(self) -> int:
        """The number of texts."""
        return len(self.firsts)

    def ngrams(self, rows: Ints, n: int) -> Hashes:
        """Return the hashes of the `n` words from each of `rows` on."""
        return self.grams.between(rows, rows + n)

    def fits(self, rows: Ints, n: int) -> npt.NDArray[np.bool_]:
        """Tell for which words the `n` words from it on lie in one text."""
        return rows + n <= self.borders[self.texts[rows] + 1]


def split_words(texts: Sequence[str]) -> Words:
    """Tokenise a batch of texts (at least one)."""
    points = characters.points_of(_BREAK.join(texts))
    kinds = characters.kinds()[points]
    lengths = np.array([len(text) for text in texts], np.int64)
    firsts = np.zeros(len(texts), np.int64)
    np.cumsum(lengths[:-1] + len(_BREAK), out=firsts[1:])
    starts, ends = _word_borders(kinds)
    hashed = PrefixHashes.of(characters.hashes()[points], "characters")
    hashes = characters.mix(hashed.between(starts, ends))
    borders = np.append(np.searchsorted(starts, firsts), len(starts))
    return Words(
        points=points,
        kinds=kinds,
        firsts=firsts,
        kind_counts=_kind_counts(kinds, lengths),
        characters=hashed,
        starts=starts,
        ends=ends,
        texts=np.repeat(np.arange(len(texts)), np.diff(borders)),
        borders=borders,
        hashes=hashes,
        grams=PrefixHashes.of(hashes, "words"),
    )


def _word_borders(kinds: npt.NDArray[np.uint8]) -> tuple[Ints, Ints]:
    inside = (kinds >= LETTER) & (kinds <= DIGIT)
    is_mark = (kinds == MARK) | (kinds == UNSPACED_MARK)
    breaks = np.ones(len(kinds), np.bool_)  # whether no word can go on from the one before
    breaks[1:] = ~inside[:-1]
    after_unspaced = (kinds[:-1] == UNSPACED) | (kinds[:-1] == UNSPACED_MARK)
    breaks[1:] |= (after_unspaced | (kinds[1:] == UNSPACED)) & ~is_mark[1:]
    begins = inside & breaks
    stops = inside.copy()
    stops[:-1] &= ~inside[1:] | begins[1:]
    return np.flatnonzero(begins), np.flatnonzero(stops) + 1


def _kind_counts(kinds: npt.NDArray[np.uint8], lengths: Ints) -> Ints:
    padded = lengths + len(_BREAK)
    padded[-1] = lengths[-1]
    labels = np.repeat(np.arange(len(lengths)) * KINDS, padded) + kinds
    counts = np.bincount(labels, minlength=len(lengths) * KINDS).reshape(-1, KINDS)
    counts[:-1, characters.NEWLINE] -= len(_BREAK)
    return counts
