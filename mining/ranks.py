"""The rank of a query's own passage among a pool, exactly, in bounded memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from mining.encode import Vectors

Half = npt.NDArray[np.float16]
Ids = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

_QUERY_ROWS = 1024  # with block_rows = 16,384 the scores of a block are 64 MB


def own_scores(queries: Half, positives: Half) -> Vectors:
    """Return the (Q,) inner products of (Q, d) queries with their own positives."""
    products: Vectors = np.einsum(
        "qd,qd->q", queries.astype(np.float32), positives.astype(np.float32), dtype=np.float32
    )
    return products


def without_rivals(own: Ids, documents: Keys, pool_documents: Keys) -> tuple[Ids, Ids]:
    """Return (query, place) pairs that do not compete, sorted by place in the pool.

    They are the own positive (`own` is its place, -1 outside the pool) and all passages of its
    document: chosen by the query's topic, they are no random sample. Document 0 is none.
    """
    order = np.argsort(pool_documents, kind="stable")
    known = pool_documents[order]
    low, high = (np.searchsorted(known, documents, side=side) for side in ("left", "right"))
    counts = np.where(documents == 0, 0, high - low)
    queries = np.repeat(np.arange(len(own)), counts)
    offsets = np.arange(len(queries)) - np.repeat(np.cumsum(counts) - counts, counts)
    inside = np.flatnonzero(own >= 0)
    queries = np.concatenate([inside, queries])
    places = np.concatenate([own[inside], order[np.repeat(low, counts) + offsets]])
    by_place = np.argsort(places, kind="stable")
    return queries[by_place], places[by_place]


def ranks_among(
    queries: Half,
    scores: Vectors,
    ignored: tuple[Ids, Ids],
    pool: Half,
    device: torch.device,
    block_rows: int = 16_384,
) -> npt.NDArray[np.int32]:
    """Return for each query 1 + the number of pool passages that score above its own positive.

    `scores` (Q,) are those of the own positives; the (query, place) pairs `ignored` do not count.
    The (P, d) pool stays in half precision, one block of it is widened at a time.
    """
    above = torch.zeros(len(queries), dtype=torch.int32, device=device)
    for low in range(0, len(pool), block_rows):
        block = _widened(pool[low : low + block_rows], device)
        first, last = np.searchsorted(ignored[1], [low, low + len(block)])
        who, place = ignored[0][first:last], ignored[1][first:last] - low
        for start in range(0, len(queries), _QUERY_ROWS):
            rows = slice(start, start + _QUERY_ROWS)
            own = torch.from_numpy(scores[rows]).to(device)[:, None]
            better = _widened(queries[rows], device) @ block.T > own
            here = (who >= start) & (who < start + _QUERY_ROWS)
            better[torch.from_numpy(who[here] - start), torch.from_numpy(place[here])] = False
            above[rows] += better.sum(1, dtype=torch.int32)
    ranks: npt.NDArray[np.int32] = (above + 1).cpu().numpy()
    return ranks


def _widened(vectors: Half, device: torch.device) -> torch.Tensor:
    """Return a copy as fp32 on the device: torch takes no read-only memory map."""
    return torch.from_numpy(np.array(vectors)).to(device).float()
