"""Weights of the sums of scores, tuned on some of a set's queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import TypeVar

import numpy as np

from curation.draw import is_drawn
from curation.errors import ConfigError
from pipelines.evaluation import containment, runs
from pipelines.evaluation.config import Weights
from pipelines.evaluation.retrieval import Found, Ranked
from pipelines.evaluation.sets import RetrievalSet
from train import metrics

W = TypeVar("W", bound=tuple[float, ...])

# Scores of heads differ by orders of magnitude: cosines of E5 lie in 0.7..0.9, sparse sums in tens.
_STEPS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_VECTOR_STEPS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
_DEPTH = 10  # of the measure that decides


def development(data: RetrievalSet, share: float) -> list[str]:
    """Return the queries to tune on: by hash, the same ones for every model and run.

    Raises `ConfigError` where either side would be empty.
    """
    drawn = [query for query in data.query_ids if is_drawn(query, "development", share)]
    if share and not 0 < len(drawn) < len(data.query_ids):
        raise ConfigError(
            f"evaluation.tune_weights = {share} leaves {len(drawn)} of {len(data.query_ids)} "
            f"queries of {data.name!r} to tune on; set it to 0 or take more queries"
        )
    return drawn


def tune(found: Found, data: RetrievalSet, queries: list[str]) -> Weights:
    """Return the weights with the best mean nDCG@10 over `queries`; of equal ones the smallest.

    The dense weight is 1: only ratios matter. Where answers judge, MRR@10 decides.
    """
    few = data.with_queries(queries)
    wanted = set(queries)
    rows = np.array([i for i, query in enumerate(data.query_ids) if query in wanted])
    by_answer = bool(data.answers)
    measure = "MRR@10" if by_answer else "nDCG@10"

    def quality(ranked: Ranked) -> float:
        run = runs.named((ranked[0][rows], ranked[1][rows]), few, _DEPTH)
        judged = containment.judge([run], few, _DEPTH) if by_answer else few.judgements
        return metrics.average(metrics.evaluate(run, judged, by_answer=by_answer))[measure]

    pairs = ((1.0, sparse) for sparse in _STEPS)
    triples = ((1.0, *rest) for rest in product(_STEPS, _VECTOR_STEPS))
    return Weights(
        _best(pairs, lambda weights: quality(found.pair(weights))),
        _best(triples, lambda weights: quality(found.all(weights))),
    )


def _best(candidates: Iterable[W], quality: Callable[[W], float]) -> W:
    return max(((quality(weights), -i, weights) for i, weights in enumerate(candidates)))[2]
