"""A model's metrics on a set."""

from __future__ import annotations

from collections.abc import Mapping

from mining.encode import Report
from pipelines.evaluation import containment, runs, tuning
from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.formats.files import Judgements
from pipelines.evaluation.models import of_model
from pipelines.evaluation.retrieval import Ranked
from pipelines.evaluation.runs import Run
from pipelines.evaluation.sets import RetrievalSet
from train import metrics
from train.metrics import Values
from train.model import M3Model


def evaluate_model(
    model: M3Model,
    data: RetrievalSet,
    config: EvaluationConfig,
    dtype: str,
    report: Report | None = None,
) -> dict[str, Values]:
    """Return for each of the five modes the metrics of each query of `held_queries`."""
    ranked = of_model(model, config, dtype).retrieve(data, report)
    held = held_queries(data, config)
    found = as_runs(ranked, data, held, config.run_depth)
    return evaluate_runs(found, judgements_of(found, held), held)


def held_queries(data: RetrievalSet, config: EvaluationConfig) -> RetrievalSet:
    """Return the set of the queries to evaluate on: those that no weights are tuned on."""
    drawn = set(tuning.development(data, config.tune_weights))
    return data.with_queries([query for query in data.query_ids if query not in drawn])


def as_runs(
    ranked: Mapping[str, Ranked], data: RetrievalSet, held: RetrievalSet, depth: int
) -> dict[str, Run]:
    """Return the best `depth` of each mode by document id, for the queries of `held`."""
    wanted = set(held.query_ids)
    return {
        mode: {query: r for query, r in runs.named(one, data, depth).items() if query in wanted}
        for mode, one in ranked.items()
    }


def judgements_of(found: Mapping[str, Run], held: RetrievalSet) -> Judgements:
    """Return a set's judgements; of MKQA, those of what the runs found, by the answers in it."""
    if not held.answers:
        return held.judgements
    judged = containment.judge(list(found.values()), held)
    return {query: judged.get(query, {}) for query in held.query_ids}


def evaluate_runs(
    found: Mapping[str, Run], judgements: Judgements, held: RetrievalSet
) -> dict[str, Values]:
    """Return the metrics of each query of each run."""
    by_answer = bool(held.answers)
    return {
        name: metrics.evaluate(run, judgements, by_answer=by_answer) for name, run in found.items()
    }
