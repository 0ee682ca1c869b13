"""Whose turn it is, and how drift is measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import ConfigError
from mining.config import MiningConfig
from mining.lists import lists_of
from mining.miner import Scoring, mine
from mining.refresh import drift_of, due, overlap, padded
from mining.refresh_config import AnceConfig
from mining.search import PoolSearch
from mining.shards import Shards
from tests.mining.pools import passages, pool_of, row


@given(st.integers(1, 60), st.integers(1, 7), st.integers(0, 5))
def test_every_row_has_its_turn(rows: int, turns: int, seed: int) -> None:
    """Within one round all rows are mined for; a turn is a set of the same size."""
    found = [due(rows, 1 / turns, number, seed) for number in range(1, turns + 1)]
    assert set(np.concatenate(found).tolist()) == set(range(rows))
    assert {len(set(turn.tolist())) for turn in found} == {-(-rows // turns)}
    assert all((np.diff(turn) > 0).all() for turn in found)


def test_turns_follow_the_seed() -> None:
    assert due(50, 0.2, 1, 0).tolist() == due(50, 0.2, 1, 0).tolist()
    assert due(50, 0.2, 1, 0).tolist() != due(50, 0.2, 1, 1).tolist()


def test_lists_are_cut_and_padded() -> None:
    found = padded(lists_of([[5, 6], [], [1, 2, 3, 0], [9]]), 3)
    assert found.tolist() == [[5, 6, -1], [-1, -1, -1], [1, 2, 3], [9, -1, -1]]
    assert padded(lists_of([[], []]), 2).tolist() == [[-1, -1], [-1, -1]]


def test_overlap_counts_what_stays() -> None:
    old = np.array([[1, 2, 3], [4, 5, -1]])
    assert overlap(old, old) == 1
    assert overlap(old, np.array([[3, 9, 1], [8, 7, 6]])) == pytest.approx(2 / 5)
    assert overlap(np.full((2, 3), -1), old) == 0


def test_drift_by_hand() -> None:
    """A query along (1, 0), whose positive scores 0.8; of five passages one is labelled."""
    scores = np.array([0.8, 0.9, 0.79, 0.5, 0.4, 0.1], np.float32)
    asked = pool_of(
        row(0, "q", ["p0"], negatives=["p5"]),
        *(row(n, f"other {n}", [f"p{n}"]) for n in range(1, 5)),
        negatives=3,
        filters=(),
    )
    assert passages(asked) == ["p0", "p1", "p2", "p3", "p4", "p5"]
    vectors = np.stack([scores, np.zeros(6, np.float32)], 1)
    queries = np.array([[1.0, 0.0]] + [[0.0, 1.0]] * 4, np.float32)
    config = MiningConfig(negatives=3, max_positive_ratio=0.95, depth=6, filters=())
    search = PoolSearch(asked, config, Shards([queries]), Shards([vectors]))
    bounds = np.array([0.8, 0, 0, 0, 0], np.float32)
    mined = mine(asked, search, Scoring(search.dense_scores), bounds, config)
    assert mined.ids[0].tolist() == [3, 4, -1]  # p3, p4: p1 and p2 are too close
    only = np.full((5, 3), -1)
    only[0] = [5, 1, 3]  # labelled, above the positive by now, still one
    drift = drift_of(asked, search, bounds, mined, only, config)
    assert drift.overlap == 0.5
    assert drift.stale == 0.5
    best = 3 + 4 * 3  # of the other queries nothing scores above 0; bounds of 0 keep ties
    assert drift.suspects == pytest.approx(1 / best)
    assert drift.suspects_at_margin == pytest.approx(2 / best)
    assert drift.starved == 0
    own = [0.3, 0.4, *[0.0] * 12]
    assert drift.margin == pytest.approx(np.mean(own), abs=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"every_steps": -1}, "ance.every_steps"),
        ({"fraction": 0.0}, "ance.fraction"),
        ({"mode": "later"}, "ance.mode"),
        ({"poll_seconds": 0.0}, "ance.poll_seconds"),
        ({"every_steps": 5, "every_epochs": 1.0}, "set one of them to 0"),
        ({"wait": True}, "mode = 'follow'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_wrong_settings_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AnceConfig(**values)


def test_off_by_default() -> None:
    assert not AnceConfig().enabled
    assert AnceConfig(every_epochs=0.5).enabled
    assert AnceConfig(every_steps=5).enabled
