"""Ranked lists of several searches → one: weighted sums and reciprocal ranks.

A list is (scores (Q, k) fp32, numbers (Q, k) int64), best first; number -1 is no result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from curation.errors import ConfigError, check_range
from mining.best import Floats, Ints

Ranked = tuple[Floats, Ints]


def weighted(lists: Sequence[Ranked], weights: Sequence[float], depth: int) -> Ranked:
    """Return the best `depth` of Σ_i w_i · s_i; a list that lacks a text adds nothing to it.

    Lists of exact scores of the same texts make this the model's own weighted sum (paper, section
    3.2). Equal sums are ordered by number.
    """
    _check(lists, weights)
    return _fused(
        [scores for scores, _ in lists], [numbers for _, numbers in lists], weights, depth
    )


def rrf(
    lists: Sequence[Ranked],
    constant: float = 60.0,
    depth: int = 1000,
    weights: Sequence[float] | None = None,
) -> Ranked:
    """Return the best `depth` of Σ_i w_i / (constant + rank_i), ranks from 1.

    Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009), whose constant is 60. Equal
    sums are ordered by number.
    """
    check_range("constant", constant, 0.0, 1e9)
    shares = [1.0] * len(lists) if weights is None else weights
    _check(lists, shares)
    values = [
        np.broadcast_to(1 / (constant + 1 + np.arange(numbers.shape[1])), numbers.shape)
        for _, numbers in lists
    ]
    return _fused(values, [numbers for _, numbers in lists], shares, depth)


def _check(lists: Sequence[Ranked], weights: Sequence[float]) -> None:
    if not lists or len(lists) != len(weights):
        raise ConfigError(f"{len(lists)} lists to fuse, but {len(weights)} weights: one for each")
    sizes = [len(numbers) for _, numbers in lists]
    if len(set(sizes)) > 1:
        raise ConfigError(f"lists to fuse are of different queries: {sizes} rows")


def _fused(
    scores: Sequence[np.ndarray], numbers: Sequence[Ints], weights: Sequence[float], depth: int
) -> Ranked:
    """Sum what stands for the same number in a row, in fp64, and sort each row."""
    places = np.concatenate(numbers, axis=1)
    terms = np.concatenate(
        [
            np.where(n >= 0, s.astype(np.float64) * w, 0.0)
            for s, n, w in zip(scores, numbers, weights, strict=True)
        ],
        axis=1,
    )
    order = np.argsort(places, axis=1, kind="stable")
    places, terms = np.take_along_axis(places, order, 1), np.take_along_axis(terms, order, 1)
    first = np.ones(places.shape, np.bool_)
    first[:, 1:] = places[:, 1:] != places[:, :-1]
    sums = np.full(places.shape, -np.inf)
    if places.size:
        sums[first] = np.add.reduceat(terms.ravel(), np.flatnonzero(first.ravel()))
    sums[places < 0] = -np.inf
    best = np.lexsort((places, -sums), axis=1)[:, :depth]
    found = np.take_along_axis(sums, best, 1)
    kept = np.where(np.isneginf(found), -1, np.take_along_axis(places, best, 1))
    return _widened(found.astype(np.float32), kept, depth)


def _widened(scores: Floats, numbers: Ints, depth: int) -> Ranked:
    missing = ((0, 0), (0, max(0, depth - scores.shape[1])))
    return (
        np.pad(scores, missing, constant_values=-np.inf),
        np.pad(numbers, missing, constant_values=-1),
    )
