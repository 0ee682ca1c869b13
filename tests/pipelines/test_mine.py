"""From a pool and what was mined to training rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from curation.labelled import NOT_MINED
from curation.records import TrainingRow, training_rows_from
from mining.config import MiningConfig
from mining.lists import Ids
from mining.miner import Found, Scoring, mine
from mining.pool import Pool
from mining.shards import score_pairs
from pipelines.mining_rows import PositiveScores, Result, table_of
from pipelines.mining_search import lowest, own_scores
from tests.mining.pools import pool_of, row

VECTORS = {"a": [1.0, 0.0], "b": [0.6, 0.8], "c": [0.8, 0.6], "d": [0.0, 1.0], "e": [0.5, 0.5]}
REST = row(9, "q9", ["c"]), row(8, "q8", ["d"]), row(7, "q7", ["e"])


def mined(*rows: dict[str, Any], **options: Any) -> tuple[list[TrainingRow], Result]:
    """Search the whole pool for every row; all queries are the vector (1, 0)."""
    config = MiningConfig(max_positive_ratio=10.0, **options)
    pool = pool_of(*rows, **options)
    queries = np.tile(np.array([1.0, 0.0], np.float32), (len(pool), 1))
    passages = np.array([VECTORS[p] for p in pool.passages[:]], np.float32)

    def dense(rows: Ids, numbers: Ids) -> Any:
        return score_pairs(queries, passages, rows, numbers)

    result = result_of(pool, dense, config)
    everyone = np.arange(len(pool))
    return training_rows_from(table_of(result, everyone, everyone + 5)), result


def result_of(pool: Pool, dense: Any, config: MiningConfig) -> Result:
    def search(rows: Ids, depth: int) -> Found:
        every = np.arange(len(pool.passages))
        scores = np.array([dense(np.full(len(every), r), every) for r in rows.tolist()])
        order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
        return Found(order, np.take_along_axis(scores, order, 1))

    scores = own_scores(pool, dense)
    found = mine(pool, search, Scoring(dense), lowest(pool.positives, scores.positives), config)
    teachers = PositiveScores(pool.positive_teachers, pool.negative_teachers)
    return Result(pool, found, scores, teachers, config.sources)


def test_labelled_negatives_stand_in_front() -> None:
    """Even where mined ones score higher; a labelled one is not mined a second time."""
    (first, *_), result = mined(row(1, "q", ["a"], negatives=["d"]), *REST, negatives=3)
    assert first.negatives == ["d", "c", "e"]
    assert first.negative_ids[0] == "id-d"
    assert first.negative_ranks == [NOT_MINED, 1, 2]
    assert first.negative_sources == ["labelled", "dense:1", "dense:2"]
    assert first.negative_scores == pytest.approx([0.0, 0.8, 0.5])
    assert first.length == 5
    assert result.mined.positive_ranks[0] == 0


@pytest.mark.parametrize("negatives", [1, 2, 3])
def test_mined_negatives_only_fill_up(negatives: int) -> None:
    """A row never has more than `mining.negatives`, and as many labelled ones as fit."""
    (first, *_), _ = mined(row(1, "q", ["a"], negatives=["d", "e"]), *REST, negatives=negatives)
    assert first.negatives == ["d", "e", "c"][:negatives]
    assert first.negative_ranks.count(NOT_MINED) == min(2, negatives)


def test_no_negatives_at_all() -> None:
    """Zero is a number too."""
    (first, *_), _ = mined(row(1, "q", ["a"], negatives=["d", "e"]), *REST, negatives=0)
    assert first.negatives == first.negative_scores == first.negative_ranks == []


def test_all_positives_are_kept_and_none_is_mined() -> None:
    """With a score each, of which the lowest bounds the candidates."""
    (first, *_), result = mined(row(1, "q", ["a", "b"]), *REST, negatives=3)
    assert first.positives == ["a", "b"]
    assert first.positive_ids == ["id-a", "id-b"]
    assert first.positive_scores == pytest.approx([1.0, 0.6])
    assert first.negatives == ["c", "e", "d"]
    assert lowest(result.pool.positives, result.scores.positives)[0] == pytest.approx(0.6)


def test_teacher_scores_of_labelled_rows_stay() -> None:
    """Mined negatives have none, which is null; rows of sets without a teacher have no list."""
    (first, *rest), _ = mined(
        row(
            1,
            "q",
            ["a"],
            negatives=["d"],
            positive_teacher_scores=[9.0],
            negative_teacher_scores=[-2.0],
        ),
        *REST,
        negatives=3,
    )
    assert first.positive_teacher_scores == [9.0]
    assert first.negative_teacher_scores == [-2.0, None, None]
    assert {r.positive_teacher_scores for r in rest} == {None}
    assert {r.negative_teacher_scores for r in rest} == {None}
