"""Retrieval metrics against plain Python and against trec_eval."""

from __future__ import annotations

import math

import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from train.metrics import MEASURES, average, evaluate

DOCUMENTS = [f"d{i:03d}" for i in range(130)]
SCORES = st.lists(st.integers(-500, 500), min_size=1, max_size=130, unique=True)
GRADES = st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(0, 3), min_size=1, max_size=30)


def ndcg(ranked: list[str], grades: dict[str, int], depth: int) -> float:
    def gain(values: list[int]) -> float:
        return sum(v / math.log2(rank + 2) for rank, v in enumerate(values[:depth]))

    best = gain(sorted(grades.values(), reverse=True))
    return gain([grades.get(d, 0) for d in ranked]) / best if best else 0.0


def recall(ranked: list[str], grades: dict[str, int], depth: int) -> float:
    relevant = {d for d, grade in grades.items() if grade > 0}
    return len(relevant & set(ranked[:depth])) / len(relevant) if relevant else 0.0


@settings(deadline=None, max_examples=50)
@given(SCORES, GRADES)
def test_metrics_equal_plain_python(scores: list[int], grades: dict[str, int]) -> None:
    """Linear gains, log2 discount, cut at 10; recall of all relevant at 20 and 100."""
    run = {d: float(s) for d, s in zip(DOCUMENTS, scores, strict=False)}
    ranked = sorted(run, key=lambda d: -run[d])
    found = evaluate({"q": run}, {"q": grades})["q"]
    assert found == pytest.approx(
        {
            "nDCG@10": ndcg(ranked, grades, 10),
            "Recall@20": recall(ranked, grades, 20),
            "Recall@100": recall(ranked, grades, 100),
        },
        abs=1e-9,
    )


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=130), GRADES)
def test_metrics_equal_trec_eval_with_ties(scores: list[int], grades: dict[str, int]) -> None:
    """Tied scores are ordered as trec_eval orders them."""
    run = {d: float(s) for d, s in zip(DOCUMENTS, scores, strict=False)}
    evaluator = pytrec_eval.RelevanceEvaluator({"q": grades}, {"ndcg_cut", "recall"})
    theirs = evaluator.evaluate({"q": run})["q"]
    found = evaluate({"q": run}, {"q": grades})["q"]
    assert found == {name: theirs[code] for name, code in MEASURES.items()}


def test_cuts_are_at_their_ranks() -> None:
    """A document at rank 11, 21 and 101 is just outside."""
    run = {"q": {d: -float(i) for i, d in enumerate(DOCUMENTS)}}
    inside = [evaluate(run, {"q": {DOCUMENTS[i]: 1}})["q"] for i in (9, 19, 99)]
    outside = [evaluate(run, {"q": {DOCUMENTS[i]: 1}})["q"] for i in (10, 20, 100)]
    for name, a, b in zip(MEASURES, inside, outside, strict=True):
        assert a[name] > 0
        assert b[name] == 0


def test_judged_query_missing_from_the_run_counts_zero() -> None:
    """It is in the mean; a query without judgements is not."""
    run = {"a": {"d": 1.0}, "unjudged": {"d": 1.0}}
    values = evaluate(run, {"a": {"d": 1}, "missing": {"d": 1}})
    assert list(values) == ["a", "missing"]
    assert values["missing"] == {"nDCG@10": 0.0, "Recall@20": 0.0, "Recall@100": 0.0}
    assert average(values) == {"nDCG@10": 0.5, "Recall@20": 0.5, "Recall@100": 0.5}


def test_document_with_the_querys_id_counts() -> None:
    """MIRACL has passages that share an id with a query; dropping them changed its numbers."""
    values = evaluate({"7": {"7": 2.0, "8": 1.0}}, {"7": {"7": 1}})
    assert values["7"]["nDCG@10"] == 1.0


def test_average_of_nothing_is_zero() -> None:
    """An empty evaluation set divides by no zero."""
    assert average({}) == {"nDCG@10": 0.0, "Recall@20": 0.0, "Recall@100": 0.0}
