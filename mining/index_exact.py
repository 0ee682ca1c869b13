"""The exact best passages of each query, block by block, in bounded memory.

A matrix product proposes and single products decide: the last bits of a matrix product depend on
where a row lies in its block, so it only names candidates, `_SPARE` more than are wanted. Their
scores are then summed pair by pair in one order. What is found therefore depends on the vectors
alone: not on blocks, threads or devices, not on how the corpus is cut. Where the margin between the
last candidate and the last wanted one is smaller than the product's rounding error, the query is
asked again with eight times the candidates, so ties are complete, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mining.shards import Ids, Shards, Vectors, score_pairs
from mining.top import Found, partial_top, sorted_top

Kernel = Callable[[Vectors, Vectors, int], Found]
"""((q, d) queries, (p, d) passages, k <= p) → the best k of each query and their numbers."""

_SPARE = 16
_BLOCK_BYTES = 12 << 20  # passages at a time, as fp32: 8,192 of 384 numbers; more is slower
_LIBRARIES = 40 << 20  # what libraries take for themselves while they work
_KERNEL_QUERIES = 1024
_GROWTH = 8


@dataclass(frozen=True, slots=True)
class Budget:
    """How many queries and passages are in memory at a time."""

    queries: int
    passages: int

    @classmethod
    def of(cls, memory_mb: float, width: int, candidates: int) -> Budget:
        """Return what fits: a quarter for passages, a half for queries and their candidates.

        A query takes its vector and its candidates, each with what finding, merging and deciding it
        copies (128 bytes).
        """
        total = working_bytes(memory_mb)
        passages = int(min(_BLOCK_BYTES, total / 4) / (width * 4))
        queries = int(total / 2 / (width * 8 + candidates * 128))
        return cls(max(1, queries), max(256, passages))


def working_bytes(memory_mb: float) -> float:
    """Return what of a budget is left for blocks of vectors and scores."""
    total = memory_mb * (1 << 20)
    return max(total - _LIBRARIES, total / 4)


def exact_top(
    queries: Shards, passages: Shards, depth: int, kernel: Kernel, memory_mb: float
) -> Iterator[tuple[int, Found]]:
    """Yield (number of the first query, scores and numbers of a block's best), exactly.

    A list has min(depth, passages) columns, best first, equal scores by smaller number.
    """
    depth = min(depth, len(passages))
    budget = Budget.of(memory_mb, passages.width, depth + _SPARE)
    for start, block in queries.blocks(budget.queries):
        yield start, exact_block(block, passages, depth, kernel, memory_mb)


def exact_block(
    queries: Vectors, passages: Shards, depth: int, kernel: Kernel, memory_mb: float
) -> Found:
    """Return the exact best of queries that fit in memory together."""
    scores = np.empty((len(queries), depth), np.float32)
    numbers = np.empty((len(queries), depth), np.int64)
    open_queries, wanted = np.arange(len(queries)), depth + _SPARE
    while len(open_queries) and depth:
        wanted = min(wanted, len(passages))
        rows = Budget.of(memory_mb, passages.width, wanted)
        for start in range(0, len(open_queries), rows.queries):
            here = open_queries[start : start + rows.queries]
            scores[here], numbers[here], settled = _settled(
                queries[here], passages, depth, wanted, kernel, rows.passages
            )
            open_queries[start : start + rows.queries] = np.where(settled, -1, here)
        open_queries = open_queries[open_queries >= 0]
        wanted *= _GROWTH
    return scores, numbers


def _settled(
    queries: Vectors, passages: Shards, depth: int, wanted: int, kernel: Kernel, rows: int
) -> tuple[Vectors, Ids, Ids]:
    """Return scores, numbers and whether nothing outside the candidates can belong to them."""
    (rough, candidates), longest = propose(queries, passages, wanted, kernel, rows)
    scores, numbers = decide(queries, passages, candidates, depth)
    if candidates.shape[1] == len(passages):
        return scores, numbers, np.ones(len(queries), np.bool_)
    # |computed - true| of a sum of d products is at most d·u·|q|·|p|; both sides err
    error = 2 * passages.width * 2.0**-24 * longest * np.linalg.norm(queries, axis=1)
    return scores, numbers, rough.min(1) + error < scores[:, -1]


def propose(
    queries: Vectors, passages: Shards, wanted: int, kernel: Kernel, rows: int
) -> tuple[Found, float]:
    """Return the best `wanted` by the kernel's scores in no order, and the longest passage."""
    best: Found = (
        np.empty((len(queries), 0), np.float32),
        np.empty((len(queries), 0), np.int64),
    )
    longest = 0.0
    for first, block in passages.blocks(rows):
        longest = max(longest, float(np.einsum("nd,nd->n", block, block).max()) ** 0.5)
        scores, numbers = best
        merged = [
            partial_top(
                [
                    (scores[q : q + _KERNEL_QUERIES], numbers[q : q + _KERNEL_QUERIES]),
                    _numbered(
                        kernel(queries[q : q + _KERNEL_QUERIES], block, min(wanted, len(block))),
                        first,
                    ),
                ],
                wanted,
            )
            for q in range(0, len(queries), _KERNEL_QUERIES)
        ]
        best = np.concatenate([s for s, _ in merged]), np.concatenate([n for _, n in merged])
    return best, longest


def _numbered(found: Found, first: int) -> Found:
    scores, numbers = found
    return scores, np.where(numbers < 0, numbers, numbers + first)


def decide(queries: Vectors, passages: Shards, candidates: Ids, depth: int) -> Found:
    """Return the best `depth` of each query's candidates (Q, k) by their exact scores.

    Candidates of number -1 are none.
    """
    query, column = np.nonzero(candidates >= 0)
    scores = np.full(candidates.shape, -np.inf, np.float32)
    scores[query, column] = score_pairs(queries, passages, query, candidates[query, column])
    return sorted_top(scores, candidates, depth)
