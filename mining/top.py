"""The best of several lists of scored passages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mining.shards import Ids, Vectors

Found = tuple[Vectors, Ids]
"""(Q, k) scores and passage numbers, best first; -inf and -1 where nothing was found."""


def merge_top(lists: Sequence[Found], depth: int) -> Found:
    """Return the best `depth` of lists with distinct numbers, equal scores by smaller number.

    The result has min(depth, columns of all lists) columns and does not depend on how a corpus was
    cut, as long as each list holds the best `depth` of its part.
    """
    scores = np.concatenate([scores for scores, _ in lists], axis=1)
    numbers = np.concatenate([numbers for _, numbers in lists], axis=1)
    return sorted_top(scores, numbers, depth)


def sorted_top(scores: Vectors, numbers: Ids, depth: int) -> Found:
    """Return the best `depth` of (Q, k) scores; missing ones (number -1) come last."""
    scores = np.where(numbers < 0, np.float32(-np.inf), scores)
    order = np.lexsort((numbers, -scores), axis=1)[:, :depth]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(numbers, order, 1)


def partial_top(lists: Sequence[Found], depth: int) -> Found:
    """Return the best `depth` of lists in no order, which of equal ones is left open."""
    scores = np.concatenate([scores for scores, _ in lists], axis=1)
    numbers = np.concatenate([numbers for _, numbers in lists], axis=1)
    if scores.shape[1] <= depth:
        return scores, numbers
    best = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
    return np.take_along_axis(scores, best, 1), np.take_along_axis(numbers, best, 1)
