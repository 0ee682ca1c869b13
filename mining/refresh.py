"""Negatives mined anew: for which queries, and how far they have moved since the last time.

What encodes and searches is in pipelines.refresh.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mining.config import MiningConfig
from mining.lists import Ids, Lists, Mask, contained
from mining.miner import Mined, padded_scores, pieces
from mining.negatives import Candidates, below_margins, needed, usable_candidates
from mining.pool import Pool, Scores
from mining.search import PoolSearch

_SAMPLE = 4096  # rows whose best candidates are looked at: a share is then known to 0.01


def due(rows: int, fraction: float, number: int, seed: int) -> Ids:
    """Return the rows that refresh `number` (from 1) mines for, ascending.

    Refreshes take turns through a shuffled order: each row's turn comes once in 1 / fraction.
    """
    count = max(1, math.ceil(fraction * rows))
    order = np.random.default_rng([seed, rows]).permutation(rows)
    places = ((number - 1) * count + np.arange(min(count, rows))) % rows
    return np.sort(order[places])


def padded(lists: Lists, width: int) -> Ids:
    """Return lists as (N, width) numbers, the first ones of each; -1 where there are no more."""
    found = np.full((len(lists), width), -1, np.int64)
    place = np.arange(len(lists.values)) - np.repeat(lists.starts[:-1], lists.counts)
    fits = place < width
    found[lists.owners[fits], place[fits]] = lists.values[fits]
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """What one refresh changed, over the rows that it mined for."""

    overlap: float
    """Share of the earlier mined negatives that are negatives still."""
    margin: float
    """Mean of the positive's score minus the negative's, of the new negatives."""
    suspects: float
    """Share of the best candidates, as many as negatives are wanted, that score above the
    positive: false negatives, or questions that the model does not answer."""
    suspects_at_margin: float
    """The same share of those that a margin of [mining] removes."""
    stale: float
    """Share of the earlier mined negatives that score above the positive by now."""
    starved: int
    """Rows with fewer negatives than wanted."""


def drift_of(
    pool: Pool, search: PoolSearch, bounds: Scores, mined: Mined, old: Ids, config: MiningConfig
) -> Drift:
    """Return how the negatives of the pool's rows have moved from the (Q, n) old ones.

    `bounds` (Q,) are the scores of the positives by now, of several the lowest.
    """
    rows = np.arange(len(pool))
    old = np.where(contained(old, pool.negatives), -1, old)
    margins = (bounds[:, None] - mined.scores)[mined.ids >= 0]
    above, close = _suspects(pool, search, bounds, config)
    scores = padded_scores(rows, old, search.dense_scores)
    return Drift(
        overlap=overlap(old, mined.ids),
        margin=float(np.nanmean(margins)) if np.isfinite(margins).any() else 0.0,
        suspects=above,
        suspects_at_margin=close,
        stale=_share(scores > bounds[:, None], old >= 0),
        starved=int((mined.counts < needed(pool, rows, config)).sum()),
    )


def overlap(old: Ids, new: Ids) -> float:
    """Return the share of (Q, n) old negatives that stand in the same row of the new ones."""
    return _share((old[:, :, None] == new[:, None, :]).any(2), old >= 0)


def _suspects(
    pool: Pool, search: PoolSearch, bounds: Scores, config: MiningConfig
) -> tuple[float, float]:
    """Return the shares of the best candidates above the positive, and above a margin."""
    counts = np.zeros(3, np.int64)
    rows = np.unique(np.linspace(0, len(pool) - 1, min(_SAMPLE, len(pool))).astype(np.int64))
    for some in pieces(rows, config.depth):
        listed = search(some, config.depth)
        found = Candidates(some, listed.ids, listed.scores, bounds[some])
        usable, removed = usable_candidates(pool, found, config)
        best = usable & (np.cumsum(usable, axis=1) <= config.negatives)
        kept = below_margins(found, best, removed, config)
        above = found.scores > found.positive_scores[:, None]
        counts += [best.sum(), (best & above).sum(), (best & ~kept).sum()]
    most = max(1, int(counts[0]))
    return float(counts[1] / most), float(counts[2] / most)


def _share(hits: Mask, real: Mask) -> float:
    return float((hits & real).sum() / max(1, int(real.sum())))
