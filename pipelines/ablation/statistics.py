"""Means over seeds, queries and sets, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
"""(S, Q) of one set: a row per seed, a column per query."""
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval, and the mean of each seed."""

    mean: float
    low: float
    high: float
    """The 95 % interval."""
    seeds: tuple[float, ...]


def estimate(sets: Sequence[Values], draws: int, weights: Sequence[float] = ()) -> Estimate:
    """Return the mean of the sets' means; every set counts the same, or as `weights` say.

    The interval is the percentile bootstrap's over both things that could have come out otherwise:
    each draw takes as many seeds, the same for all sets, and within each set as many queries, with
    replacement. With few seeds it is too narrow, by about 1 - sqrt((S - 1) / S) of the seeds' part.
    """
    per_seed = np.average([values.mean(1) for values in sets], axis=0, weights=weights or None)
    drawn = np.average(_bootstrap(sets, draws), axis=0, weights=weights or None)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(float(per_seed.mean()), float(low), float(high), tuple(per_seed.tolist()))


def difference(
    ours: Sequence[Values], theirs: Sequence[Values], draws: int, weights: Sequence[float] = ()
) -> Estimate:
    """Return how much better `ours` is, seed by seed and query by query on the same ones."""
    paired = [one - other for one, other in zip(ours, theirs, strict=True)]
    return estimate(paired, draws, weights)


def _bootstrap(sets: Sequence[Values], draws: int) -> list[npt.NDArray[np.float64]]:
    """Return each set's `draws` means of resampled seeds and queries; the same for every arm."""
    generator = np.random.default_rng(0)
    seeds = _shares(generator, len(sets[0]), draws)
    return [
        ((seeds @ values) * _shares(generator, values.shape[1], draws)).sum(1) for values in sets
    ]


def _shares(generator: np.random.Generator, count: int, draws: int) -> Values:
    """Return (draws, count): how often each of `count` things is drawn, as a share."""
    return generator.multinomial(count, np.full(count, 1 / count), draws) / count
