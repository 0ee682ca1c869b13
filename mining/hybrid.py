"""Retrieval with all heads from one index on disk, with the paper's candidates (section 4.1).

dense and sparse search all passages. multi-vector and all re-rank dense's best 200; dense+sparse
re-ranks the union of both heads' best 1,000: every score that a sum takes is the exact one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curation import storage
from curation.errors import ConfigError, InputError, check_range, unknown_name
from mining.best import best_of, lower_bound
from mining.csr import Csr, Floats, Ints, as_weights
from mining.hybrid_parts import Part, Passage, multi_vector
from mining.index_files import open_index
from mining.shards import Vectors, score_pairs
from mining.sparse_index import Mask, SparseIndex
from mining.top import Found, sorted_top
from train.scoring import Embeddings
from train.watch import MODES

FILE = "index.json"
FORMAT = 1
_AT_ONCE = 65_536  # vectors of a language compared together: 100 MB of fp32 at width 384
_NEEDS_VECTORS = ("multi-vector", "all")


@dataclass(frozen=True, kw_only=True, slots=True)
class Depths:
    """How many candidates a search looks at, and how their scores are added."""

    rerank: int = 200
    """multi-vector and all re-rank so many of dense's best."""
    union: int = 1000
    """dense+sparse re-ranks the union of both heads' best so many."""
    weights: tuple[float, float, float] = (1.0, 0.3, 1.0)
    """Of dense, sparse and multi-vector in the sums (paper: MIRACL and MKQA)."""

    def __post_init__(self) -> None:
        check_range("rerank depth", self.rerank, 1, 100_000)
        check_range("union depth", self.union, 1, 100_000)
        for weight in self.weights:
            check_range("weights", weight, 0.0, 1e6)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best passages for one query, best first."""

    numbers: Ints
    """(k,) passage numbers."""
    scores: Floats
    """(k,) what they are ordered by."""
    heads: dict[str, Floats]
    """(k,) the score of each head that the index has, also of those the mode does not use."""


class HybridIndex:
    """An index of a folder, memory-mapped; `pipelines.search_index` builds it."""

    def __init__(self, folder: str) -> None:
        path = Path(folder) / FILE
        if not path.exists():
            raise InputError(f"{folder} holds no {FILE}: no index, or one that is not finished")
        self.folder = folder
        self.description: dict[str, Any] = storage.read_json(str(path))
        if self.description["format"] != FORMAT:
            raise InputError(
                f"{path} has format {self.description['format']}, this program reads {FORMAT}: "
                "index the corpus anew"
            )
        names = self.description["parts"]
        self.parts = [Part(os.path.join(folder, "parts", name)) for name in names]
        self.starts = np.cumsum([0, *map(len, self.parts)], dtype=np.int64)
        self.dense = open_index(os.path.join(folder, "dense"))
        self.vectors = self.dense.vectors
        self.sparse = SparseIndex.open(os.path.join(folder, "sparse"))
        self.has_vectors = all(part.packed is not None for part in self.parts)
        self._languages: npt.NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return int(self.starts[-1])

    def passage(self, number: int) -> Passage:
        """Return a passage."""
        part = int(np.searchsorted(self.starts, number, side="right")) - 1
        return self.parts[part].passage(int(number - self.starts[part]))

    def sparse_vectors(self, numbers: Sequence[int]) -> list[dict[int, float]]:
        """Return the token weights of passages."""
        found: list[dict[int, float]] = []
        for number in numbers:
            part = int(np.searchsorted(self.starts, number, side="right")) - 1
            at = int(number - self.starts[part])
            one = self.parts[part].sparse.rows(at, at + 1)
            found += as_weights(one)
        return found

    def dense_search(self, queries: Vectors, depth: int) -> Found:
        """Return the best passages of dense queries (Q, d), as `DenseIndex.search` does.

        An index whose codes are the stored numbers gives their products itself: looking each
        candidate up again took 11 ms of 15 at a depth of 1,000.
        """
        pieces, effort = self.dense.pieces, self.dense.effort
        store = self.description["model"]["encoding"]["store"]
        factory = self.dense.factory
        if pieces is None or not factory.endswith("SQfp16" if store == "fp16" else "Flat"):
            return self.dense.search(queries, depth)
        wanted = min(len(self), depth * effort.refine)
        return sorted_top(*pieces.propose(queries, wanted, effort), depth)

    @property
    def languages(self) -> dict[str, int]:
        """The languages of the passages and how many each has, most first."""
        found: dict[str, int] = self.description["languages"]
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def allowed(self, language: str) -> Mask | None:
        """Return which passages are in a language; None for "", which is any."""
        if not language:
            return None
        if language not in self.languages:
            raise ConfigError(unknown_name("language", language, tuple(self.languages)))
        if self._languages is None:
            listed = [code for part in self.parts for code in part.languages()]
            self._languages = np.array(listed, np.str_)
        mask: Mask = self._languages == language
        return mask

    @property
    def modes(self) -> list[str]:
        """The modes that the index can answer."""
        return [mode for mode in MODES if self.has_vectors or mode not in _NEEDS_VECTORS]

    def check_mode(self, mode: str) -> None:
        """Raise `ConfigError` for a mode that is none or that the index lacks vectors for."""
        if mode not in MODES:
            raise ConfigError(unknown_name("mode", mode, MODES))
        if mode in _NEEDS_VECTORS and not self.has_vectors:
            raise ConfigError(
                f"mode {mode!r} needs token vectors, which this index was built without; index "
                "the corpus without --no-vectors, or search with dense, sparse or dense+sparse"
            )

    def search(
        self,
        query: Embeddings,
        mode: str,
        top: int,
        depths: Depths | None = None,
        allowed: Mask | None = None,
    ) -> Ranking:
        """Return the best `top` passages for one query's embeddings (of one text)."""
        self.check_mode(mode)
        return _Search(self, query, depths or Depths(), allowed).run(mode, top)


