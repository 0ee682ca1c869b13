"""MKQA's measure: an answer in the passage, as a sequence of words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import ConfigError
from pipelines.evaluation import containment, tuning
from pipelines.evaluation.config import EvaluationConfig, Weights
from pipelines.evaluation.evaluate import as_runs, evaluate_runs, held_queries, judgements_of
from pipelines.evaluation.retrieval import Found
from pipelines.evaluation.sets import RetrievalSet


@pytest.mark.parametrize(
    ("document", "answer", "expected"),
    [
        ("It was Åse Kleveland's song.", "åse kleveland", True),
        ("The Catalan town", "Catal", False),
        ("He paid $1,999.50 then", "1,999.50", True),
        ("It was 19 99", "1999", False),
        ("cafe society", "café", False),
        ("Caf\u0065\u0301 society", "caf\u00e9", True),
        ("東京都に住む", "東京", False),
        ("Rock 'n' roll", "rock 'n' roll", True),
        ("anything", "", False),
        ("anything", "\u200b", False),
    ],
    ids=["case", "part", "signs", "apart", "accent", "composed", "unspaced", "quote", "no", "none"],
)
def test_an_answer_is_found_word_for_word(document: str, answer: str, expected: bool) -> None:
    """Words are compared decomposed and in lower case, never parts of them."""
    assert containment.contains(document, [answer]) is expected
    assert containment.contains(document, ["elsewhere", answer]) is expected


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_containment_is_a_run_of_words(before: str, answer: str, after: str) -> None:
    """What stands between spaces is found wherever it stands."""
    assert containment.contains(f"{before} {answer} {after}", [answer]) is bool(
        containment.words(answer)
    )


def questions() -> RetrievalSet:
    return RetrievalSet(
        name="mkqa-da",
        query_ids=["a", "b", "c"],
        queries=["?", "?", "?"],
        document_ids=["x", "y", "z"],
        documents=["Paris is large.", "Rome, too.", "Nothing."],
        judgements={},
        answers={"a": ["rome"], "b": ["Oslo"], "c": ["paris"]},
    )


def test_recall_counts_questions_answered_by_a_passage() -> None:
    """Of three questions two have an answer among what was found."""
    data, config = questions(), EvaluationConfig()
    ranked = {
        "dense": (
            np.array([[3, 2, 1]] * 3, np.float32),
            np.array([[0, 1, 2], [0, 1, 2], [0, 2, -1]]),
        )
    }
    held = held_queries(data, config)
    runs = as_runs(ranked, data, held, 100)
    judged = judgements_of(runs, held)
    assert judged == {
        "a": {"x": 0, "y": 1, "z": 0},
        "b": {"x": 0, "y": 0, "z": 0},
        "c": {"x": 1, "z": 0},
    }
    values = evaluate_runs(runs, judged, held)["dense"]
    assert {q: v["Recall@20"] for q, v in values.items()} == {"a": 1.0, "b": 0.0, "c": 1.0}
    assert [values[q]["MRR@10"] for q in "abc"] == [0.5, 0.0, 1.0]


def found_for(rows: int, sparse_is_right: float) -> tuple[Found, RetrievalSet]:
    """Dense prefers document 0, sparse document 1; the judgements say which is right."""
    names = [f"q{i}" for i in range(rows)]
    data = RetrievalSet(
        "s", names, names, ["d0", "d1"], ["x", "y"],
        {n: {f"d{int(i < rows * sparse_is_right)}": 1} for i, n in enumerate(names)},
    )  # fmt: skip
    numbers = np.tile(np.arange(2), (rows, 1))
    dense, sparse = (np.tile(np.array(v, np.float32), (rows, 1)) for v in ([0.9, 0.75], [10, 20]))
    pair, triple = np.stack([dense, sparse]), np.stack([dense, sparse, dense])
    by_sparse = (sparse[:, ::-1], numbers[:, ::-1])
    return Found((dense, numbers), by_sparse, numbers, pair, numbers, triple), data


def test_weights_follow_the_head_that_is_right() -> None:
    """Where dense is right sparse gets 0, where sparse is right enough to turn the order."""
    found, data = found_for(20, 0.0)
    assert tuning.tune(found, data, data.query_ids) == Weights((1.0, 0.0), (1.0, 0.0, 0.0))
    found, data = found_for(20, 1.0)
    assert tuning.tune(found, data, data.query_ids).pair == (1.0, 0.03)


def test_queries_are_tuned_on_or_evaluated_never_both() -> None:
    """The draw is by hash: the same for every model, about the share that is asked for."""
    _, data = found_for(400, 0.5)
    config = EvaluationConfig(tune_weights=0.25)
    drawn = tuning.development(data, config.tune_weights)
    held = held_queries(data, config)
    assert sorted([*drawn, *held.query_ids]) == sorted(data.query_ids)
    assert 70 <= len(drawn) <= 130
    assert set(held.judgements) == set(held.query_ids)
    assert held_queries(data, EvaluationConfig()).query_ids == data.query_ids


def test_tuning_does_not_see_the_queries_that_are_evaluated() -> None:
    """Other judgements of the rest leave the weights as they are."""
    found, data = found_for(40, 0.5)
    drawn = data.query_ids[:10]
    weights = tuning.tune(found, data, drawn)
    turned = {q: {"d0": 1, "d1": 2} for q in data.query_ids[10:]}
    other = RetrievalSet(
        "s", data.query_ids, data.queries, data.document_ids, data.documents,
        {**{q: data.judgements[q] for q in drawn}, **turned},
    )  # fmt: skip
    assert tuning.tune(found, other, drawn) == weights


def test_too_few_queries_to_tune_on_is_an_error() -> None:
    _, data = found_for(1, 0.5)
    with pytest.raises(ConfigError, match=r"tune_weights = 0\.5 leaves . of 1 queries of 's'"):
        tuning.development(data, 0.5)
