"""Candidates for the rows of a pool, from one source or several fused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mining.bm25 import Bm25Index
from mining.config import MiningConfig
from mining.csr import Csr
from mining.fusion import rrf, weighted
from mining.index import DenseIndex
from mining.lists import Ids, Mask
from mining.miner import Found, members, padded_scores, pool_keys
from mining.pool import Pool, Scores
from mining.shards import score_pairs
from mining.sparse_index import SparseIndex

Ranked = tuple[Scores, Ids]
Say = Callable[[str], None]


@dataclass(slots=True)
class PoolSearch:
    """Searches the passages of each row's pool; an index serves all rows of a pool in turn."""

    pool: Pool
    config: MiningConfig
    queries: Any
    """(Q, d) dense vectors."""
    passages: Any
    """(P, d) dense vectors."""
    sparse: tuple[Csr, SparseIndex] | None = None
    """The lexical weights of the queries, and the index of those of the passages."""
    bm25: Bm25Index | None = None
    say: Say | None = None
    _dense: tuple[int, DenseIndex] | None = None

    def dense_scores(self, rows: Ids, numbers: Ids) -> Scores:
        """Return the inner products of rows (m,) with passages (m,)."""
        return score_pairs(self.queries, self.passages, rows, numbers)

    def __call__(self, rows: Ids, depth: int) -> Found:
        """Return the best `depth` passages of each row's pool."""
        keys = pool_keys(self.pool, self.config)[rows]
        shape = len(rows), min(depth, len(self.pool.passages))
        found = Found(
            np.full(shape, -1, np.int64),
            np.full(shape, -np.inf, np.float32),
            tuple(np.full(shape, -1, np.int64) for _ in self.config.sources),
        )
        for key in np.unique(keys).tolist():
            own = members(self.pool, key, self.config)
            if len(own):
                self._search(rows, np.flatnonzero(keys == key), (key, own), found)
        return found

    def _search(self, rows: Ids, same: Ids, pool: tuple[int, Ids], found: Found) -> None:
        """Put the candidates of rows of one pool into `found`."""
        depth = found.ids.shape[1]
        lists = [self._listed(name, rows[same], depth, *pool) for name in self.config.sources]
        for listed, (_, numbers) in zip(found.lists, lists, strict=True):
            listed[same, : numbers.shape[1]] = numbers
        scores, ids = self._fused(lists, depth)
        found.ids[same, : ids.shape[1]] = ids
        if self.config.sources == ("dense",):
            found.scores[same, : ids.shape[1]] = scores
        else:
            scored = padded_scores(rows[same], ids, self.dense_scores)
            found.scores[same, : ids.shape[1]] = np.where(ids >= 0, scored, -np.inf)

    def _fused(self, lists: list[Ranked], depth: int) -> Ranked:
        if len(lists) == 1:
            return lists[0]
        if self.config.fusion == "rrf":
            return rrf(lists, self.config.fusion_constant, depth)
        weights = self.config.fusion_weights or (1.0,) * len(lists)
        return weighted(lists, weights, depth)

    def _listed(self, name: str, rows: Ids, depth: int, key: int, own: Ids) -> Ranked:
        """Return the (scores, numbers) of one source, -1 where it finds no more."""
        if name == "dense":
            scores, numbers = self._dense_index(key, own).search(self.queries[rows], depth)
            return scores, np.where(numbers >= 0, own[numbers], -1)
        allowed = self._allowed(own)
        if name == "sparse":
            assert self.sparse is not None
            return self.sparse[1].search(self.sparse[0].take(rows), depth, allowed)
        assert self.bm25 is not None
        return self.bm25.search(self.pool.queries.take(rows), depth, allowed)

    def _dense_index(self, key: int, own: Ids) -> DenseIndex:
        """Return the index of a pool; the last one is kept, since rows come pool by pool."""
        if self._dense is None or self._dense[0] != key:
            whole = len(own) == len(self.pool.passages)
            vectors = self.passages if whole else self.passages[own]
            index = DenseIndex.build(
                vectors,
                self.config.index,
                queries=self.queries,
                depth=self.config.depth,
                first=self.config.first_rank,
                say=self.say,
            )
            self._dense = key, index
        return self._dense[1]

    def _allowed(self, own: Ids) -> Mask | None:
        if len(own) == len(self.pool.passages):
            return None
        allowed = np.zeros(len(self.pool.passages), np.bool_)
        allowed[own] = True
        return allowed
