"""TREC run files of any system, compared on judgements: `evaluate --compare QRELS RUN RUN`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from curation.errors import ConfigError
from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.formats import files
from pipelines.evaluation.results import SetResult, assemble
from pipelines.evaluation.runs import read_run
from pipelines.evaluation.tables import results_table
from pipelines.terminal import table
from train import metrics

_MODE = ""


def compare_files(paths: Sequence[str]) -> str:
    """Return the table of run files, and each one's difference to the first.

    `paths` are judgements (TREC or BEIR) and then runs.
    """
    qrels, *run_paths = paths
    if not run_paths:
        raise ConfigError("--compare takes a file of judgements and at least one run file")
    judged = files.qrels(qrels)
    result = SetResult(os.path.basename(qrels), qrels, "", "", len(judged), 0)
    for path in run_paths:
        values = metrics.evaluate(read_run(path), judged)
        result.values[path] = {_MODE: values}
    results = assemble([result], EvaluationConfig(reference=run_paths[0]), {})
    [one] = results["sets"]
    shown = results_table(results)
    rows = [
        [
            row["model"],
            f"{row['difference']:+.4f}",
            f"{row['low']:+.4f} .. {row['high']:+.4f}",
            f"{row['p']:.4f}",
        ]
        for row in one["comparisons"]
    ]
    header = (f"{one['name']} nDCG@10 against {run_paths[0]}", "difference", "95 %", "p")
    return f"{shown}\n\n{table(header, rows)}" if rows else shown