class _Search:
    """One query on an index: each head's scores are computed once and only if asked for."""

    def __init__(
        self, index: HybridIndex, query: Embeddings, depths: Depths, allowed: Mask | None
    ) -> None:
        self.index, self.query, self.depths, self.allowed = index, query, depths, allowed
        self.dense_query = query.dense.float().cpu().numpy()
        self._sparse: Floats | None = None
        self._dense: tuple[Ints, Floats] = np.zeros(0, np.int64), np.zeros(0, np.float32)

    def run(self, mode: str, top: int) -> Ranking:
        numbers, scores = self._ranked(mode, top)
        numbers, scores = numbers[:top], scores[:top]
        heads = {"dense": self.dense_of(numbers), "sparse": self.sparse_of(numbers)}
        if self.index.has_vectors:
            heads["multi-vector"] = self.vectors_of(numbers)
        return Ranking(numbers, scores, heads)

    def _ranked(self, mode: str, top: int) -> tuple[Ints, Floats]:
        depths = self.depths
        if mode == "dense":
            return self.dense_best(top)
        if mode == "sparse":
            return self.sparse_best(top)
        if mode == "dense+sparse":
            depth = max(top, depths.union)
            numbers = np.union1d(self.dense_best(depth)[0], self.sparse_best(depth)[0])
            return self._ordered(numbers, (*depths.weights[:2], 0.0))
        numbers = np.sort(self.dense_best(max(top, depths.rerank))[0])
        return self._ordered(numbers, (0, 0, 1) if mode == "multi-vector" else depths.weights)

    def _ordered(self, numbers: Ints, weights: Sequence[float]) -> tuple[Ints, Floats]:
        """Order ascending numbers by the weighted sum of their exact scores."""
        total = np.zeros(len(numbers), np.float32)
        scores = (self.dense_of, self.sparse_of, self.vectors_of)
        for weight, score in zip(weights, scores, strict=True):
            if weight:
                total += np.float32(weight) * score(numbers)
        best, order = best_of(total, numbers, len(numbers))
        return order, best

    def dense_best(self, depth: int) -> tuple[Ints, Floats]:
        """Return the best passages by dense score, of the allowed ones only."""
        if self.allowed is None:
            scores, numbers = self.index.dense_search(self.dense_query, depth)
            found = numbers[0] >= 0
            self._dense = numbers[0][found], scores[0][found]
            return self._dense
        wanted = np.flatnonzero(self.allowed)
        scores = np.concatenate(
            [self.dense_of(wanted[i : i + _AT_ONCE]) for i in range(0, len(wanted), _AT_ONCE)]
        )
        best, numbers = best_of(scores, wanted, depth)
        return numbers, best

    def dense_of(self, numbers: Ints) -> Floats:
        """Return the exact dense scores of passages; those that were found have theirs already."""
        known, scores = self._dense
        order = np.argsort(known)
        known, scores = known[order], scores[order]
        at = np.minimum(np.searchsorted(known, numbers), max(0, len(known) - 1))
        found = known[at] == numbers if len(known) else np.zeros(len(numbers), np.bool_)
        result = np.empty(len(numbers), np.float32)
        result[found] = scores[at[found]]
        missing = numbers[~found]
        result[~found] = score_pairs(
            self.dense_query, self.index.vectors, np.zeros_like(missing), missing
        )
        return result

    @property
    def sparse_scores(self) -> Floats:
        """The sparse scores of all passages, 0 where not allowed."""
        if self._sparse is None:
            scores = self.index.sparse.scores(Csr.of(self.query), 0)
            self._sparse = scores if self.allowed is None else scores * self.allowed
        return self._sparse

    def sparse_of(self, numbers: Ints) -> Floats:
        """Return the exact sparse scores of passages."""
        return self.sparse_scores[numbers]

    def sparse_best(self, depth: int) -> tuple[Ints, Floats]:
        """Return the best passages by sparse score that share a token with the query."""
        scores = self.sparse_scores
        bound = lower_bound(scores, depth)
        places = np.flatnonzero(scores >= bound if bound > 0 else scores > 0)
        best, numbers = best_of(scores[places], places, depth)
        return numbers, best

    def vectors_of(self, numbers: Ints) -> Floats:
        """Return the exact multi-vector scores of passages."""
        return multi_vector(self.index.parts, self.index.starts, self.query, numbers)
