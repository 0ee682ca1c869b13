"""Batches: every row once, one bucket each, the same for equal seeds, whatever the shards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.batching import BLOCK_BATCHES, Blocks, EpochPlan, token_batches
from train.shuffle import Shuffle
from train.stage_config import BatchingConfig
from train.streams import Shard, layout_of

SIZES = (3, 2, 1)
COUNTS = st.lists(st.integers(0, 120), min_size=3, max_size=3)
Listed = list[tuple[int, list[int]]]


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


def plan_of(
    shards: list[Shard],
    sizes: tuple[int, ...] = SIZES,
    seed: int = 0,
    epoch: int = 0,
    world: int = 1,
) -> EpochPlan:
    return EpochPlan(layout_of(shards, BatchingConfig(), world).streams, sizes, seed, epoch, world)


def listed(plan: EpochPlan, rank: int = 0) -> Listed:
    batches = [plan.batch(step, rank) for step in range(len(plan))]
    return [(batch.bucket, batch.rows.tolist()) for batch in batches]


@settings(deadline=None, max_examples=60)
@given(COUNTS, st.integers(1, 4), st.integers(0, 1000), st.integers(0, 5))
def test_every_row_is_in_exactly_one_batch(
    counts: list[int], world: int, seed: int, epoch: int
) -> None:
    """Small buckets and last partial batches included, on any number of processes."""
    if 0 < sum(counts) < world:
        return
    plan = plan_of(shards_of_counts(counts), SIZES, seed, epoch, world)
    ranks = [listed(plan, rank) for rank in range(world)]
    seen: dict[int, list[int]] = {}
    for bucket, rows in (entry for rank in ranks for entry in rank):
        seen.setdefault(bucket, []).extend(rows)
        assert len(rows) <= SIZES[bucket] or (SIZES[bucket] == 1 and len(rows) == 2)
        assert rows == sorted(set(rows))
    assert sum(map(len, seen.values())) == sum(counts)
    for bucket, rows in seen.items():
        assert sorted(rows) == list(range(len(rows)))
        assert counts[bucket] <= len(rows), "rows of a smaller bucket may join"


@settings(deadline=None, max_examples=40)
@given(COUNTS, st.integers(1, 4), st.integers(0, 1000))
def test_processes_share_each_batch(counts: list[int], world: int, seed: int) -> None:
    """At every step all have the same bucket, rows, and equally many to one."""
    if sum(counts) < world:
        return
    plan = plan_of(shards_of_counts(counts), SIZES, seed, 0, world)
    for step in range(len(plan)):
        batches = [plan.batch(step, rank) for rank in range(world)]
        assert len({batch.stream for batch in batches}) == 1
        lengths = [len(batch.rows) for batch in batches]
        assert min(lengths) >= 1
        assert max(lengths) - min(lengths) <= 1


@settings(deadline=None, max_examples=30)
@given(COUNTS, st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 1000))
def test_batches_do_not_depend_on_the_shards(
    counts: list[int], sizes: list[int], seed: int
) -> None:
    """Rows cut into other files, listed in any order of buckets, make the same batches."""
    whole = plan_of(shards_of_counts(counts), seed=seed)
    cut = plan_of(shards_of_counts(counts, sizes)[::-1], seed=seed)
    assert listed(whole) == listed(cut)


def test_two_processes_make_the_batches_of_one() -> None:
    """With half the size each, the batch of a step is the same set of rows."""
    shards = shards_of_counts([90, 40, 0])
    one = listed(plan_of(shards, (8, 4, 4)))
    halves = plan_of(shards, (4, 2, 2), world=2)
    both = [sorted(a[1] + b[1]) for a, b in zip(listed(halves, 0), listed(halves, 1), strict=True)]
    assert both == [rows for _, rows in one]


def test_seed_and_epoch_decide_the_batches() -> None:
    """Equal ones repeat them; another seed or epoch makes others of the same rows."""
    shards = shards_of_counts([100, 50, 20])
    first = listed(plan_of(shards, seed=1))
    assert listed(plan_of(shards, seed=1)) == first
    for seed, epoch in ((2, 0), (1, 1)):
        other = listed(plan_of(shards, seed=seed, epoch=epoch))
        assert other != first
        assert sorted(bucket for bucket, _ in other) == sorted(bucket for bucket, _ in first)


def test_batches_of_all_buckets_are_mixed() -> None:
    """A run of one bucket after the other would unlearn short texts."""
    order = [bucket for bucket, _ in listed(plan_of(shards_of_counts([90, 60, 30])))]
    assert order != sorted(order)
    assert set(order[:20]) == {0, 1, 2}


def test_batch_is_drawn_from_neighbours() -> None:
    """Rows are sorted by length: a batch spans one block of 16 batches and is no run of it."""
    batches = [rows for _, rows in listed(plan_of(shards_of_counts([2000, 0, 0]), (8, 1, 1)))]
    spans = [rows[-1] - rows[0] for rows in batches]
    assert max(spans) < 8 * BLOCK_BATCHES
    assert np.mean(spans) > 8 * 4


def test_processes_have_texts_of_equal_length() -> None:
    """Ranks take every other row of a batch, so none has all of its long texts."""
    plan = plan_of([Shard("a", 0, 400)], (50,), world=2)
    for step in range(len(plan)):
        means = [plan.batch(step, rank).rows.mean() for rank in (0, 1)]
        assert abs(means[0] - means[1]) < 20


def test_last_rows_are_dealt_out_evenly() -> None:
    """17 rows in batches of 8 are 6 + 6 + 5, not 8 + 8 + 1."""
    lengths = sorted(len(rows) for _, rows in listed(plan_of([Shard("a", 0, 17)], (8,))))
    assert lengths == [5, 6, 6]


def test_no_rows_make_no_batches() -> None:
    """An empty corpus is no error here."""
    assert len(plan_of([])) == 0


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5000), st.integers(1, 20), st.integers(1, 4))
def test_blocks_hold_every_batch_once(rows: int, size: int, world: int) -> None:
    """Batch numbers lead through all blocks and pieces, without a gap."""
    if rows < world:
        return
    blocks = Blocks(rows, size, world)
    end = 0
    for number in range(len(blocks)):
        block, cut, piece = blocks.place(number)
        start = blocks.cut.span(block)[0]
        first, last = cut.span(piece)
        assert start + first == end
        end = start + last
        assert world <= last - first
        assert last - first <= max(size * world, 2 * world - 1)
    assert end == rows


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 3000), st.integers(0, 100))
def test_shuffle_is_a_permutation(size: int, seed: int) -> None:
    """Every number comes once."""
    order = Shuffle.of(size, [seed])
    assert sorted(order[place] for place in range(size)) == list(range(size))


def test_shuffle_mixes() -> None:
    """Neighbours part, halves mix, seeds differ; a place beyond the end is refused."""
    order = np.array([Shuffle.of(10_000, [1])[i] for i in range(10_000)])
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.05
    assert 4800 < (order[:5000] < 5000).sum() * 2 < 5200
    assert (order == [Shuffle.of(10_000, [2])[i] for i in range(10_000)]).mean() < 0.01
    with pytest.raises(IndexError, match="place 3 of 3"):
        Shuffle.of(3, [0])[3]


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
