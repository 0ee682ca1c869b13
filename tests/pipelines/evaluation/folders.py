"""Evaluation sets, and writers of them in the formats they are published in."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from pipelines.evaluation.sets import RetrievalSet
from tests.builders import articles

JUDGED = (("q0", "d1", 1), ("q2", "d2", 2), ("q2", "d3", 0))


def set_of(queries: list[str], documents: list[str], language: str = "") -> RetrievalSet:
    """Return a set whose query number i is answered by document number i alone."""
    return RetrievalSet(
        name="set",
        query_ids=[f"q{i}" for i in range(len(queries))],
        queries=queries,
        document_ids=[f"d{i}" for i in range(len(documents))],
        documents=documents,
        judgements={f"q{i}": {f"d{i}": 1} for i in range(len(queries))},
        document_language=language,
    )


def write_beir(
    folder: Path, *, qrels: str = "qrels/test.tsv", packed: bool = False, prefix: str = ""
) -> None:
    """Write five documents, three queries of which two are judged."""
    corpus = [
        {"_id": f"{prefix}d{i}", "title": a["title"] if i else None, "text": a["text"]}
        for i, a in enumerate(articles("en", 5))
    ]
    queries = [{"_id": f"q{i}", "text": f"Who built the tower {i}?"} for i in range(3)]
    files = {
        "corpus.jsonl": "".join(json.dumps(row) + "\n" for row in corpus),
        "queries.jsonl": "".join(json.dumps(row) + "\n" for row in queries),
        qrels: "query-id\tcorpus-id\tscore\n"
        + "".join(f"{q}\t{prefix}{d}\t{g}\n" for q, d, g in JUDGED),
    }
    for name, text in files.items():
        path = folder / (name + ".gz" * packed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())


def of_lengths(lengths: dict[str, int]) -> RetrievalSet:
    """Return a set whose queries each have one relevant document, of so many characters."""
    names = list(lengths)
    return RetrievalSet(
        name="set",
        query_ids=names,
        queries=[f"text of {name}" for name in names],
        document_ids=[f"{name}-d" for name in names],
        documents=["x" * length for length in lengths.values()],
        judgements={name: {f"{name}-d": 1} for name in names},
    )
