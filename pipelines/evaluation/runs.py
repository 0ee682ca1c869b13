"""Rankings by document id, and TREC's files of runs and judgements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from curation import storage
from curation.errors import InputError
from pipelines.evaluation.formats import files
from pipelines.evaluation.retrieval import Ranked
from pipelines.evaluation.sets import RetrievalSet
from train import metrics

Run = dict[str, dict[str, float]]
"""query id → document id → score, best first."""
_COLUMNS = 6


def named(ranked: Ranked, data: RetrievalSet, depth: int) -> Run:
    """Return the best `depth` of each query by document id.

    A document stays whatever its id: one with the query's own id is as good as any other.
    """
    run: Run = {}
    for query, scores, numbers in zip(data.query_ids, *ranked, strict=True):
        kept = numbers[:depth] >= 0
        pairs = zip(numbers[:depth][kept].tolist(), scores[:depth][kept].tolist(), strict=True)
        run[query] = {data.document_ids[number]: score for number, score in pairs}
    return run


def write_run(path: str, run: Run, tag: str) -> None:
    """Write a run in TREC's format, in trec_eval's order; scores read back as the same fp32."""
    storage.write_bytes(path, "".join(_run_lines(run, tag.replace(" ", "-"))).encode())


def _run_lines(run: Run, tag: str) -> Iterator[str]:
    for query, found in run.items():
        ranked = metrics.best(found, len(found))
        for rank, (document, score) in enumerate(ranked.items(), 1):
            yield f"{query} Q0 {document} {rank} {np.float32(score):.9g} {tag}\n"


def read_run(path: str) -> Run:
    """Return a run in TREC's format; raise `InputError` for a line that is none."""
    run: Run = {}
    for number, line in enumerate(files.lines(path), 1):
        cells = line.split()
        if len(cells) != _COLUMNS:
            raise InputError(
                f"{path}, line {number}: {len(cells)} columns, not query Q0 document rank score tag"
            )
        try:
            run.setdefault(cells[0], {})[cells[2]] = float(cells[4])
        except ValueError as error:
            raise InputError(
                f"{path}, line {number}: the score {cells[4]!r} is no number"
            ) from error
    return run


def write_qrels(path: str, judgements: Mapping[str, Mapping[str, int]]) -> None:
    """Write judgements in TREC's format."""
    lines = (
        f"{query} 0 {document} {grade}\n"
        for query, judged in judgements.items()
        for document, grade in judged.items()
    )
    storage.write_bytes(path, "".join(lines).encode())
