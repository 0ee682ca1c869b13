"""Lists in two arrays, and membership, against Python's own."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mining.lists import contained, grouped, lists_of
from tests.mining.pools import lists

RAGGED = st.lists(st.lists(st.integers(-1, 9), max_size=7), min_size=1, max_size=6)


@settings(deadline=None, max_examples=80)
@given(RAGGED, st.integers(0, 2**31))
def test_membership_equals_pythons(found: list[list[int]], seed: int) -> None:
    """For short lists and long ones; -1 is nowhere."""
    candidates = np.random.default_rng(seed).integers(-1, 10, (len(found), 5))
    expected = [
        [c >= 0 and c in own for c in row]
        for own, row in zip(found, candidates.tolist(), strict=True)
    ]
    assert contained(candidates, lists_of(found)).tolist() == expected


@settings(deadline=None, max_examples=60)
@given(RAGGED, st.data())
def test_taking_rows_equals_pythons(found: list[list[int]], data: st.DataObject) -> None:
    """In any order and repeated; owners and counts run along."""
    rows = data.draw(st.lists(st.integers(0, len(found) - 1), max_size=9))
    taken = lists_of(found).take(np.array(rows, np.int64))
    assert lists(taken) == [found[i] for i in rows]
    assert taken.owners.tolist() == [i for i, r in enumerate(rows) for _ in found[r]]


@settings(deadline=None, max_examples=60)
@given(RAGGED)
def test_grouped_and_filtered_values(found: list[list[int]]) -> None:
    """Distinct values of each owner; lists of those that are wanted."""
    whole = lists_of(found)
    assert lists(grouped(whole.owners, whole.values, len(found))) == [sorted(set(v)) for v in found]
    wanted = whole.values % 2 == 0
    assert lists(whole.where(wanted)) == [[v for v in own if v % 2 == 0] for own in found]
    table = np.arange(10) * 3
    real = whole.where(whole.values >= 0)
    assert lists(real.map(table)) == [[3 * v for v in own if v >= 0] for own in found]
