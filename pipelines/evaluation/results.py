"""Values of all models on all sets → means, intervals and tests: what metrics.json holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.evaluation import significance
from pipelines.evaluation.config import BEFORE, LEXICAL, EvaluationConfig
from pipelines.evaluation.significance import Values as Numbers
from pipelines.evaluation.significance import compare, holm, interval
from train.metrics import MEASURES, Values

RESULTS_VERSION = 2
TESTED = "nDCG@10"
_TESTED_BY_ANSWER = "Recall@100"

Row = dict[str, Any]


@dataclass(slots=True)
class SetResult:
    """What is known of one set."""

    name: str
    benchmark: str
    language: str
    document_language: str
    queries: int
    documents: int
    values: dict[str, dict[str, Values]] = field(default_factory=dict)
    """model → mode → query → measure → value."""
    facts: dict[str, dict[str, Row]] = field(default_factory=dict)
    """model → mode → recall curve, quality by length."""
    examples: dict[str, list[Row]] = field(default_factory=dict)
    weights: dict[str, Row] = field(default_factory=dict)

    def numbers(self, model: str, mode: str, measure: str) -> Numbers | None:
        """Return the values of all queries in their order; None where there are none."""
        found = self.values.get(model, {}).get(mode)
        if not found or measure not in next(iter(found.values())):
            return None
        return np.array([value[measure] for value in found.values()])


def assemble(sets: Sequence[SetResult], config: EvaluationConfig, head: Mapping[str, Any]) -> Row:
    """Return the content of metrics.json."""
    return {
        "results_version": RESULTS_VERSION,
        **head,
        "resamples": config.resamples,
        "sets": [_set_row(one, config) for one in sets],
        "averages": [
            {"benchmark": name, "sets": [one.name for one in group], **_summary(group, config)}
            for name, group in groups_of(sets).items()
            if len(group) > 1
        ],
    }


def groups_of(sets: Iterable[SetResult]) -> dict[str, list[SetResult]]:
    """Return the sets of each benchmark."""
    groups: dict[str, list[SetResult]] = {}
    for one in sets:
        groups.setdefault(one.benchmark, []).append(one)
    return groups


def _set_row(one: SetResult, config: EvaluationConfig) -> Row:
    return {
        "name": one.name,
        "benchmark": one.benchmark,
        "language": one.language,
        "document_language": one.document_language,
        "queries": one.queries,
        "documents": one.documents,
        "weights": one.weights,
        "facts": one.facts,
        "examples": one.examples,
        **_summary([one], config),
    }


def _summary(group: Sequence[SetResult], config: EvaluationConfig) -> Row:
    """Return means with intervals, and the tests, over one set or several."""
    scores = [
        {
            "model": model,
            "mode": mode,
            "measures": {
                measure: _mean(found, config)
                for measure in MEASURES
                if (found := _numbers(group, model, mode, measure))
            },
        }
        for model, modes in group[0].values.items()
        for mode in modes
    ]
    return {"scores": scores, "comparisons": _comparisons(group, config)}


def _numbers(group: Sequence[SetResult], model: str, mode: str, measure: str) -> list[Numbers]:
    """Return the values of each set; none where a set lacks them."""
    found = [one.numbers(model, mode, measure) for one in group]
    known = [values for values in found if values is not None]
    return known if len(known) == len(found) else []


def _mean(found: list[Numbers], config: EvaluationConfig) -> Row:
    low, high = interval(found, config.resamples, config.seed)
    mean = float(np.mean([values.mean() for values in found]))
    return {"mean": mean, "low": low, "high": high}


def reference_of(models: Sequence[str], config: EvaluationConfig) -> str:
    """Return the model that the others are compared with."""
    return config.reference or (BEFORE if BEFORE in models else models[0])


def _comparisons(group: Sequence[SetResult], config: EvaluationConfig) -> list[Row]:
    """Return each model's difference to the reference in the same mode, p corrected together.

    A lexical baseline is compared with the reference's sparse mode.
    """
    values = group[0].values
    reference = reference_of(list(values), config)
    rows = [
        row
        for model, modes in values.items()
        for mode in modes
        if model != reference
        and (row := _comparison(group, (model, mode), reference, config)) is not None
    ]
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_corrected"] = p
    return rows


def _comparison(
    group: Sequence[SetResult], ours: tuple[str, str], reference: str, config: EvaluationConfig
) -> Row | None:
    theirs = _counterpart(ours[1], group[0].values[reference])
    if theirs is None:
        return None
    for measure in (TESTED, _TESTED_BY_ANSWER):
        one, other = _numbers(group, *ours, measure), _numbers(group, reference, theirs, measure)
        if one and other:
            found: significance.Difference = compare(one, other, config.resamples, config.seed)
            return {
                "model": ours[0],
                "mode": ours[1],
                "reference": reference,
                "reference_mode": theirs,
                "measure": measure,
                "difference": found.mean,
                "low": found.low,
                "high": found.high,
                "p": found.p,
            }
    return None


def _counterpart(mode: str, modes: Mapping[str, Any]) -> str | None:
    """Return the reference's mode to compare with; None where it has none."""
    wanted = (mode, *(("sparse",) if mode == LEXICAL else ()), "dense", *modes)
    return next((name for name in wanted if name in modes), None)
