"""The held-out questions of a run as an evaluation set."""

from __future__ import annotations

from curation import manifest, parquet, storage
from curation.draw import rank
from curation.splits import SplitConfig
from pipelines.evaluation.config import EvaluationSet
from pipelines.evaluation.formats.files import Content


def read(wanted: EvaluationSet, out: str, splits: SplitConfig) -> Content:
    """Return the questions on held-out documents, over these documents and further ones."""
    listed = manifest.read(storage.join(out, "questions"), "make synth")
    rows = [
        row
        for path in manifest.part_paths(storage.join(out, "questions"), listed)
        for row in parquet.rows(path, ["id", "query", "document_id", "relation"])
        if row["relation"] == "question-document" and splits.is_held_out([row["document_id"]])
    ]
    rows.sort(key=lambda row: rank(row["id"], "query"))
    rows = rows[: wanted.max_queries or None]
    needed = {row["document_id"] for row in rows}
    return Content(
        queries={row["id"]: row["query"] for row in rows},
        corpus=_documents(out, needed, wanted.max_documents),
        judgements={row["id"]: {row["document_id"]: 1} for row in rows},
    )


def _documents(out: str, needed: set[str], limit: int) -> dict[str, str]:
    """Return the needed documents and, by smallest hash, others up to `limit` (0: all)."""
    listed = manifest.read(storage.join(out, "documents"), "make curate")
    paths = manifest.part_paths(storage.join(out, "documents"), listed)
    ids = [row["id"] for path in paths for row in parquet.rows(path, ["id"])]
    others = sorted((i for i in ids if i not in needed), key=lambda i: rank(i, "distractor"))
    room = max(0, limit - len(needed)) if limit else len(others)
    wanted = needed | set(others[:room])
    texts = {
        row["id"]: row["text"]
        for path in paths
        for row in parquet.rows(path, ["id", "text"])
        if row["id"] in wanted
    }
    return dict(sorted(texts.items()))
