"""Retrieval metrics of a run, by trec_eval's own code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pytrec_eval

MEASURES = {
    "nDCG@10": "ndcg_cut_10",
    "Recall@20": "recall_20",
    "Recall@100": "recall_100",
    "MRR@10": "recip_rank",
}
_MRR = "MRR@10"

Run = Mapping[str, Mapping[str, float]]
Judgements = Mapping[str, Mapping[str, int]]
Values = dict[str, dict[str, float]]
"""query → measure → value."""


def evaluate(run: Run, judgements: Judgements, *, by_answer: bool = False) -> Values:
    """Return for each judged query its value of each of `MEASURES`.

    A judged query that is missing from the run counts 0 (trec_eval -c). `run` maps query id to
    {document id: score}, `judgements` to {document id: relevance}. With `by_answer` (MKQA) recall
    is the share of queries with a relevant document among the best, and there is no nDCG: what is
    relevant beyond these is not known.
    """
    wanted = {"ndcg_cut.10", "recall.20,100", "success.20,100"}
    found = trec_eval(run, judgements, wanted)
    first = trec_eval({q: best(d, 10) for q, d in run.items()}, judgements, {"recip_rank"})
    codes = {name: code for name, code in MEASURES.items() if name != _MRR}
    if by_answer:
        codes = {name: code.replace("recall", "success") for name, code in codes.items()}
        del codes["nDCG@10"]
    return {
        query: {name: found.get(query, {}).get(code, 0.0) for name, code in codes.items()}
        | {_MRR: first.get(query, {}).get("recip_rank", 0.0)}
        for query in judgements
    }


def trec_eval(run: Run, judgements: Judgements, measures: Iterable[str]) -> Values:
    """Return what trec_eval says of the judged queries that are in the run."""
    judged = {query: dict(found) for query, found in judgements.items() if found}
    if not judged:
        return {}
    evaluator = pytrec_eval.RelevanceEvaluator(judged, set(measures))
    values: Values = evaluator.evaluate({q: dict(d) for q, d in run.items() if q in judged})
    return values


def best(scores: Mapping[str, float], depth: int) -> dict[str, float]:
    """Return the best documents in trec_eval's order: its scores are fp32, ties by larger id."""
    ranked = sorted(scores.items(), key=lambda item: (np.float32(item[1]), item[0]), reverse=True)
    return dict(ranked[:depth])


def average(values: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each measure over the queries."""
    count = max(1, len(values))
    names = next(iter(values.values()), MEASURES)
    return {name: sum(v[name] for v in values.values()) / count for name in names}
