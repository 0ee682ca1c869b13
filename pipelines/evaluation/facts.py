"""What the report shows beside means: recall by depth, quality by length, where heads disagree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.evaluation.formats.files import Judgements
from pipelines.evaluation.runs import Run
from pipelines.evaluation.sets import RetrievalSet
from train import metrics
from train.metrics import Values

DEPTHS = (1, 2, 3, 5, 10, 20, 50, 100)
"""Where recall is measured for its curve."""
_EXAMPLES = 3
_SHOWN = 3
_EXCERPT = 240
_MEASURE = "nDCG@10"
_LEAST_GAP = 0.2  # of nDCG@10: less is no disagreement


def recall_curve(run: Run, judgements: Judgements) -> list[float]:
    """Return mean recall at each of `DEPTHS`; a query that is missing counts 0."""
    codes = ",".join(map(str, DEPTHS))
    found = metrics.trec_eval(run, judgements, {f"recall.{codes}"})
    count = max(1, len(judgements))
    return [sum(v[f"recall_{depth}"] for v in found.values()) / count for depth in DEPTHS]


def lengths(data: RetrievalSet) -> dict[str, int]:
    """Return for each query the power of two that bounds its longest relevant document.

    In characters: models count tokens differently. Queries without one are left out.
    """
    sizes = dict(zip(data.document_ids, map(len, data.documents), strict=True))
    found = {}
    for query, judged in data.judgements.items():
        longest = max(
            (sizes.get(name, 0) for name, grade in judged.items() if grade > 0), default=0
        )
        if longest:
            found[query] = math.ceil(math.log2(longest))
    return found


def by_length(values: Values, bins: Mapping[str, int]) -> dict[str, list[float]]:
    """Return (queries, mean nDCG@10) of each length."""
    groups: dict[int, list[float]] = {}
    for query, length in bins.items():
        if query in values:
            groups.setdefault(length, []).append(values[query].get(_MEASURE, 0.0))
    return {str(n): [len(v), sum(v) / len(v)] for n, v in sorted(groups.items())}


def disagreements(
    found: Mapping[str, Run],
    values: Mapping[str, Values],
    judgements: Judgements,
    data: RetrievalSet,
) -> list[dict[str, Any]]:
    """Return the queries that dense and sparse retrieval answer most differently, some each way."""
    if not {"dense", "sparse"} <= found.keys() or data.answers:
        return []
    gaps = {
        query: values["dense"][query][_MEASURE] - values["sparse"][query][_MEASURE]
        for query in data.query_ids
    }
    ranked = sorted(gaps, key=lambda query: gaps[query])
    chosen = [
        *(q for q in reversed(ranked[-_EXAMPLES:]) if gaps[q] >= _LEAST_GAP),
        *(q for q in ranked[:_EXAMPLES] if gaps[q] <= -_LEAST_GAP),
    ]
    texts = dict(zip(data.document_ids, data.documents, strict=True))
    asked = dict(zip(data.query_ids, data.queries, strict=True))
    return [
        {
            "query": asked[query],
            "better": "dense" if gaps[query] > 0 else "sparse",
            "dense": values["dense"][query][_MEASURE],
            "sparse": values["sparse"][query][_MEASURE],
            "relevant": _excerpts(_relevant(judgements[query]), texts),
            "found": {
                mode: _found(found[mode][query], judgements[query], texts)
                for mode in ("dense", "sparse")
            },
        }
        for query in chosen
    ]


def _relevant(judged: Mapping[str, int]) -> list[str]:
    return [name for name, grade in judged.items() if grade > 0]


def _excerpts(names: Iterable[str], texts: Mapping[str, str]) -> list[str]:
    return [texts[name][:_EXCERPT] for name in list(names)[:1] if name in texts]


def _found(
    run: Mapping[str, float], judged: Mapping[str, int], texts: Mapping[str, str]
) -> Sequence[dict[str, Any]]:
    return [
        {"text": texts[name][:_EXCERPT], "is_relevant": judged.get(name, 0) > 0}
        for name in metrics.best(run, _SHOWN)
    ]
