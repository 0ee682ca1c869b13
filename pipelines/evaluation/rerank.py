"""Multi-vector scores of chosen pairs of query and document, one document at a time.

Each document's tokens are multiplied with the tokens of all queries that want it: one product per
document, whatever the number of queries, and no (Q, P) matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipelines.evaluation.encoding import Encoded, Encoder, Ints
from train.scoring import ragged

Floats = npt.NDArray[np.float32]
_ELEMENTS = 1 << 22  # of the largest product: 16 MB in fp32, which a CPU's cache nearly holds


def multi_vector(
    queries: Encoded, documents: Encoded, texts: Sequence[str], numbers: Ints, encoder: Encoder
) -> Floats:
    """Return s_mul of each query with the documents of its row of `numbers`: (Q, k) fp32.

    Number -1 is no document and scores -inf. Documents whose token vectors were not kept are
    encoded again.
    """
    tokens = [queries.vectors[i].float().to(encoder.model.device) for i in range(len(numbers))]
    rows, columns = np.nonzero(numbers >= 0)
    wanted = numbers[rows, columns]
    order = np.argsort(wanted, kind="stable")
    rows, columns, wanted = rows[order], columns[order], wanted[order]
    scores = np.full(numbers.shape, -np.inf, np.float32)
    distinct, starts = np.unique(wanted, return_index=True)
    ends = dict(
        zip(distinct.tolist(), zip(starts, [*starts[1:], len(wanted)], strict=True), strict=True)
    )
    for number, vectors in _vectors(distinct, documents, texts, encoder):
        span = slice(*ends[number])
        scores[rows[span], columns[span]] = _scores(tokens, rows[span], vectors)
    return scores


def _vectors(
    numbers: Ints, documents: Encoded, texts: Sequence[str], encoder: Encoder
) -> Iterator[tuple[int, Tensor]]:
    """Yield (number, token vectors (L, c) in fp32), those that were kept first."""
    missing = []
    for number in numbers.tolist():
        if number in documents.vectors:
            yield number, documents.vectors[number].float().to(encoder.model.device)
        else:
            missing.append(number)
    for places, found in encoder.batches([texts[n] for n in missing], is_query=False):
        part = ragged(found, ("multi_vector",))
        # Rounded as those that were kept: which they are must not show in the scores.
        split = torch.split(part.vectors.half().float(), part.vector_counts.tolist())
        for place, vectors in zip(places.tolist(), split, strict=True):
            yield missing[place], vectors


def _scores(tokens: Sequence[Tensor], rows: Ints, vectors: Tensor) -> Floats:
    """Return s_mul of one document with the queries `rows`, in groups of bounded size."""
    found = []
    for group in _groups(tokens, rows, len(vectors)):
        counts = torch.tensor([len(tokens[row]) for row in group], device=vectors.device)
        if not len(vectors):
            found.append(torch.zeros(len(group)))
            continue
        best = (torch.cat([tokens[row] for row in group]) @ vectors.T).max(1).values
        sums = torch.segment_reduce(best, "sum", lengths=counts, axis=0)
        found.append((sums / counts.clamp(min=1)).cpu())
    result: Floats = torch.cat(found).numpy()
    return result


def _groups(tokens: Sequence[Tensor], rows: Ints, length: int) -> Iterator[list[int]]:
    room = max(1, _ELEMENTS // max(1, length))
    group: list[int] = []
    size = 0
    for row in rows.tolist():
        if group and size + len(tokens[row]) > room:
            yield group
            group, size = [], 0
        group.append(row)
        size += len(tokens[row])
    yield group
