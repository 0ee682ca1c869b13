"""Batches: every row once, one bucket each, the same for equal seeds, whatever the shards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.batching import BLOCK_BATCHES, Batch, Shard, plan_epoch, token_batches

SIZES = (3, 2, 1)
COUNTS = st.lists(st.integers(0, 120), min_size=3, max_size=3)


def shards_of_counts(counts: list[int], sizes: list[int] | None = None) -> list[Shard]:
    """Cut each bucket's rows into shards of the given sizes, repeated."""
    shards = []
    for bucket, count in enumerate(counts):
        step = 0
        while count:
            rows = min(count, (sizes or [count])[step % len(sizes or [count])])
            shards.append(Shard(f"{bucket}/{step}", bucket, rows))
            count, step = count - rows, step + 1
    return shards


def listed(batches: list[Batch]) -> list[tuple[int, list[int]]]:
    return [(batch.bucket, batch.rows.tolist()) for batch in batches]


@settings(deadline=None, max_examples=40)
@given(COUNTS, st.integers(0, 1000), st.integers(0, 5))
def test_every_row_is_in_exactly_one_batch(counts: list[int], seed: int, epoch: int) -> None:
    """Small buckets and last partial batches included; no batch exceeds its bucket's size."""
    batches = plan_epoch(shards_of_counts(counts), SIZES, seed, epoch)
    for bucket, count in enumerate(counts):
        own = [batch.rows for batch in batches if batch.bucket == bucket]
        assert sorted(i for rows in own for i in rows.tolist()) == list(range(count))
        assert all(1 <= len(rows) <= SIZES[bucket] for rows in own)
        assert all(np.all(np.diff(rows) > 0) for rows in own)


@settings(deadline=None, max_examples=30)
@given(COUNTS, st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 1000))
def test_batches_do_not_depend_on_the_shards(
    counts: list[int], sizes: list[int], seed: int
) -> None:
    """Rows cut into other files, listed in any order of buckets, make the same batches."""
    whole = plan_epoch(shards_of_counts(counts), SIZES, seed, 0)
    cut = plan_epoch(shards_of_counts(counts, sizes)[::-1], SIZES, seed, 0)
    assert listed(whole) == listed(cut)


def test_seed_and_epoch_decide_the_batches() -> None:
    """Equal ones repeat them; another seed or epoch makes others of the same rows."""
    shards = shards_of_counts([100, 50, 20])
    first = listed(plan_epoch(shards, SIZES, 1, 0))
    assert listed(plan_epoch(shards, SIZES, 1, 0)) == first
    for seed, epoch in ((2, 0), (1, 1)):
        other = listed(plan_epoch(shards, SIZES, seed, epoch))
        assert other != first
        assert sorted(bucket for bucket, _ in other) == sorted(bucket for bucket, _ in first)


def test_batches_of_all_buckets_are_mixed() -> None:
    """A run of one bucket after the other would unlearn short texts."""
    order = [batch.bucket for batch in plan_epoch(shards_of_counts([90, 60, 30]), SIZES, 0, 0)]
    assert order != sorted(order)
    assert set(order[:20]) == {0, 1, 2}


def test_batch_is_drawn_from_neighbours() -> None:
    """Rows are sorted by length: a batch spans one block of 16 batches and is no run of it."""
    batches = [
        b for b in plan_epoch(shards_of_counts([2000, 0, 0]), (8, 1, 1), 3, 0) if b.bucket == 0
    ]
    spans = [int(batch.rows[-1] - batch.rows[0]) for batch in batches]
    assert max(spans) < 8 * BLOCK_BATCHES
    assert np.mean(spans) > 8 * 4


def test_last_rows_are_dealt_out_evenly() -> None:
    """17 rows in batches of 8 are 6 + 6 + 5, not 8 + 8 + 1."""
    batches = plan_epoch([Shard("a", 0, 17)], (8,), 0, 0)
    assert sorted(len(batch.rows) for batch in batches) == [5, 6, 6]


def test_no_rows_make_no_batches() -> None:
    """An empty corpus is no error here."""
    assert plan_epoch([], SIZES, 0, 0) == []


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 300), max_size=60), st.integers(1, 1000))
def test_token_batches_keep_the_budget(lengths: list[int], budget: int) -> None:
    """Padded groups hold at most `budget` tokens, or one text; each text is in one group."""
    groups = [group.tolist() for group in token_batches(lengths, budget)]
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        padded = len(group) * max(lengths[i] for i in group)
        assert padded <= budget or len(group) == 1
    longest = [lengths[i] for group in groups for i in group]
    assert longest == sorted(lengths, reverse=True)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(50, 500))
def test_token_batches_are_as_full_as_the_budget_allows(lengths: list[int], budget: int) -> None:
    """The next text would not have fitted into a group before it."""
    groups = token_batches(lengths, budget)
    for group in groups[:-1]:
        assert (len(group) + 1) * lengths[group[0]] > budget


@pytest.mark.parametrize(
    ("lengths", "budget", "expected"),
    [
        ([], 10, []),
        ([3, 9, 3, 4], 9, [[1], [3, 0], [2]]),
        ([20, 5], 10, [[0], [1]]),
        ([4, 4, 4], 8, [[0, 1], [2]]),
    ],
    ids=["none", "longest first", "longer than the budget", "equal lengths in order"],
)
def test_token_batches_by_hand(lengths: list[int], budget: int, expected: list[list[int]]) -> None:
    """Groups are cut off the list sorted by falling length."""
    assert [group.tolist() for group in token_batches(lengths, budget)] == expected
