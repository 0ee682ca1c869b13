"""Held-out queries for training: few, the same each time, with their judged passages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import ConfigError
from pipelines.config import RunConfig, load
from pipelines.evaluation.sets import RetrievalSet, capped
from pipelines.held_out import retrieval_of


def judged(queries: int, documents: int) -> RetrievalSet:
    """Query i is answered by the documents i and 2i."""
    names = [f"d{i}" for i in range(documents)]
    return RetrievalSet(
        name="set",
        query_ids=[f"q{i}" for i in range(queries)],
        queries=[f"query {i}" for i in range(queries)],
        document_ids=names,
        documents=[f"text of {name}" for name in names],
        judgements={f"q{i}": {f"d{i}": 1, f"d{2 * i}": 1} for i in range(queries)},
    )


@given(st.integers(1, 12), st.integers(1, 30))
def test_a_cap_keeps_what_answers_and_fills_up(queries: int, passages: int) -> None:
    data = judged(10, 25)
    found = capped(data, queries, passages)
    assert found.query_ids == data.query_ids[:queries]
    needed = {name for query in found.query_ids for name in data.judgements[query]}
    assert needed <= set(found.document_ids)
    assert len(found.document_ids) == max(len(needed), min(passages, 25))
    assert found.documents == [f"text of {name}" for name in found.document_ids]
    assert found.document_ids == [n for n in data.document_ids if n in set(found.document_ids)]
    larger = capped(data, queries, passages + 1)
    assert set(found.document_ids) <= set(larger.document_ids)
    assert (found.corpus == larger.corpus) == (found.document_ids == larger.document_ids)


def test_without_a_set_there_is_nothing_to_evaluate_on() -> None:
    config = load(None, ["train.evaluate_steps=5", "evaluation.sets=[]"])
    assert isinstance(config, RunConfig)
    with pytest.raises(ConfigError, match=r"train\.evaluate_steps = 5 needs queries: name a set"):
        retrieval_of(config)
