"""Exact search against numpy's sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.index import search


def sorted_scores(
    queries: np.ndarray, passages: np.ndarray, depth: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and ids, best first, equal scores by number."""
    scores = queries @ passages.T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    return np.take_along_axis(scores, order, 1), order


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 80), st.integers(1, 30))
def test_search_equals_argsort(seed: int, queries: int, passages: int, depth: int) -> None:
    """Ids and scores of the best `depth`, or of all passages where there are fewer."""
    draw = np.random.default_rng(seed)
    q = draw.standard_normal((queries, 8)).astype(np.float32)
    p = draw.standard_normal((passages, 8)).astype(np.float32)
    scores, ids = search(q, p, depth)
    expected_scores, expected_ids = sorted_scores(q, p, depth)
    assert scores.shape == ids.shape == (queries, min(depth, passages))
    assert np.array_equal(ids, expected_ids)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)


@pytest.mark.parametrize("memory_mb", [0.001, 0.1, 1000])
def test_equal_scores_are_ordered_by_number(memory_mb: float) -> None:
    """Whole numbers give exact ties: with all passages wanted the order is the stable sort's."""
    draw = np.random.default_rng(0)
    q = draw.integers(-2, 3, (50, 4)).astype(np.float32)
    p = draw.integers(-2, 3, (90, 4)).astype(np.float32)
    scores, ids = search(q, p, 90, memory_mb)
    expected_scores, expected_ids = sorted_scores(q, p, 90)
    assert np.array_equal(scores, expected_scores)
    assert np.array_equal(ids, expected_ids)


@pytest.mark.parametrize("memory_mb", [0.001, 0.01, 0.1])
def test_result_does_not_depend_on_the_memory(memory_mb: float) -> None:
    """Also where the cut goes through equal scores: the smaller numbers are taken."""
    draw = np.random.default_rng(1)
    q = draw.integers(-2, 3, (50, 4)).astype(np.float32)
    p = draw.integers(-2, 3, (90, 4)).astype(np.float32)
    scores, ids = search(q, p, 13, memory_mb)
    expected_scores, expected_ids = sorted_scores(q, p, 13)
    assert np.array_equal(scores, expected_scores)
    assert np.array_equal(ids, expected_ids)


def test_strided_and_wider_floats_are_taken() -> None:
    """Slices and float64 arrays give what contiguous fp32 gives."""
    draw = np.random.default_rng(2)
    q, p = draw.standard_normal((4, 16)), draw.standard_normal((30, 16))
    wide = search(q[:, ::2], p[:, ::2], 5)  # type: ignore[arg-type]
    plain = search(q[:, ::2].astype(np.float32).copy(), p[:, ::2].astype(np.float32).copy(), 5)
    assert np.array_equal(wide[0], plain[0])
    assert np.array_equal(wide[1], plain[1])


def test_no_queries_find_nothing() -> None:
    """The shape keeps the depth."""
    scores, ids = search(np.zeros((0, 4), np.float32), np.ones((3, 4), np.float32), 2)
    assert scores.shape == ids.shape == (0, 2)
