"""Retrieval on a few held-out queries, as often as training asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from curation.draw import rank
from curation.errors import ConfigError
from pipelines.config import MODES, EvaluationSet, RunConfig
from pipelines.evaluate import RetrievalSet, evaluate_model, load_set
from train import metrics
from train.model import M3Model
from train.precision import resolve_precision
from train.watch import Scores


def retrieval_of(config: RunConfig) -> Callable[[M3Model], Scores]:
    """Return what gives a model's mean metrics of each way to retrieve.

    The queries are those of the first evaluation set, cut to `train.evaluate_queries` and
    `train.evaluate_passages`; judged passages stay whatever the limit.
    """
    if not config.evaluation.sets:
        raise ConfigError(
            f"train.evaluate_steps = {config.train.evaluate_steps} needs queries: name a set in "
            "[[evaluation.sets]], or set train.evaluate_steps = 0"
        )
    queries, passages = config.train.evaluate_queries, config.train.evaluate_passages
    first = _limited(config.evaluation.sets[0], queries, passages)
    data = capped(load_set(first, config.out, config.splits), queries, passages)

    def evaluate(model: M3Model) -> Scores:
        dtype = resolve_precision(config.train.precision, model.device)
        found = evaluate_model(model, data, config.evaluation, dtype)
        return {mode: metrics.average(found[mode]) for mode in MODES}

    return evaluate


def _limited(wanted: EvaluationSet, queries: int, passages: int) -> EvaluationSet:
    """Return the set with its own limits lowered, so that no more is read than needed."""
    fewer = replace(wanted, max_queries=min(wanted.max_queries or queries, queries))
    if wanted.kind == "beir":
        return fewer
    return replace(fewer, max_documents=min(wanted.max_documents or passages, passages))


def capped(data: RetrievalSet, queries: int, passages: int) -> RetrievalSet:
    """Return the first queries, their judged documents and, by smallest hash, others."""
    kept = data.query_ids[:queries]
    needed = {document for query in kept for document in data.judgements[query]}
    ranked = sorted(
        (name for name in data.document_ids if name not in needed),
        key=lambda name: rank(name, "distractor"),
    )
    wanted = needed.union(ranked[: max(0, passages - len(needed))])
    chosen = [i for i, name in enumerate(data.document_ids) if name in wanted]
    return RetrievalSet(
        name=data.name,
        query_ids=kept,
        queries=data.queries[:queries],
        document_ids=[data.document_ids[i] for i in chosen],
        documents=[data.documents[i] for i in chosen],
        judgements={query: data.judgements[query] for query in kept},
    )
