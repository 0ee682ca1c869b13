"""Fixed bins: the same for every part, so that the counts of parts simply add up."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

UNIT_BINS = 200
"""Scores and shares, 0..1, in steps of 0.005."""
NOTHING = -1
"""The bin of a share that is zero: most texts have no such lines or words at all."""
PER_OCTAVE = 4
"""Lengths and counts, on a logarithmic scale: four bins for each doubling."""
ZERO = -41
"""The logarithmic bin of zero and of all below 2^-10."""

_WHOLE = (
    "characters",
    "words",
    "masked",
    "_tokens",
    "_size",
)  # ends of names of lengths and counts

Bins = npt.NDArray[np.int64]


def scale_of(measure: str) -> str:
    """Return unit or log: which bins a column is counted in, by its name alone."""
    return "unit" if measure.endswith(("_share", "_word_ratio", "language_score")) else "log"


def bins_of(values: npt.NDArray[Any], scale: str) -> Bins:
    """Return the bin of each value; there must be no NaN."""
    if scale == "unit":
        bins = np.clip(np.floor(values * UNIT_BINS + 1e-4), 0, UNIT_BINS - 1)  # columns are fp32
        bins = np.where(values > 0, bins, NOTHING)
    else:
        positive = np.maximum(values.astype(np.float64), 2.0**-11)
        bins = np.maximum(np.floor(PER_OCTAVE * np.log2(positive) + 1e-9), ZERO)
    found: Bins = bins.astype(np.int64)
    return found


def lower_edge(bin_: int, scale: str) -> float:
    """Return the value at which a bin begins."""
    if scale == "unit":
        return max(0, bin_) / UNIT_BINS
    return 0.0 if bin_ <= ZERO else 2.0 ** (bin_ / PER_OCTAVE)


def count(bins: Bins) -> Counter[int]:
    """Return how often each bin occurs."""
    found, times = np.unique(bins, return_counts=True)
    return Counter(dict(zip(found.tolist(), times.tolist(), strict=True)))


def quantile(counts: Counter[int], share: float, measure: str) -> float:
    """Return a quantile, interpolated inside its bin; 0 where nothing was counted.

    A bin that is narrower than 1 holds one whole number, which is returned for lengths and counts.
    """
    scale, wanted, seen = scale_of(measure), share * counts.total(), 0
    for bin_ in sorted(counts):
        if seen + counts[bin_] >= wanted:
            low, high = lower_edge(bin_, scale), lower_edge(bin_ + 1, scale)
            if bin_ <= (NOTHING if scale == "unit" else ZERO):
                return 0.0
            if measure.endswith(_WHOLE) and high - low < 1:
                return float(math.ceil(low - 1e-9))
            return low + (high - low) * (wanted - seen) / counts[bin_]
        seen += counts[bin_]
    return 0.0
