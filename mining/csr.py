"""Sparse vectors of many texts, end to end: what the sparse index and BM25 are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from train.scoring import Texts, ragged

Ints = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Csr:
    """The positive token weights of N texts: each token once per text, in ascending order."""

    indptr: Ints
    """(N + 1,) where each text's tokens begin; the last entry is their number."""
    tokens: Tokens
    """Token ids of all texts, end to end."""
    weights: Floats
    """Their weights, > 0."""

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @classmethod
    def of(cls, texts: Texts) -> Csr:
        """Return the sparse vectors of embeddings; a repeated token has its largest weight."""
        flat = ragged(texts, ("sparse",))
        weights = flat.weights.detach().float().cpu()
        counts = flat.weight_counts.cpu()
        rows = torch.repeat_interleave(torch.arange(len(counts)), counts)
        return cls.from_entries(
            rows.numpy(), flat.ids.cpu().numpy(), weights.numpy(), len(counts), "largest"
        )

    @classmethod
    def from_entries(
        cls, rows: Ints, tokens: Ints, weights: Floats, size: int, repeated: str
    ) -> Csr:
        """Return the vectors of (text, token, weight) entries in any order, without weights of 0.

        A repeated token has its "largest" weight or the "sum" of its weights.
        """
        kept = weights > 0
        rows, tokens, weights = rows[kept], tokens[kept], weights[kept]
        order = np.lexsort((tokens, rows))
        rows, tokens, weights = rows[order], tokens[order], weights[order]
        first = np.ones(len(rows), np.bool_)
        first[1:] = (rows[1:] != rows[:-1]) | (tokens[1:] != tokens[:-1])
        starts = np.flatnonzero(first)
        joined = np.maximum if repeated == "largest" else np.add
        values = joined.reduceat(weights, starts) if len(starts) else weights
        indptr = np.zeros(size + 1, np.int64)
        np.cumsum(np.bincount(rows[starts], minlength=size), out=indptr[1:])
        return cls(indptr, tokens[starts].astype(np.int32), values.astype(np.float32))

    def rows(self, first: int, last: int) -> Csr:
        """Return views of the texts from `first` to before `last`."""
        span = slice(int(self.indptr[first]), int(self.indptr[last]))
        return Csr(
            self.indptr[first : last + 1] - self.indptr[first],
            self.tokens[span],
            self.weights[span],
        )

    def take(self, numbers: Sequence[int] | Ints) -> Csr:
        """Return the texts `numbers`, in this order."""
        chosen = np.asarray(numbers, np.int64)
        counts = np.diff(self.indptr)[chosen]
        indptr = np.zeros(len(chosen) + 1, np.int64)
        np.cumsum(counts, out=indptr[1:])
        shift = np.repeat(self.indptr[chosen] - indptr[:-1], counts)
        places = np.arange(indptr[-1]) + shift
        return Csr(indptr, self.tokens[places], self.weights[places])

    def dots(self, query: int, texts: Csr) -> Floats:
        """Return Σ w_q · w_t over shared tokens of one of these texts with T others: (T,)."""
        span = slice(int(self.indptr[query]), int(self.indptr[query + 1]))
        wanted, weights = self.tokens[span], self.weights[span]
        products = np.zeros(len(texts.tokens) + 1, np.float32)
        if len(wanted):
            at = np.minimum(np.searchsorted(wanted, texts.tokens), len(wanted) - 1)
            shared = wanted[at] == texts.tokens
            products[:-1] = np.where(shared, weights[at] * texts.weights, 0)
        sums = np.add.reduceat(products, texts.indptr[:-1]) if len(texts) else products[:0]
        return np.where(np.diff(texts.indptr) > 0, sums, 0).astype(np.float32)


def concatenate(parts: Iterable[Csr]) -> Csr:
    """Return the texts of all parts, one after the other."""
    listed = list(parts)
    if not listed:
        return Csr(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    indptr = np.zeros(1 + sum(map(len, listed)), np.int64)
    np.cumsum(np.concatenate([np.diff(part.indptr) for part in listed]), out=indptr[1:])
    return Csr(
        indptr,
        np.concatenate([part.tokens for part in listed]),
        np.concatenate([part.weights for part in listed]),
    )


def in_order(batches: Iterable[tuple[Ints, Csr]]) -> Csr:
    """Return texts that came in batches of (their numbers, their vectors) by number."""
    listed = list(batches)
    if not listed:
        return concatenate([])
    numbers = np.concatenate([numbers for numbers, _ in listed])
    return concatenate(part for _, part in listed).take(np.argsort(numbers))


def cut(parts: Iterable[Csr], size: int) -> Iterator[Csr]:
    """Yield the same texts in parts of `size`; the last may be smaller. Holds about one part."""
    waiting: list[Csr] = []
    for part in parts:
        waiting.append(part)
        while sum(map(len, waiting)) >= size:
            whole = concatenate(waiting)
            yield whole.rows(0, size)
            waiting = [whole.rows(size, len(whole))]
    if sum(map(len, waiting)):
        yield concatenate(waiting)


def as_weights(texts: Csr) -> list[dict[int, float]]:
    """Return the token weights of each text."""
    borders = texts.indptr.tolist()
    return [
        dict(zip(texts.tokens[a:b].tolist(), texts.weights[a:b].tolist(), strict=True))
        for a, b in pairwise(borders)
    ]
