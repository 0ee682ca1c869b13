"""Lists of integers of different lengths in two arrays, and membership in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_NARROW = 4  # up to so many per row are compared one after the other, beyond that by a search


@dataclass(frozen=True, slots=True)
class Lists:
    """N lists end to end: list i is `values[starts[i]:starts[i + 1]]`."""

    starts: Ids
    """(N + 1,) where each list begins."""
    values: Ids
    """(M,) what they hold."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def counts(self) -> Ids:
        """(N,) how many values each list has."""
        return np.diff(self.starts)

    @property
    def owners(self) -> Ids:
        """(M,) the list of each value."""
        return np.repeat(np.arange(len(self)), self.counts)

    def take(self, rows: Ids) -> Lists:
        """Return some of the lists."""
        counts = self.counts[rows]
        starts = starts_of(counts)
        within = np.arange(starts[-1]) - np.repeat(starts[:-1], counts)
        return Lists(starts, self.values[np.repeat(self.starts[rows], counts) + within])

    def map(self, table: Ids) -> Lists:
        """Return the lists with each value looked up in a table."""
        return Lists(self.starts, table[self.values])

    def where(self, wanted: Mask) -> Lists:
        """Return the lists with only those of the (M,) values that are wanted."""
        counts = np.bincount(self.owners[wanted], minlength=len(self))
        return Lists(starts_of(counts), self.values[wanted])

    def of(self, row: int) -> Ids:
        """Return one list."""
        return self.values[self.starts[row] : self.starts[row + 1]]


def starts_of(counts: Ids) -> Ids:
    """Return where lists of these lengths begin, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def lists_of(found: Sequence[Sequence[int]]) -> Lists:
    """Return Python lists as `Lists`."""
    counts = np.fromiter(map(len, found), np.int64, len(found))
    values = np.fromiter((v for values in found for v in values), np.int64, int(counts.sum()))
    return Lists(starts_of(counts), values)


def grouped(owners: Ids, values: Ids, count: int) -> Lists:
    """Return for each of `count` owners its distinct values, ascending."""
    order = np.lexsort((values, owners))
    owners, values = owners[order], values[order]
    fresh = np.ones(len(owners), np.bool_)
    fresh[1:] = (owners[1:] != owners[:-1]) | (values[1:] != values[:-1])
    counts = np.bincount(owners[fresh], minlength=count)
    return Lists(starts_of(counts), values[fresh])


def contained(candidates: Ids, lists: Lists) -> Mask:
    """Return the (N, k) mask of candidates that stand in the list of their row; -1 is nowhere."""
    widest = int(lists.counts.max(initial=0))
    if widest > _NARROW:
        return _searched(candidates, lists)
    found = np.zeros(candidates.shape, np.bool_)
    for place in range(widest):
        rows = np.flatnonzero(lists.counts > place)
        own = np.full(len(candidates), -1, np.int64)
        own[rows] = lists.values[lists.starts[rows] + place]
        found |= (candidates == own[:, None]) & (own >= 0)[:, None]
    return found


def _searched(candidates: Ids, lists: Lists) -> Mask:
    """Look up (row, value) pairs as one number each: a row may have thousands of values."""
    span = 1 + max(int(candidates.max(initial=0)), int(lists.values.max(initial=0)))
    real = lists.values >= 0
    known = np.unique(lists.owners[real] * span + lists.values[real])
    if not len(known):
        return np.zeros(candidates.shape, np.bool_)
    keys = np.arange(len(candidates))[:, None] * span + candidates
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray((known[place] == keys) & (candidates >= 0))
