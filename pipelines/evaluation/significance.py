"""How sure a mean is, and whether two runs differ: resampling over queries, seeded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
LEVEL = 0.95
_CELLS = 1 << 22  # numbers drawn at once: memory stays flat in queries and draws


def bootstrap_means(values: Values, resamples: int, seed: int) -> Values:
    """Return the means of `resamples` draws of as many queries, with replacement: (resamples,)."""
    generator = np.random.default_rng(seed)
    means = [
        values[generator.integers(0, len(values), (rows, len(values)))].mean(1)
        for rows in _rows(len(values), resamples)
    ]
    return np.concatenate(means)


def _rows(width: int, resamples: int) -> Iterator[int]:
    step = max(1, _CELLS // max(1, width))
    for start in range(0, resamples, step):
        yield min(step, resamples - start)


def interval(groups: Sequence[Values], resamples: int, seed: int) -> tuple[float, float]:
    """Return the percentile bootstrap interval, level 95 %, of the mean of the groups' means.

    A group is the queries of one set; each is resampled for itself (Efron and Tibshirani, 1993).
    Without draws the interval is the mean.
    """
    if not resamples:
        mean = float(np.mean([group.mean() for group in groups]))
        return mean, mean
    means = np.mean(
        [bootstrap_means(group, resamples, seed + i) for i, group in enumerate(groups)], axis=0
    )
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Difference:
    """One run's mean minus another's, over the same queries."""

    mean: float
    low: float
    """The interval of the paired bootstrap, level 95 %."""
    high: float
    p: float
    """Two-sided, of the paired randomisation test; 1 without draws."""


def compare(
    ours: Sequence[Values], theirs: Sequence[Values], resamples: int, seed: int
) -> Difference:
    """Return the difference of the means of the groups' means.

    The test (Smucker, Allan and Carterette, CIKM 2007) flips the sign of each query's difference
    at random; p = (1 + draws at least as far from 0) / (1 + draws), so that it is never 0.
    """
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    mean = float(np.mean([group.mean() for group in differences]))
    if not resamples:
        return Difference(mean, mean, mean, 1.0)
    low, high = interval(differences, resamples, seed)
    flipped = np.mean(
        [_flipped(group, resamples, seed + i) for i, group in enumerate(differences)], axis=0
    )
    # Sums in another order differ in their last bits; what is equal must count as equal.
    as_far = np.abs(flipped) >= abs(mean) - 1e-12
    return Difference(mean, low, high, float((1 + as_far.sum()) / (1 + resamples)))


def _flipped(differences: Values, resamples: int, seed: int) -> Values:
    generator = np.random.default_rng(seed)
    means = [
        (generator.integers(0, 2, (rows, len(differences)), np.int8) * 2 - 1) @ differences
        for rows in _rows(len(differences), resamples)
    ]
    return np.concatenate(means) / len(differences)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number (Holm, 1979)."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return [float(p) for p in adjusted]
