"""Retrieval with one model in five modes (paper, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mining.encode import Report
from mining.index import search
from mining.sparse_index import SparseIndex
from pipelines.evaluation.config import EvaluationConfig, Weights
from pipelines.evaluation.encoding import Encoded, Encoder, Ints, encode
from pipelines.evaluation.kept import Kept
from pipelines.evaluation.rerank import multi_vector
from pipelines.evaluation.sets import RetrievalSet
from pipelines.terminal import say
from train.watch import MODES

Floats = npt.NDArray[np.float32]
Ranked = tuple[Floats, Ints]
"""(scores (Q, k), document numbers (Q, k)), best first; number -1 is no document."""
_UNLIMITED = float("inf")


@dataclass(frozen=True, slots=True)
class Found:
    """What the heads found for Q queries, before any sum."""

    dense: Ranked
    sparse: Ranked
    union: Ints
    """(Q, m) the documents of both heads' best, ascending; -1 fills up."""
    union_scores: Floats
    """(2, Q, m) their exact dense and sparse scores."""
    top: Ints
    """(Q, k) dense's best."""
    top_scores: Floats
    """(3, Q, k) their dense, sparse and multi-vector scores."""

    def runs(self, weights: Weights) -> dict[str, Ranked]:
        """Return the ranking of each of `MODES`."""
        ranked = (
            self.dense,
            self.sparse,
            sort(self.top_scores[2], self.top),
            self.pair(weights.pair),
            self.all(weights.all),
        )
        return dict(zip(MODES, ranked, strict=True))

    def pair(self, weights: tuple[float, float]) -> Ranked:
        """Return the union re-ranked by the sum of dense and sparse scores."""
        return weighted(self.union_scores, self.union, weights)

    def all(self, weights: tuple[float, float, float]) -> Ranked:
        """Return dense's best re-ranked by the sum of all scores."""
        return weighted(self.top_scores, self.top, weights)


def weighted(scores: Floats, numbers: Ints, weights: tuple[float, ...]) -> Ranked:
    """Return documents (Q, k) ranked by the weighted sum of the heads' scores (H, Q, k)."""
    total = sum(w * np.where(numbers >= 0, s, 0) for w, s in zip(weights, scores, strict=True))
    return sort(np.where(numbers >= 0, total, -np.inf).astype(np.float32), numbers)


def sort(scores: Floats, numbers: Ints) -> Ranked:
    """Return rows best first, equal scores by number, what is missing last."""
    order = np.lexsort((numbers, -scores), axis=1)
    return np.take_along_axis(scores, order, 1), np.take_along_axis(numbers, order, 1)


@dataclass(slots=True)
class M3Retriever:
    """A model that searches sets; the documents of the last corpus are kept for the next set."""

    encoder: Encoder
    config: EvaluationConfig
    _corpus: str = ""
    _documents: Encoded | None = None
    _index: SparseIndex | None = field(default=None, repr=False)
    _kept: Kept | None = field(default=None, repr=False)

    def find(self, data: RetrievalSet, report: Report | None = None) -> Found:
        """Return what the heads find for a set's queries among its documents."""
        documents, index = self._encoded(data, report)
        queries = encode(self.encoder, data.queries, is_query=True, limit=_UNLIMITED)
        dense = search(queries.dense, documents.dense, self.config.union_depth)
        sparse = index.search(queries.sparse, min(self.config.union_depth, len(data.documents)))
        union = _union(dense[1], sparse[1])
        pair = np.stack(
            [_dense_of(queries, documents, union), _sparse_of(queries, documents, union)]
        )
        top = dense[1][:, : self.config.rerank_depth]
        return Found(dense, sparse, union, pair, top, self._scores(queries, documents, data, top))

    def score(self, data: RetrievalSet, numbers: Ints, report: Report | None = None) -> Floats:
        """Return the scores of each query with chosen documents: (3, Q, k); -1 is no document."""
        documents, _ = self._encoded(data, report)
        queries = encode(self.encoder, data.queries, is_query=True, limit=_UNLIMITED)
        return self._scores(queries, documents, data, numbers)

    def _scores(
        self, queries: Encoded, documents: Encoded, data: RetrievalSet, numbers: Ints
    ) -> Floats:
        return np.stack(
            [
                _dense_of(queries, documents, numbers),
                _sparse_of(queries, documents, numbers),
                multi_vector(queries, documents, data.documents, numbers, self.encoder),
            ]
        )

    def _encoded(self, data: RetrievalSet, report: Report | None) -> tuple[Encoded, SparseIndex]:
        if self._documents is None or self._index is None or self._corpus != data.corpus:
            self._documents = self._index = None  # free the last corpus first
            limit = self.config.token_vectors_mb * 1e6
            self._documents = self._encode(data.documents, limit, report)
            vocabulary = int(self.encoder.model.encoder.config.vocab_size)
            self._index = SparseIndex.build(self._documents.sparse, vocabulary)
            self._corpus = data.corpus
        return self._documents, self._index

    def _encode(self, texts: Sequence[str], limit: float, report: Report | None) -> Encoded:
        if not self.config.cache:
            return encode(self.encoder, texts, is_query=False, limit=limit, report=report)
        self._kept = self._kept or Kept.open(self.config.cache, self.encoder, say)
        return self._kept.encode(self.encoder, texts, limit, report)


def _union(one: Ints, other: Ints) -> Ints:
    """Return each row's distinct numbers of both, ascending; -1 fills up at the end."""
    rows = [np.union1d(a, b) for a, b in zip(one, other, strict=True)]
    rows = [row[row >= 0] for row in rows]
    found = np.full((len(rows), max(map(len, rows), default=0)), -1, np.int64)
    for i, row in enumerate(rows):
        found[i, : len(row)] = row
    return found


def _dense_of(queries: Encoded, documents: Encoded, numbers: Ints) -> Floats:
    """Return the dense scores of pairs: (Q, k); what is missing, at the end, scores 0."""
    scores = np.zeros(numbers.shape, np.float32)
    for row, chosen in enumerate(numbers):
        real = chosen[chosen >= 0]
        scores[row, : len(real)] = documents.dense[real] @ queries.dense[row]
    return scores


def _sparse_of(queries: Encoded, documents: Encoded, numbers: Ints) -> Floats:
    """Return the sparse scores of pairs: (Q, k); what is missing, at the end, scores 0."""
    scores = np.zeros(numbers.shape, np.float32)
    for row, chosen in enumerate(numbers):
        real = chosen[chosen >= 0]
        scores[row, : len(real)] = queries.sparse.dots(row, documents.sparse.take(real))
    return scores
