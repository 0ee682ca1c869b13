"""Embeddings of texts end to end, without padding: what a step keeps, sends and scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Ragged:
    """The embeddings of N texts; a head that is left out has no rows."""

    dense: Tensor
    """(N, d) L2-normalised."""
    weights: Tensor
    """(S,) sparse weights of all texts' tokens, end to end."""
    vectors: Tensor
    """(T, c) L2-normalised token vectors of all texts, end to end."""
    ids: Tensor
    """(S,) token ids of the weights."""
    weight_counts: Tensor
    """(N,) how many weights each text has."""
    vector_counts: Tensor
    """(N,) how many vectors each text has."""

    def __len__(self) -> int:
        return len(self.weight_counts)

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the three differentiable parts."""
        return self.dense, self.weights, self.vectors

    def with_tensors(self, dense: Tensor, weights: Tensor, vectors: Tensor) -> Ragged:
        """Return the same texts with other differentiable parts."""
        return Ragged(dense, weights, vectors, self.ids, self.weight_counts, self.vector_counts)

    def texts(self, first: int, last: int) -> Ragged:
        """Return views of the texts from `first` to before `last`."""
        weights = _span(self.weight_counts, first, last)
        vectors = _span(self.vector_counts, first, last)
        return Ragged(
            self.dense[first:last],
            self.weights[weights],
            self.vectors[vectors],
            self.ids[weights],
            self.weight_counts[first:last],
            self.vector_counts[first:last],
        )


def _span(counts: Tensor, first: int, last: int) -> slice:
    start = int(counts[:first].sum())
    return slice(start, start + int(counts[first:last].sum()))


def assemble(parts: Sequence[Ragged], order: Sequence[int]) -> Ragged:
    """Return the texts `order` of the parts laid end to end."""
    pieces = [piece for part in parts for piece in _pieces(part)]
    dense, weights, vectors, ids = (
        torch.cat([getattr(parts[0], name)[:0], *(pieces[i][k] for i in order)])
        for k, name in enumerate(("dense", "weights", "vectors", "ids"))
    )
    index = torch.as_tensor(order, dtype=torch.long, device=dense.device)
    weight_counts = torch.cat([part.weight_counts for part in parts])[index]
    vector_counts = torch.cat([part.vector_counts for part in parts])[index]
    return Ragged(dense, weights, vectors, ids, weight_counts, vector_counts)


def _pieces(part: Ragged) -> Iterator[tuple[Tensor, ...]]:
    """Yield views of each text's dense vector, weights, token vectors and ids."""
    weights, vectors = part.weight_counts.tolist(), part.vector_counts.tolist()
    return zip(
        torch.split(part.dense, 1),
        torch.split(part.weights, weights),
        torch.split(part.vectors, vectors),
        torch.split(part.ids, weights),
        strict=True,
    )


def map_tensors(texts: Ragged, change: Callable[[Tensor], Tensor]) -> Ragged:
    """Return the same texts with each differentiable part changed."""
    dense, weights, vectors = map(change, texts.tensors())
    return texts.with_tensors(dense, weights, vectors)
