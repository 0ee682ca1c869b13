from __future__ import annotations

import numpy as np
import pytest

from pipelines.ablation.results import _by_mode, benchmarks
from pipelines.ablation.statistics import difference, estimate
from train.watch import MODES


def test_every_set_counts_the_same() -> None:
    small, large = np.full((2, 3), 0.2), np.full((2, 90), 0.8)

    found = estimate([small, large], 200)

    assert found.mean == pytest.approx(0.5)
    assert (found.low, found.high) == (pytest.approx(0.5), pytest.approx(0.5))
    assert found.seeds == (pytest.approx(0.5), pytest.approx(0.5))


def test_every_benchmark_counts_the_same_however_many_languages_it_has() -> None:
    names = ["xquad-cross-de", "scifact", "xquad-cross-fr", "xquad-cross-th", "news-de"]
    assert benchmarks(names) == {
        "xquad-cross": ["xquad-cross-de", "xquad-cross-fr", "xquad-cross-th"],
        "scifact": ["scifact"],
        "news-de": ["news-de"],
    }
    cube = {name: {mode: np.full((2, 9), i / 10) for mode in MODES} for i, name in enumerate(names)}

    found = _by_mode(cube, None, names, 100)

    assert found["all"]["mean"] == pytest.approx(((0.0 + 0.2 + 0.3) / 3 + 0.1 + 0.4) / 3)
    assert found["all"]["low"] == pytest.approx(found["all"]["mean"])


def test_the_interval_over_queries_is_that_of_the_central_limit_theorem() -> None:
    values = np.random.default_rng(3).random((1, 400))

    found = estimate([values], 4000)

    half = 1.96 * values.std() / np.sqrt(400)
    assert found.low == pytest.approx(values.mean() - half, abs=half / 10)
    assert found.high == pytest.approx(values.mean() + half, abs=half / 10)


def test_seeds_that_differ_widen_the_interval() -> None:
    values = np.tile(np.random.default_rng(3).random(400), (3, 1))
    apart = values + np.array([[-0.2], [0.0], [0.2]])

    same, other = estimate([values], 2000), estimate([apart], 2000)

    assert other.mean == pytest.approx(same.mean)
    # the spread of a mean of three seeds drawn from three
    assert other.high - other.low == pytest.approx(
        2 * 1.96 * np.hypot((same.high - same.low) / 3.92, apart.mean(1).std() / np.sqrt(3)),
        rel=0.2,
    )


def test_a_difference_is_paired() -> None:
    theirs = np.random.default_rng(3).random((3, 200))

    found = difference([theirs + 0.01], [theirs], 500)

    assert (found.mean, found.low, found.high) == tuple(pytest.approx(0.01) for _ in range(3))


def test_the_same_values_give_the_same_interval() -> None:
    values = [np.random.default_rng(3).random((2, 30))]

    assert estimate(values, 300) == estimate(values, 300)
