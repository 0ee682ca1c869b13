"""Retrieval with all heads over an evaluation set, and its metrics."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from curation import manifest, storage
from curation.draw import rank
from curation.errors import InputError
from curation.splits import SplitConfig
from mining.encode import Report, encode_batches
from mining.index import search
from pipelines.config import MODES, EvaluationConfig, EvaluationSet
from train import metrics, scoring
from train.model import M3Model
from train.scoring import Embeddings

_SPARSE_CHUNK = 512  # passages whose (Q, U) products are held at once


@dataclass(frozen=True, slots=True)
class RetrievalSet:
    """Queries, documents and judgements, in a fixed order."""

    name: str
    query_ids: list[str]
    queries: list[str]
    document_ids: list[str]
    documents: list[str]
    judgements: dict[str, dict[str, int]]


def load_set(wanted: EvaluationSet, out: str, splits: SplitConfig) -> RetrievalSet:
    """Return an evaluation set; raise `InputError` where a file or all queries are missing."""
    loaded = load_beir(wanted) if wanted.kind == "beir" else load_questions(wanted, out, splits)
    if not loaded.query_ids:
        raise InputError(f"the evaluation set {wanted.label!r} has no judged query")
    return loaded


def load_questions(wanted: EvaluationSet, out: str, splits: SplitConfig) -> RetrievalSet:
    """Return the questions on held-out documents, over these documents and further ones."""
    listed = manifest.read(storage.join(out, "questions"), "make synth")
    rows = [
        row
        for path in manifest.part_paths(storage.join(out, "questions"), listed)
        for row in _parquet_rows(path, ["id", "query", "document_id", "relation"])
        if row["relation"] == "question-document" and splits.is_held_out([row["document_id"]])
    ]
    rows.sort(key=lambda row: rank(row["id"], "query"))
    rows = rows[: wanted.max_queries or None]
    needed = {row["document_id"] for row in rows}
    texts = _documents(out, needed, wanted.max_documents)
    return RetrievalSet(
        name=wanted.label,
        query_ids=[row["id"] for row in rows],
        queries=[row["query"] for row in rows],
        document_ids=list(texts),
        documents=list(texts.values()),
        judgements={row["id"]: {row["document_id"]: 1} for row in rows},
    )


def _documents(out: str, needed: set[str], limit: int) -> dict[str, str]:
    """Return the needed documents and, by smallest hash, others up to `limit` (0: all)."""
    listed = manifest.read(storage.join(out, "documents"), "make curate")
    paths = manifest.part_paths(storage.join(out, "documents"), listed)
    ids = [row["id"] for path in paths for row in _parquet_rows(path, ["id"])]
    others = sorted((i for i in ids if i not in needed), key=lambda i: rank(i, "distractor"))
    room = max(0, limit - len(needed)) if limit else len(others)
    wanted = needed | set(others[:room])
    texts = {
        row["id"]: row["text"]
        for path in paths
        for row in _parquet_rows(path, ["id", "text"])
        if row["id"] in wanted
    }
    return dict(sorted(texts.items()))


def _parquet_rows(path: str, columns: list[str]) -> Iterator[dict[str, Any]]:
    with storage.open_read(path) as handle:
        file = pq.ParquetFile(handle)
        for batch in file.iter_batches(columns=columns):
            yield from batch.to_pylist()


def load_beir(wanted: EvaluationSet) -> RetrievalSet:
    """Return a set in BEIR layout: corpus.jsonl, queries.jsonl, qrels.tsv or qrels/test.tsv."""
    judgements: dict[str, dict[str, int]] = {}
    for line in _lines(wanted.path, ("qrels.tsv", "qrels/test.tsv")):
        cells = line.split("\t")
        if len(cells) == 3 and cells[2].strip().lstrip("-").isdigit():
            judgements.setdefault(cells[0], {})[cells[1]] = int(cells[2])
    corpus = [json.loads(line) for line in _lines(wanted.path, ("corpus.jsonl",))]
    queries = [json.loads(line) for line in _lines(wanted.path, ("queries.jsonl",))]
    queries = sorted(
        (q for q in queries if q["_id"] in judgements), key=lambda q: rank(q["_id"], "query")
    )
    queries = queries[: wanted.max_queries or None]
    kept = {query["_id"] for query in queries}
    return RetrievalSet(
        name=wanted.label,
        query_ids=[query["_id"] for query in queries],
        queries=[query["text"] for query in queries],
        document_ids=[row["_id"] for row in corpus],
        documents=[f"{row.get('title') or ''}\n{row['text']}".strip() for row in corpus],
        judgements={q: d for q, d in judgements.items() if q in kept},
    )


def _lines(folder: str, names: Sequence[str]) -> list[str]:
    for name in names:
        for suffix in ("", ".gz"):
            path = storage.join(storage.local_path(folder), name + suffix)
            if storage.exists(path):
                with storage.open_read(path) as handle:
                    data = handle.read()
                text = gzip.decompress(data) if suffix else data
                return text.decode("utf-8").splitlines()
    raise InputError(f"{folder} holds no {' or '.join(names)} (plain or .gz): no BEIR folder?")


def evaluate_model(
    model: M3Model,
    data: RetrievalSet,
    config: EvaluationConfig,
    dtype: str,
    report: Report | None = None,
) -> dict[str, dict[str, dict[str, float]]]:
    """Return for each of `MODES` the metrics of each query."""
    queries = _encode(model, data.queries, config, dtype, is_query=True, report=None)
    documents = _encode(model, data.documents, config, dtype, is_query=False, report=report)
    runs = retrieve(queries, documents, config)
    return {
        mode: metrics.evaluate(_named(run, data), data.judgements) for mode, run in runs.items()
    }


def _encode(
    model: M3Model,
    texts: Sequence[str],
    config: EvaluationConfig,
    dtype: str,
    *,
    is_query: bool,
    report: Report | None,
) -> list[Embeddings]:
    """Return one embedding (of one text, without padding) per text, vectors in fp16."""
    result: list[Embeddings | None] = [None] * len(texts)
    batches = encode_batches(
        model, texts, is_query=is_query, budget=config.batch_tokens, dtype=dtype, report=report
    )
    for indices, part in batches:
        lengths = (part.mask.sum(1) + 1).tolist()
        for row, (index, length) in enumerate(zip(indices.tolist(), lengths, strict=True)):
            one = slice(row, row + 1)
            result[index] = Embeddings(
                part.dense[one],
                part.weights[one, :length],
                part.vectors[one, :length].half(),
                part.ids[one, :length],
                part.mask[one, :length],
            )
    return [item for item in result if item is not None]


Run = list[dict[int, float]]
"""Per query: document number → score."""


def retrieve(
    queries: list[Embeddings], documents: list[Embeddings], config: EvaluationConfig
) -> dict[str, Run]:
    """Return the runs of all modes (paper, section 4.1).

    dense and sparse search all documents; multi-vector and all re-rank dense's best
    `rerank_depth`; dense+sparse re-ranks the union of both heads' best `union_depth`.
    """
    dense_q = torch.cat([q.dense for q in queries]).float().cpu().numpy()
    dense_d = torch.cat([d.dense for d in documents]).float().cpu().numpy()
    sparse = _sparse_all(queries, documents)
    dense_scores, dense_ids = search(dense_q, dense_d, config.union_depth)
    packed = scoring.pack(documents)
    runs: dict[str, Run] = {mode: [] for mode in MODES}
    for number, query in enumerate(queries):
        by_dense = dense_ids[number]
        by_sparse = np.argsort(-sparse[number], kind="stable")[: config.union_depth]
        by_sparse = by_sparse[sparse[number][by_sparse] > 0]
        top = by_dense[: config.rerank_depth]
        vectors = scoring.multi_vector_rescore(query, packed, torch.from_numpy(top)).cpu().numpy()
        runs["dense"].append(_as_run(by_dense, dense_scores[number]))
        runs["sparse"].append(_as_run(by_sparse, sparse[number][by_sparse]))
        runs["multi-vector"].append(_as_run(top, vectors))
        union = np.union1d(by_dense, by_sparse)
        exact = dense_d[union] @ dense_q[number]
        w = config.weights
        runs["dense+sparse"].append(_as_run(union, w[0] * exact + w[1] * sparse[number][union]))
        exact = dense_d[top] @ dense_q[number]
        total = w[0] * exact + w[1] * sparse[number][top] + w[2] * vectors
        runs["all"].append(_as_run(top, total))
    return runs


def _as_run(ids: Any, scores: Any) -> dict[int, float]:
    return dict(zip(ids.tolist(), map(float, scores), strict=True))


def _sparse_all(queries: list[Embeddings], documents: list[Embeddings]) -> Any:
    """Return the (Q, D) sparse scores, documents in chunks."""
    together = scoring.concatenate(queries)
    pieces = []
    for start in range(0, len(documents), _SPARSE_CHUNK):
        chunk = scoring.concatenate(documents[start : start + _SPARSE_CHUNK])
        pieces.append(scoring.sparse_scores(together, chunk).cpu().numpy())
    return np.concatenate(pieces, axis=1)


def _named(run: Run, data: RetrievalSet) -> dict[str, dict[str, float]]:
    return {
        query: {data.document_ids[number]: score for number, score in found.items()}
        for query, found in zip(data.query_ids, run, strict=True)
    }
