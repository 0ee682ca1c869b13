"""Equal and nearly equal questions over the whole set, decided on their fingerprints.

A question is dropped for one that comes before it and is kept. Texts are not needed: a question
of 14 words is some 220 bytes here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from curation.errors import check_range
from curation.minhash import NearDuplicateConfig, as_sets, band_hashes, jaccard
from curation.records import text_key
from curation.runs import keys_of_digests
from curation.shingles import U64, Shingles

REASON = "duplicate"

_REACH = 16  # neighbours in a bucket that a question is compared with

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionDuplicateConfig:
    """The `[synthesis.near_duplicates]` table."""

    enabled: bool = True
    """Drop near duplicates too; equal questions are dropped always."""
    threshold: float = 0.85
    """Questions are near duplicates from this Jaccard similarity of their n-gram sets."""
    ngram: int = 2
    """Words an n-gram."""
    character_ngram: int = 3
    """Ideographs or kana an n-gram, in questions without spaces; twice as many letters of Thai."""

    def __post_init__(self) -> None:
        check_range("synthesis.near_duplicates.threshold", self.threshold, 0.5, 1.0)
        check_range("synthesis.near_duplicates.ngram", self.ngram, 1, 16)
        check_range("synthesis.near_duplicates.character_ngram", self.character_ngram, 1, 16)

    @property
    def hashing(self) -> NearDuplicateConfig:
        """How n-grams become bands: at the threshold 99.97 % of pairs share one of 14."""
        return NearDuplicateConfig(
            threshold=self.threshold,
            ngram=self.ngram,
            character_ngram=self.character_ngram,
            bands=14,
            rows=5,
        )


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """What decides about N questions: a digest each, bands and n-gram sets."""

    exact: U64
    """(N,) of the text without case and white space."""
    bands: U64
    """(N, B); 0 for a question without an n-gram."""
    sets: Shingles = field(repr=False)


def fingerprints(questions: Sequence[str], config: QuestionDuplicateConfig) -> Fingerprints:
    """Return the fingerprints of questions."""
    hashing = config.hashing
    exact = keys_of_digests([text_key(question) for question in questions])
    shingles = hashing.shingle(questions)
    hashes, has_any = band_hashes(shingles, hashing)
    bands = np.zeros((len(questions), hashing.bands), np.uint64)
    bands[has_any] = hashes
    return Fingerprints(exact, bands, as_sets(shingles))


def concatenate(pieces: Sequence[Fingerprints]) -> Fingerprints:
    """Return the fingerprints of several sets of questions as those of one."""
    counts = np.concatenate([np.diff(piece.sets.offsets) for piece in pieces])
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Fingerprints(
        np.concatenate([piece.exact for piece in pieces]),
        np.concatenate([piece.bands for piece in pieces]),
        Shingles(np.concatenate([piece.sets.hashes for piece in pieces]), offsets),
    )


def winners(found: Fingerprints, order: Ids, config: QuestionDuplicateConfig) -> Ids:
    """Return for each question the one kept in its stead: itself where it is kept.

    `order` (N,) is the place of each question; of equal or similar ones the first is kept.
    """
    by_place = np.argsort(order, kind="stable")
    _, first, group = np.unique(found.exact[by_place], return_index=True, return_inverse=True)
    winner = np.empty(len(order), np.int64)
    winner[by_place] = by_place[first[group]]
    if config.enabled:
        left = by_place[winner[by_place] == by_place]
        for low, high in _similar(found, left, config.threshold):
            if winner[low] == low and winner[high] == high:
                winner[high] = low
    return _followed(winner)


def _followed(winner: Ids) -> Ids:
    """Return winners that won themselves: a copy's original may have gone to a similar one."""
    return winner[winner]


def _similar(found: Fingerprints, left: Ids, threshold: float) -> list[tuple[int, int]]:
    """Return the pairs of similar questions in `left`, the earlier first, sorted by its place."""
    low, high = _candidates(found.bands[left])
    similar = jaccard(found.sets, left[low], left[high]) >= threshold
    pairs = zip(left[low[similar]].tolist(), left[high[similar]].tolist(), strict=True)
    return list(pairs)


def _candidates(bands: U64) -> tuple[Ids, Ids]:
    """Return the pairs of rows that share a band, of a large bucket each with the next few."""
    pairs = [np.zeros(0, np.int64)]
    rows = len(bands)
    for band in bands.T:
        order = np.argsort(band, kind="stable")
        values = band[order]
        for reach in range(1, min(_REACH, rows - 1) + 1):
            same = (values[reach:] == values[:-reach]) & (values[reach:] != 0)
            if not same.any():
                break
            pairs.append(order[:-reach][same] * rows + order[reach:][same])
    both = np.unique(np.concatenate(pairs))
    return both // max(1, rows), both % max(1, rows)
