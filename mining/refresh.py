"""Negatives mined anew: for which queries, and how far they have moved since the last time.

Pure functions on integer arrays; what encodes and searches is in pipelines.refresh.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mining.config import MiningConfig
from mining.negatives import Candidates, Chosen, Mask, choose
from mining.shards import Ids, Shards, Vectors, score_pairs

_NO_MARGIN = 10.0  # of the positive's score: nothing is too close


def due(rows: int, fraction: float, number: int, seed: int) -> Ids:
    """Return the rows that refresh `number` (from 1) mines for, ascending.

    Refreshes take turns through a shuffled order: each row's turn comes once in 1 / fraction.
    """
    count = max(1, math.ceil(fraction * rows))
    order = np.random.default_rng([seed, rows]).permutation(rows)
    places = ((number - 1) * count + np.arange(min(count, rows))) % rows
    return np.sort(order[places])


def with_labelled(labelled: Sequence[Sequence[int]], mined: Ids) -> Ids:
    """Return (Q, n) negatives: labelled ones first, mined ones (Q, n; -1: none) in what is left."""
    found = mined.copy()
    for number, own in enumerate(labelled):
        if own:
            row = [*own, *mined[number][mined[number] >= 0].tolist()][: mined.shape[1]]
            found[number] = [*row, *[-1] * (mined.shape[1] - len(row))]
    return found


def without(ids: Ids, others: Sequence[Sequence[int]]) -> Ids:
    """Return (Q, n) numbers with -1 in the place of those that a row of `others` lists."""
    width = max((len(row) for row in others), default=0)
    listed = np.array([[*row, *[-1] * (width - len(row))] for row in others], np.int64)
    return np.where((ids[:, :, None] == listed[:, None, :]).any(2), -1, ids)


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """What one refresh changed, over the rows that it mined for."""

    overlap: float
    """Share of the earlier negatives that are negatives still."""
    margin: float
    """Mean of the positive's score minus the negative's, of the new negatives."""
    suspects: float
    """Share of the best candidates, as many as negatives are wanted, that score above the
    positive: false negatives, or questions that the model does not answer."""
    suspects_at_margin: float
    """The same share above the margin that [mining] asks for; they were not taken."""
    stale: float
    """Share of the earlier mined negatives that score above the positive by now."""
    starved: int
    """Rows with fewer negatives than wanted."""


def drift_of(
    found: Candidates,
    chosen: Chosen,
    old: Ids,
    vectors: Mapping[str, Shards],
    config: MiningConfig,
) -> Drift:
    """Return how the mined negatives of Q queries have moved from the (Q, n) old ones.

    `vectors` are those of the queries and of all passages.
    """
    positive, new = found.positive_scores, chosen.ids >= 0
    margins = (positive[:, None] - chosen.scores)[new]
    best = choose(found, replace(config, max_positive_ratio=_NO_MARGIN))
    close = limits(positive, config.max_positive_ratio)
    old_scores = np.zeros(old.shape, np.float32)
    asked, places = np.nonzero(old >= 0)
    old_scores[asked, places] = score_pairs(
        vectors["queries"], vectors["passages"], asked, old[asked, places]
    )
    return Drift(
        overlap=overlap(old, chosen.ids),
        margin=float(margins.mean()) if margins.size else 0.0,
        suspects=share_above(best.scores, best.ids >= 0, positive),
        suspects_at_margin=share_above(best.scores, best.ids >= 0, close),
        stale=share_above(old_scores, old >= 0, positive),
        starved=int(chosen.removed["starved"]),
    )


def overlap(old: Ids, new: Ids) -> float:
    """Return the share of (Q, n) old negatives that stand in the same row of the new ones."""
    real = old >= 0
    kept = (old[:, :, None] == new[:, None, :]).any(2) & real
    return float(kept.sum() / max(1, real.sum()))


def limits(positive: Vectors, ratio: float) -> Vectors:
    """Return the (Q,) scores above which a candidate is too close to a positive's."""
    found: Vectors = (positive - (1 - ratio) * np.abs(positive)).astype(np.float32)
    return found


def share_above(scores: Vectors, real: Mask, limit: Vectors) -> float:
    """Return the share of the real ones of (Q, n) scores that are above their row's limit."""
    above = (scores > limit[:, None]) & real
    return float(above.sum() / max(1, real.sum()))
