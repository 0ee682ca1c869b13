"""The nearest passages by inner product: exact, or by an index that exact scores put in order.

Whatever proposes candidates, their scores are the inner products of the stored vectors, computed
pair by pair (`score_pairs`): margins mean the same for every index, and an index of few bits needs
no second copy of the vectors to refine its order.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mining.index_auto import EXACT, choose, efforts, recall, thorough_enough
from mining.index_config import IndexConfig
from mining.index_exact import Budget, decide, exact_top
from mining.index_faiss import Effort, Pieces, build_pieces, is_graph, lists_of
from mining.index_kernels import kernel_for, uses_faiss_gpus
from mining.shards import Ids, Shards, Vectors, as_shards
from mining.top import Found

__all__ = ["DenseIndex", "Ids", "Recall", "Vectors", "search"]

_MEMORY_MB = 1024.0
Say = Callable[[str], None]


def search(
    queries: Shards | npt.NDArray[np.float32],
    passages: Shards | npt.NDArray[np.float32],
    depth: int,
    memory_mb: float = _MEMORY_MB,
    device: str = "auto",
) -> Found:
    """Return the (Q, k) scores and passage numbers of the best k = min(depth, passages), exactly.

    Equal scores are ordered by passage number, so the result does not depend on the memory that
    the search may take beside the result.
    """
    queries, passages = as_shards(queries), as_shards(passages)
    blocks = exact_top(queries, passages, depth, kernel_for(device), memory_mb)
    return _gathered(blocks, len(queries), min(depth, len(passages)))


@dataclass(frozen=True, slots=True)
class Recall:
    """How much of exact search an approximate index finds, on a sample."""

    queries: int
    at_10: float
    at_100: float
    window: float
    """Of the ranks that are asked for."""
    first: int
    last: int
    """The window's ranks, first..last - 1."""

    def __str__(self) -> str:
        return (
            f"recall on {self.queries} queries: R@10 {self.at_10:.4f}, R@100 {self.at_100:.4f}, "
            f"ranks {self.first}-{self.last} {self.window:.4f}"
        )


@dataclass(slots=True, weakref_slot=True)
class DenseIndex:
    """A corpus that can be searched; `build` makes one."""

    vectors: Shards
    config: IndexConfig
    factory: str = EXACT
    pieces: Pieces | None = None
    """What proposes candidates; None: exact search."""
    effort: Effort = field(default_factory=Effort)
    recall: Recall | None = None
    """What was measured when it was built; None for exact search."""

    @classmethod
    def build(
        cls,
        vectors: Shards | npt.NDArray[Any],
        config: IndexConfig | None = None,
        *,
        queries: Shards | npt.NDArray[Any] | None = None,
        depth: int = 100,
        first: int = 0,
        folder: str = "",
        say: Say | None = None,
    ) -> DenseIndex:
        """Build the index that the config names, or that its `auto` chooses for these queries.

        `queries` are those that will be searched: their number decides what auto takes, a sample of
        them tells the recall of ranks first..depth - 1; without any, the passages themselves are
        the queries. FAISS files go to `folder` (default: a temporary one that ends with the index).
        `say` is told what was chosen, why, and its recall.
        """
        config, say = config or IndexConfig(), say or _silent
        vectors = as_shards(vectors)
        asked = vectors if queries is None else as_shards(queries)
        choice = choose(config, len(vectors), vectors.width, len(asked))
        say(f"index {choice.factory}: {choice.why}")
        index = cls(vectors, config, choice.factory)
        if choice.factory == EXACT:
            return index
        if not folder:
            folder = tempfile.mkdtemp(prefix="threefold-index-")
            weakref.finalize(index, shutil.rmtree, folder, ignore_errors=True)
        index.pieces = build_pieces(
            vectors,
            choice.factory,
            folder,
            config.memory_mb,
            use_gpus=uses_faiss_gpus(config.device),
        )
        index._tune(_sample(asked, config.recall_queries), first, depth, say)
        return index

    def __len__(self) -> int:
        return len(self.vectors)

    def search(self, queries: Shards | npt.NDArray[Any], depth: int) -> Found:
        """Return (Q, k) scores and numbers, best first, equal scores by smaller number.

        k = min(depth, passages); what an approximate index does not find is -1, its score -inf.
        """
        queries = as_shards(queries)
        return _gathered(self.blocks(queries, depth), len(queries), min(depth, len(self)))

    def blocks(self, queries: Shards | npt.NDArray[Any], depth: int) -> Iterator[tuple[int, Found]]:
        """Yield (number of the first query, its block's scores and numbers), in bounded memory."""
        queries = as_shards(queries)
        if self.pieces is None:
            kernel = kernel_for(self.config.device)
            return exact_top(queries, self.vectors, depth, kernel, self.config.memory_mb)
        return self._proposed(self.pieces, queries, min(depth, len(self)), self.effort)

    def _proposed(
        self, pieces: Pieces, queries: Shards, depth: int, effort: Effort
    ) -> Iterator[tuple[int, Found]]:
        wanted = min(len(self), depth * effort.refine)
        rows = Budget.of(self.config.memory_mb, self.vectors.width, 3 * wanted).queries
        for start, block in queries.blocks(rows):
            _, candidates = pieces.propose(block, wanted, effort)
            yield start, decide(block, self.vectors, candidates, depth)

    def _tune(self, sample: Vectors, first: int, depth: int, say: Say) -> None:
        """Search as thoroughly as `min_recall` asks for; exactly where auto's index cannot."""
        import faiss

        assert self.pieces is not None
        one = faiss.read_index(self.pieces.files[0], faiss.IO_FLAG_MMAP_IFC)
        tried = efforts(self.config, lists_of(one), graph=is_graph(one))
        del one
        depth = min(max(depth, 100), len(self))
        exact = search(sample, self.vectors, depth, self.config.memory_mb, self.config.device)[1]
        found: Ids = exact

        def recall_of(effort: Effort) -> float:
            nonlocal found
            assert self.pieces is not None
            blocks = self._proposed(self.pieces, as_shards(sample), depth, effort)
            found = _gathered(blocks, len(sample), depth)[1]
            return min(recall(found, exact, 0, 100), recall(found, exact, first, depth))

        self.effort, reached = thorough_enough(tried, recall_of, self.config.min_recall)
        self.recall = Recall(
            len(sample),
            recall(found, exact, 0, 10),
            recall(found, exact, 0, 100),
            recall(found, exact, first, depth),
            first,
            depth,
        )
        say(f"index {self.factory} ({self.effort}): {self.recall}")
        if reached < self.config.min_recall:
            self._fall_back(say)

    def _fall_back(self, say: Say) -> None:
        wanted = f"mining.index.min_recall = {self.config.min_recall}"
        if self.config.factory != "auto":
            say(f"index {self.factory}: its recall is below {wanted}")
            return
        say(f"index {self.factory} does not reach {wanted}: searching exactly instead")
        self.factory, self.pieces, self.effort, self.recall = EXACT, None, Effort(), None


def _sample(queries: Shards, count: int) -> Vectors:
    """Return up to `count` queries, evenly spread."""
    places = np.linspace(0, len(queries) - 1, min(count, len(queries)))
    return queries.take(np.unique(places.astype(np.int64)))


def _gathered(blocks: Iterator[tuple[int, Found]], queries: int, depth: int) -> Found:
    scores = np.empty((queries, depth), np.float32)
    numbers = np.empty((queries, depth), np.int64)
    for start, found in blocks:
        rows = slice(start, start + len(found[0]))
        scores[rows], numbers[rows] = found
    return scores, numbers


def _silent(_: str) -> None:
    """Tell nobody."""
