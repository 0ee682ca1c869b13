"""Fused lists against sums in a dictionary."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError
from mining.fusion import Ranked, rrf, weighted

Listed = list[list[tuple[int, float]]]


def ranked(rows: Listed, depth: int) -> Ranked:
    """Return rows of (number, score) as arrays, best first."""
    scores = np.full((len(rows), depth), -np.inf, np.float32)
    numbers = np.full((len(rows), depth), -1, np.int64)
    for i, row in enumerate(rows):
        ordered = sorted(row, key=lambda item: (-item[1], item[0]))[:depth]
        for j, (number, score) in enumerate(ordered):
            scores[i, j], numbers[i, j] = score, number
    return scores, numbers


def plain(values: dict[int, float], depth: int) -> list[tuple[int, float]]:
    return sorted(values.items(), key=lambda item: (-item[1], item[0]))[:depth]


# Scores in eighths: sums are exact, so ties are ties.
ROWS = st.lists(
    st.dictionaries(st.integers(0, 12), st.integers(-8, 24).map(lambda n: n / 8), max_size=8),
    min_size=2,
    max_size=2,
)


@settings(deadline=None, max_examples=60)
@given(st.lists(ROWS, min_size=1, max_size=3), st.integers(1, 20))
def test_weighted_equals_a_dictionary_of_sums(lists: list[list[dict[int, float]]], depth: int):
    """A text that a list lacks gets nothing from it; missing results stand last."""
    weights = [1.0, 0.5, 2.0][: len(lists)]
    arrays = [ranked([list(row.items()) for row in rows], 8) for rows in lists]
    scores, numbers = weighted(arrays, weights, depth)
    assert scores.shape == numbers.shape == (2, depth)
    for i in range(2):
        sums: dict[int, float] = defaultdict(float)
        for rows, weight in zip(lists, weights, strict=True):
            for number, score in rows[i].items():
                sums[number] += weight * score
        expected = plain(sums, depth)
        count = len(expected)
        assert numbers[i].tolist() == [n for n, _ in expected] + [-1] * (depth - count)
        assert scores[i, :count].tolist() == [s for _, s in expected]
        assert np.isneginf(scores[i, count:]).all()


def test_rrf_by_hand() -> None:
    """1 / (60 + rank), summed; the worked example of two lists."""
    one = ranked([[(5, 9.0), (7, 8.0), (2, 1.0)]], 3)
    other = ranked([[(7, 0.3), (9, 0.2)]], 3)
    scores, numbers = rrf([one, other], 60, 5)
    assert numbers.tolist() == [[7, 5, 9, 2, -1]]
    expected = [1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63]
    np.testing.assert_allclose(scores[0, :4], expected, rtol=1e-6)
    scores, numbers = rrf([one, other], 60, 2, [1.0, 0.0])
    assert numbers.tolist() == [[5, 7]]
    np.testing.assert_allclose(scores[0], [1 / 61, 1 / 62], rtol=1e-6)


def test_equal_sums_are_ordered_by_number() -> None:
    """Two texts that change places between two lists."""
    one, other = ranked([[(8, 2.0), (3, 1.0)]], 2), ranked([[(3, 2.0), (8, 1.0)]], 2)
    assert weighted([one, other], [1, 1], 2)[1].tolist() == [[3, 8]]
    assert rrf([one, other], 60, 2)[1].tolist() == [[3, 8]]


def test_lists_and_weights_must_fit() -> None:
    """Another number of weights, of queries, no list, a negative constant."""
    one, two = ranked([[(1, 1.0)]], 1), ranked([[(1, 1.0)], [(1, 1.0)]], 1)
    with pytest.raises(ConfigError, match="1 lists to fuse, but 2 weights"):
        weighted([one], [1, 2], 3)
    with pytest.raises(ConfigError, match=r"different queries: \[1, 2\] rows"):
        rrf([one, two])
    with pytest.raises(ConfigError, match="0 lists to fuse"):
        weighted([], [], 3)
    with pytest.raises(ConfigError, match="constant = -1"):
        rrf([one], -1)
