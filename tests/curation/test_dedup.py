"""Deduplication decisions against plain-Python oracles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import dedup

Row = tuple[int, int, int, int]

# Few distinct values, so that versions, copies and ties all happen.
rows = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.sampled_from([0, 1, 2, 2**64 - 1]),
        st.integers(0, 2),
        st.integers(1, 3),
    ),
    max_size=25,
)


def array(items: list[Row]) -> dedup.Array:
    """Return rows as the array that the functions take."""
    return np.array(items, dedup.THIN_KEY)


def oracle(items: list[Row]) -> set[tuple[int, int]]:
    """Return the (key, id) whose text is not that of the newest version of its id."""
    newest: dict[int, tuple[int, int, int]] = {}
    for identity, key, date, length in items:
        newest[identity] = max(newest.get(identity, (-1, 0, 0)), (date, length, key))
    return {(key, i) for i, key, _, _ in items if key != newest[i][2]}


@given(items=rows)
@settings(deadline=None, max_examples=60)
def test_older_versions_equal_the_oracle(items: list[Row]) -> None:
    """Dropped are exactly the rows whose content is not their id's newest, sorted by key."""
    drops = dedup.older_versions(array(items))
    assert {(int(d["key"]), int(d["id"])) for d in drops} == oracle(items)
    order = [(int(d["key"]), int(d["id"])) for d in drops]
    assert order == sorted(order)


@given(items=rows, seed=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_older_versions_do_not_depend_on_order_or_copies(items: list[Row], seed: object) -> None:
    """Any order of the input, and rows given twice, lead to the same decision."""
    shuffled = items + items[:3]
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    drops = dedup.older_versions(array(shuffled))
    assert drops.tolist() == dedup.older_versions(array(items)).tolist()


@given(items=rows)
@settings(deadline=None, max_examples=60)
def test_every_id_keeps_exactly_one_content(items: list[Row]) -> None:
    """No document is lost: after the drops each id has one content left, its newest."""
    table = array(items)
    mask = dedup.contains(dedup.older_versions(table), table["key"], table["id"])
    left = {(int(r["id"]), int(r["key"])) for r in table[~mask]}
    assert {i for i, _ in left} == {i for i, *_ in items}
    assert len(left) == len({i for i, *_ in items})


@pytest.mark.parametrize(
    ("items", "dropped"),
    [
        ([(1, 10, 20240101, 5), (1, 11, 20240102, 4)], [10]),
        ([(1, 10, 20240101, 5), (1, 11, 20240101, 6)], [10]),
        ([(1, 10, 0, 5), (1, 11, 0, 5)], [10]),
        ([(1, 10, 1, 5), (1, 10, 1, 5)], []),
        ([(1, 10, 1, 5), (1, 10, 2, 5)], []),
        ([(1, 10, 1, 5), (2, 11, 2, 5)], []),
        ([(1, 10, 1, 5), (1, 11, 2, 5), (1, 10, 3, 5)], [11]),
        ([], []),
    ],
    ids=["date", "length", "key", "copies", "redated", "two-ids", "back-again", "empty"],
)
def test_older_versions_by_hand(items: list[Row], dropped: list[int]) -> None:
    """The newest date wins, then the longest text, then the key; copies are none of this."""
    assert dedup.older_versions(array(items))["key"].tolist() == dropped


@given(drops=rows, asked=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=40))
@settings(deadline=None, max_examples=60)
def test_contains_equals_the_oracle(drops: list[Row], asked: list[tuple[int, int]]) -> None:
    """A (key, id) is found when both together are among the drops, not each alone."""
    listed = {(key, identity) for identity, key, _, _ in drops}
    keys = np.array([key for _, key in asked], np.uint64)
    ids = np.array([identity for identity, _ in asked], np.uint64)
    found = dedup.contains(array(drops), keys, ids)
    assert found.tolist() == [(key, identity) in listed for identity, key in asked]


def test_contains_with_many_drops() -> None:
    """The decision is the same on the other code path of numpy, that of long lists."""
    drops = array([(i, i * 7, 0, 1) for i in range(3000)])
    keys = np.arange(0, 21000, 3, dtype=np.uint64)
    found = dedup.contains(drops, keys, keys // np.uint64(7))
    assert found.tolist() == [int(k) % 7 == 0 and int(k) < 21000 for k in keys]


@given(
    items=st.lists(st.tuples(st.sampled_from("aab"), st.integers(0, 3)), max_size=20),
)
@settings(deadline=None, max_examples=60)
def test_first_of_equals_equals_the_oracle(items: list[tuple[str, int]]) -> None:
    """Of each run of equal neighbours the smallest rank is kept, the first among ties."""
    groups = [group for group, _ in items]
    ranks = [(rank,) for _, rank in items]
    kept, winner = dedup.first_of_equals(groups, ranks)
    wanted = []
    for index, group in enumerate(groups):
        low = high = index
        while low and groups[low - 1] == group:
            low -= 1
        while high < len(groups) and groups[high] == group:
            high += 1
        wanted.append(min(range(low, high), key=lambda i: (ranks[i], i)))
    assert winner.tolist() == wanted
    assert kept.tolist() == [index == best for index, best in enumerate(wanted)]


def test_first_of_equals_leaves_single_rows_alone() -> None:
    """Rows without an equal are kept, whatever their rank; bytes work like text."""
    kept, winner = dedup.first_of_equals([b"a", b"b", b"b", b"c"], [(9,), (2,), (1,), (9,)])
    assert kept.tolist() == [True, False, True, True]
    assert winner.tolist() == [0, 2, 2, 3]
