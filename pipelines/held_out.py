"""Retrieval on a few held-out queries, as often as training asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from curation.errors import ConfigError
from pipelines.config import RunConfig
from pipelines.evaluation.config import EvaluationSet
from pipelines.evaluation.evaluate import evaluate_model
from pipelines.evaluation.sets import capped, expand, load_set
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
    first = _limited(expand(config.evaluation.sets[0])[0], queries, passages)
    data = capped(load_set(first, config.out, config.splits), queries, passages)
    if data.answers:
        raise ConfigError(
            f"train.evaluate_steps: {data.name!r} has answers but no judged documents; put another "
            "set first in [[evaluation.sets]]"
        )
    plain = replace(config.evaluation, tune_weights=0.0)  # the weights of training's own report

    def evaluate(model: M3Model) -> Scores:
        dtype = resolve_precision(config.train.precision, model.device)
        found = evaluate_model(model, data, plain, dtype)
        return {mode: metrics.average(found[mode]) for mode in found}

    return evaluate


def _limited(wanted: EvaluationSet, queries: int, passages: int) -> EvaluationSet:
    """Return the set with its own limits lowered, so that no more is read than needed."""
    fewer = replace(wanted, max_queries=min(wanted.max_queries or queries, queries))
    if wanted.kind != "questions":
        return fewer
    return replace(fewer, max_documents=min(wanted.max_documents or passages, passages))
