"""From a pool and what was chosen to training rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from curation.labelled import NOT_MINED
from curation.records import TrainingRow
from mining.config import MiningConfig
from mining.negatives import choose
from mining.pool import build_pool
from pipelines.commands.mine import candidates_of, positive_scores, training_row

VECTORS = {"a": [1.0, 0.0], "b": [0.6, 0.8], "c": [0.8, 0.6], "d": [0.0, 1.0], "e": [0.5, 0.5]}


def pool_row(number: int, positives: list[str], negatives: list[str]) -> dict[str, Any]:
    return {
        "id": f"{number}",
        "query": f"q{number}",
        "positive": positives[0],
        "positives": positives,
        "negatives": negatives,
        "positive_ids": positives,
        "negative_ids": negatives,
        "document_id": "",
        "relation": "labelled",
        "source": "set",
        "query_language": "en",
        "language": "en",
    }


def mined(rows: list[dict[str, Any]], negatives: int) -> tuple[list[TrainingRow], Counter[str]]:
    """Search the whole pool for every row; all queries are the vector (1, 0)."""
    pool = build_pool(rows, negatives)
    vectors = {
        "queries": np.array([[1.0, 0.0]] * len(rows), np.float32),
        "passages": np.array([VECTORS[p] for p in pool.passages], np.float32),
    }
    scores = vectors["queries"] @ vectors["passages"].T
    order = np.argsort(-scores, axis=1, kind="stable")
    found = candidates_of(pool, vectors, order, np.take_along_axis(scores, order, 1))
    chosen = choose(found, MiningConfig(negatives=negatives, max_positive_ratio=10.0))
    return [training_row(pool, chosen, found, vectors, n) for n in range(len(rows))], chosen.removed


REST = pool_row(9, ["c"], []), pool_row(8, ["d"], []), pool_row(7, ["e"], [])


def test_labelled_negatives_stand_in_front() -> None:
    """Even where mined ones score higher; a labelled one is not mined a second time."""
    (row, *_), removed = mined([pool_row(1, ["a"], ["d"]), *REST], 3)
    assert row.negatives == ["d", "c", "e"]
    assert row.negative_ids[0] == "d"
    assert row.negative_ranks == [NOT_MINED, 1, 2]
    assert row.negative_scores == pytest.approx([0.0, 0.8, 0.5])
    assert removed["labelled_negative"] == 1


@pytest.mark.parametrize("negatives", [1, 2, 3])
def test_mined_negatives_only_fill_up(negatives: int) -> None:
    """A row never has more than `mining.negatives`, and as many labelled ones as fit."""
    (row, *_), _ = mined([pool_row(1, ["a"], ["d", "e"]), *REST], negatives)
    assert row.negatives == ["d", "e", "c"][:negatives]
    assert row.negative_ranks.count(NOT_MINED) == min(2, negatives)


def test_no_negatives_at_all() -> None:
    """Zero is a number too."""
    (row, *_), _ = mined([pool_row(1, ["a"], ["d", "e"]), *REST], 0)
    assert row.negatives == row.negative_scores == row.negative_ranks == []


def test_all_positives_are_kept_and_none_is_mined() -> None:
    """With a score each, of which the lowest bounds the candidates."""
    (row, *_), removed = mined([pool_row(1, ["a", "b"], []), *REST], 3)
    assert row.positives == row.positive_ids == ["a", "b"]
    assert row.positive_scores == pytest.approx([1.0, 0.6])
    assert row.negatives == ["c", "e", "d"]
    assert removed["positive"] >= 2
    pool = build_pool([pool_row(1, ["a", "b"], [])])
    vectors = {
        "queries": np.array([[1.0, 0.0]], np.float32),
        "passages": np.array([VECTORS["a"], VECTORS["b"]], np.float32),
    }
    assert positive_scores(vectors, pool).tolist() == pytest.approx([0.6])


def test_without_labelled_negatives_no_rule_is_added() -> None:
    """The counts of a run without labelled sets are those of before."""
    _, removed = mined([pool_row(1, ["a"], []), *REST], 2)
    assert "labelled_negative" not in removed
