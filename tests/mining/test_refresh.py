"""Whose turn it is, and how drift is measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import ConfigError
from mining.config import MiningConfig
from mining.negatives import Candidates, choose
from mining.refresh import drift_of, due, limits, overlap, with_labelled, without
from mining.refresh_config import AnceConfig
from mining.shards import Shards


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


def test_labelled_negatives_stay_in_front() -> None:
    mined = np.array([[5, 6, -1], [7, -1, -1], [8, 9, 4]])
    assert with_labelled([[1], [], [1, 2, 3, 0]], mined).tolist() == [
        [1, 5, 6],
        [7, -1, -1],
        [1, 2, 3],
    ]
    assert without(np.array([[1, 5, 6], [7, -1, 2]]), [[1], []]).tolist() == [
        [-1, 5, 6],
        [7, -1, 2],
    ]
    assert without(np.array([[1, 5]]), [[]]).tolist() == [[1, 5]]


def test_overlap_counts_what_stays() -> None:
    old = np.array([[1, 2, 3], [4, 5, -1]])
    assert overlap(old, old) == 1
    assert overlap(old, np.array([[3, 9, 1], [8, 7, 6]])) == pytest.approx(2 / 5)
    assert overlap(np.full((2, 3), -1), old) == 0


def test_limits_are_below_the_positive_whatever_its_sign() -> None:
    found = limits(np.array([0.5, -0.5, 0.0], np.float32), 0.9)
    assert found == pytest.approx([0.45, -0.55, 0.0])


def test_drift_by_hand() -> None:
    """One query along (1, 0); passage i scores SCORES[i], passage 0 is the positive."""
    scores = np.array([0.8, 0.9, 0.79, 0.5, 0.4, 0.1], np.float32)
    passages = np.stack([scores, np.zeros(6, np.float32)], 1)
    queries = np.array([[1.0, 0.0]], np.float32)
    vectors = {"queries": Shards([queries]), "passages": Shards([passages])}
    order = np.argsort(-scores)[None]
    found = Candidates(
        ids=order,
        scores=scores[order],
        positive=np.array([0]),
        positive_scores=scores[:1],
        text_groups=np.arange(6),
        document_groups=np.full(6, -1),
        query_groups=np.array([-1]),
        known=[frozenset({0})],
    )
    config = MiningConfig(negatives=2, max_positive_ratio=0.95)
    chosen = choose(found, config)
    assert chosen.ids.tolist() == [[3, 4]]
    drift = drift_of(found, chosen, np.array([[1, 3, -1]]), vectors, config)
    assert drift.overlap == 0.5
    assert drift.margin == pytest.approx(0.35)
    assert (drift.suspects, drift.suspects_at_margin) == (0.5, 1.0)  # 0.9; and 0.79 above 0.76
    assert drift.stale == 0.5
    assert drift.starved == 0


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
