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


def reciprocal_rank(ranked: list[str], grades: dict[str, int], depth: int) -> float:
    return next((1 / r for r, d in enumerate(ranked[:depth], 1) if grades.get(d, 0) > 0), 0.0)


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
            "MRR@10": reciprocal_rank(ranked, grades, 10),
        },
        abs=1e-9,
    )


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=130), GRADES)
def test_metrics_equal_trec_eval_with_ties(scores: list[int], grades: dict[str, int]) -> None:
    """Tied scores are ordered as trec_eval orders them."""
    run = {d: float(s) for d, s in zip(DOCUMENTS, scores, strict=False)}
    wanted = {"ndcg_cut", "recall", "recip_rank"}
    evaluator = pytrec_eval.RelevanceEvaluator({"q": grades}, wanted)
    theirs = evaluator.evaluate({"q": run})["q"]
    first = theirs.pop("recip_rank")
    found = evaluate({"q": run}, {"q": grades})["q"]
    # trec_eval's reciprocal rank has no cut: below rank 10 it is less than 1/10.
    assert found.pop("MRR@10") == (first if first >= 0.1 else 0.0)
    assert found == {name: theirs[code] for name, code in MEASURES.items() if code in theirs}


def test_cuts_are_at_their_ranks() -> None:
    """A document at rank 11, 21 and 101 is just outside."""
    run = {"q": {d: -float(i) for i, d in enumerate(DOCUMENTS)}}
    inside = [evaluate(run, {"q": {DOCUMENTS[i]: 1}})["q"] for i in (9, 19, 99)]
    outside = [evaluate(run, {"q": {DOCUMENTS[i]: 1}})["q"] for i in (10, 20, 100)]
    for name, place in (("nDCG@10", 0), ("Recall@20", 1), ("Recall@100", 2), ("MRR@10", 0)):
        assert inside[place][name] > 0
        assert outside[place][name] == 0


def test_by_answer_recall_asks_for_one_of_the_best() -> None:
    """MKQA: a question counts with any relevant document; there is no nDCG over unknown others."""
    run = {"q": {"d1": 3.0, "d2": 2.0, "d3": 1.0}, "r": {"d1": 1.0}, "s": {}}
    judged = {"q": {"d1": 0, "d2": 1, "d3": 1}, "r": {"d1": 0}, "s": {}}
    values = evaluate(run, judged, by_answer=True)
    assert values["q"] == {"Recall@20": 1.0, "Recall@100": 1.0, "MRR@10": 0.5}
    assert values["r"] == values["s"] == {"Recall@20": 0.0, "Recall@100": 0.0, "MRR@10": 0.0}
    assert average(values) == pytest.approx(
        {"Recall@20": 1 / 3, "Recall@100": 1 / 3, "MRR@10": 1 / 6}
    )


def test_judged_query_missing_from_the_run_counts_zero() -> None:
    """It is in the mean; a query without judgements is not."""
    run = {"a": {"d": 1.0}, "unjudged": {"d": 1.0}}
    values = evaluate(run, {"a": {"d": 1}, "missing": {"d": 1}})
    assert list(values) == ["a", "missing"]
    assert values["missing"] == dict.fromkeys(MEASURES, 0.0)
    assert average(values) == dict.fromkeys(MEASURES, 0.5)


def test_document_with_the_querys_id_counts() -> None:
    """MIRACL has passages that share an id with a query; dropping them changed its numbers."""
    values = evaluate({"7": {"7": 2.0, "8": 1.0}}, {"7": {"7": 1}})
    assert values["7"]["nDCG@10"] == 1.0


def test_average_of_nothing_is_zero() -> None:
    """An empty evaluation set divides by no zero."""
    assert average({}) == dict.fromkeys(MEASURES, 0.0)
