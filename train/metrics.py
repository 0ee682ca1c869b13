"""Retrieval metrics of a run, by trec_eval's own code."""

from __future__ import annotations

from collections.abc import Mapping

import pytrec_eval

MEASURES = {"nDCG@10": "ndcg_cut_10", "Recall@20": "recall_20", "Recall@100": "recall_100"}

Run = Mapping[str, Mapping[str, float]]
Judgements = Mapping[str, Mapping[str, int]]


def evaluate(run: Run, judgements: Judgements) -> dict[str, dict[str, float]]:
    """Return for each judged query its value of each of `MEASURES`.

    A judged query that is missing from the run counts 0 (trec_eval -c). `run` maps query id to
    {document id: score}, `judgements` to {document id: relevance}.
    """
    wanted = {"ndcg_cut.10", "recall.20,100"}
    evaluator = pytrec_eval.RelevanceEvaluator({q: dict(d) for q, d in judgements.items()}, wanted)
    found = evaluator.evaluate({q: dict(d) for q, d in run.items() if q in judgements})
    return {
        query: {name: found.get(query, {}).get(code, 0.0) for name, code in MEASURES.items()}
        for query in judgements
    }


def average(values: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each measure over the queries."""
    count = max(1, len(values))
    return {name: sum(v[name] for v in values.values()) / count for name in MEASURES}
