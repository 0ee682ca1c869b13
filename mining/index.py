"""Nearest passages by inner product, with FAISS."""

from __future__ import annotations

import faiss
import numpy as np
import numpy.typing as npt

from mining.encode import Vectors

Ids = npt.NDArray[np.int64]


def search(
    queries: Vectors, passages: Vectors, depth: int, batch: int = 4096
) -> tuple[Vectors, Ids]:
    """Return the (Q, k) scores and passage numbers of the best k = min(depth, passages), exactly.

    Equal scores are ordered by passage number, so the result does not depend on the batch.
    """
    index = faiss.IndexFlatIP(passages.shape[1])
    index.add(np.ascontiguousarray(passages, np.float32))
    depth = min(depth, len(passages))
    scores = np.empty((len(queries), depth), np.float32)
    ids = np.empty((len(queries), depth), np.int64)
    for start in range(0, len(queries), batch):
        block = slice(start, start + batch)
        scores[block], ids[block] = index.search(
            np.ascontiguousarray(queries[block], np.float32), depth
        )
    order = np.lexsort((ids, -scores), axis=1)
    return np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)
