"""Intervals that hold the truth as often as they say, tests that reject as often as they may."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.evaluation.significance import bootstrap_means, compare, holm, interval

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=12)


def test_an_interval_is_as_wide_as_the_normal_one() -> None:
    """Of many queries the bootstrap is near mean ± 1.96 standard errors."""
    values = np.random.default_rng(0).random(2000)
    low, high = interval([values], 4000, 0)
    error = 1.96 * values.std() / np.sqrt(2000)
    assert low == pytest.approx(values.mean() - error, abs=error / 10)
    assert high == pytest.approx(values.mean() + error, abs=error / 10)


def test_intervals_hold_the_truth_nineteen_times_of_twenty() -> None:
    """Coverage of the mean of 200 values over 800 samples: 95 % to three standard errors."""
    generator = np.random.default_rng(1)
    held = 0
    for seed in range(800):
        low, high = interval([generator.beta(2, 1, 200)], 300, seed)
        held += low <= 2 / 3 <= high
    assert 0.927 <= held / 800 <= 0.973


def test_p_is_uniform_where_nothing_differs() -> None:
    """At most one in twenty comparisons of equals comes out below 0.05, to three errors."""
    generator = np.random.default_rng(2)
    found = [
        compare([generator.random(50)], [generator.random(50)], 200, seed).p for seed in range(400)
    ]
    assert np.mean(np.array(found) < 0.05) <= 0.083
    assert 0.45 <= np.mean(found) <= 0.55


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=9))
def test_p_is_the_exact_one_of_all_signs(differences: list[int]) -> None:
    """Flipping at random estimates the share of all 2^n signs at least as far from 0."""
    values = np.array(differences, np.float64)
    signs = np.array(list(product((-1, 1), repeat=len(values))))
    exact = np.mean(np.abs(signs @ values) >= abs(values.sum()) - 1e-9)
    found = compare([values], [np.zeros(len(values))], 4000, 3)
    assert found.p == pytest.approx(exact, abs=0.035)
    assert found.mean == pytest.approx(values.mean())


@settings(deadline=None, max_examples=25)
@given(VALUES, st.integers(0, 5))
def test_draws_are_seeded_and_comparisons_are_antisymmetric(values: list[float], seed: int) -> None:
    """The same seed gives the same draws; swapping the runs turns the difference round."""
    ours = np.array(values)
    theirs = ours[::-1].copy()
    assert interval([ours], 100, seed) == interval([ours], 100, seed)
    one, other = compare([ours], [theirs], 100, seed), compare([theirs], [ours], 100, seed)
    assert (one.mean, one.p) == (-other.mean, other.p)
    assert compare([ours], [ours], 100, seed).p == 1.0


def test_a_mean_of_sets_weighs_them_alike() -> None:
    """A set of ten queries counts as much as one of a thousand."""
    groups = [np.zeros(1000), np.ones(10)]
    assert interval(groups, 100, 0) == (0.5, 0.5)
    assert interval(groups, 0, 0) == (0.5, 0.5)
    assert compare(groups, [np.zeros(1000), np.zeros(10)], 200, 0).mean == 0.5


def test_memory_does_not_grow_with_draws() -> None:
    """Draws come in blocks, and as many as are asked for."""
    assert len(bootstrap_means(np.random.default_rng(0).random(1 << 20), 9, 0)) == 9


def test_holm_steps_down() -> None:
    """The smallest p is multiplied by all, the next by one less, never below the one before."""
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
