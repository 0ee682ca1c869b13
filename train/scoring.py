"""The scores of M3: dense, sparse, multi-vector and their weighted sum.

Losses, mining, re-ranking and evaluation all call these functions. Scores are computed in
fp32 whatever the encoder's precision (MaxSim summed in bf16 made a loss 5 times too large,
reference: mining_training). Notation: Q queries of Lq tokens, P passages of Lp tokens,
width d.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Elements of the largest intermediate of the multi-vector score: 64 Mi fp32 = 256 MB.
MAX_ELEMENTS = 1 << 26


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What the model says of N texts padded to L tokens."""

    dense: Tensor
    """(N, d) L2-normalised."""
    weights: Tensor
    """(N, L) sparse weights, >= 0; 0 at special and padding tokens."""
    vectors: Tensor
    """(N, L, c) L2-normalised token vectors."""
    ids: Tensor
    """(N, L) token ids."""
    mask: Tensor
    """(N, L) True where a token vector counts: not at the first token, not at padding."""

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, index: Tensor | slice) -> Embeddings:
        """Return the embeddings of some of the texts."""
        return Embeddings(
            self.dense[index],
            self.weights[index],
            self.vectors[index],
            self.ids[index],
            self.mask[index],
        )

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the three differentiable parts."""
        return self.dense, self.weights, self.vectors


def concatenate(parts: list[Embeddings]) -> Embeddings:
    """Join embeddings of texts padded to different lengths; padding is masked everywhere."""
    length = max(part.ids.shape[1] for part in parts)

    def padded(tensor: Tensor) -> Tensor:
        missing = length - tensor.shape[1]
        return torch.nn.functional.pad(tensor, [0, 0] * (tensor.dim() - 2) + [0, missing])

    return Embeddings(
        torch.cat([part.dense for part in parts]),
        torch.cat([padded(part.weights) for part in parts]),
        torch.cat([padded(part.vectors) for part in parts]),
        torch.cat([padded(part.ids) for part in parts]),
        torch.cat([padded(part.mask) for part in parts]),
    )


def dense_scores(queries: Embeddings, passages: Embeddings) -> Tensor:
    """Return s_dense = <norm(Hq[0]), norm(Hp[0])>, shape (Q, P) (paper, section 3.1)."""
    return queries.dense.float() @ passages.dense.float().T


def sparse_scores(queries: Embeddings, passages: Embeddings) -> Tensor:
    """Return s_lex = Σ over shared tokens of w_q · w_p, shape (Q, P) (paper, section 3.1).

    A repeated token counts with its largest weight. Only the U distinct tokens of the queries
    can be shared, so the matrices are (Q, U) and (P, U), never vocabulary-sized.
    """
    vocabulary = torch.unique(queries.ids)
    query_matrix = sparse_matrix(queries.weights, queries.ids, vocabulary)
    return query_matrix @ sparse_matrix(passages.weights, passages.ids, vocabulary).T


def sparse_matrix(weights: Tensor, ids: Tensor, vocabulary: Tensor) -> Tensor:
    """Return the (N, U) matrix of each text's largest weight per token of a sorted vocabulary.

    `weights` and `ids` are (N, L); tokens outside the vocabulary fall into a column that is cut.
    """
    column = torch.searchsorted(vocabulary, ids.contiguous()).clamp(max=len(vocabulary) - 1)
    column = torch.where(vocabulary[column] == ids, column, len(vocabulary))
    matrix = weights.new_zeros(len(ids), len(vocabulary) + 1, dtype=torch.float32)
    matrix = matrix.scatter_reduce(1, column, weights.float(), reduce="amax", include_self=True)
    return matrix[:, :-1]


def multi_vector_scores(
    queries: Embeddings, passages: Embeddings, max_elements: int = MAX_ELEMENTS
) -> Tensor:
    """Return s_mul = 1/N Σ_i max_j Eq[i]·Ep[j], shape (Q, P) (paper, section 3.1).

    Padding takes no part in the maximum, so a pair's score does not depend on its batch.
    Passages are taken in chunks: the (tokens of all queries) x (chunk) x Lp products are the
    peak, and the backward pass keeps only the positions of the maxima.
    """
    rows, _ = queries.mask.nonzero(as_tuple=True)
    tokens = queries.vectors[queries.mask].float()
    counts = queries.mask.sum(1).clamp(min=1).float()
    width = passages.ids.shape[1]
    chunk = max(1, max_elements // max(1, len(tokens) * width))
    best = [
        _best_matches(tokens, passages.vectors[i : i + chunk], passages.mask[i : i + chunk])
        for i in range(0, len(passages), chunk)
    ]
    sums = tokens.new_zeros(len(queries), len(passages))
    return sums.index_add(0, rows, torch.cat(best, dim=1)) / counts[:, None]


def _best_matches(tokens: Tensor, vectors: Tensor, mask: Tensor) -> Tensor:
    """Return for T query tokens (T, c) the best match in each passage (p, Lp, c): (T, p)."""
    count, length, width = vectors.shape
    products = tokens @ vectors.float().reshape(-1, width).T
    hidden = torch.zeros_like(mask, dtype=torch.float32).masked_fill(~mask, -torch.inf)
    best = (products.view(-1, count, length) + hidden).max(dim=-1).values
    return torch.where(mask.any(1), best, 0.0)  # a passage without tokens matches nothing


@dataclass(frozen=True, slots=True)
class Packed:
    """Token vectors of many texts end to end, without padding."""

    vectors: Tensor
    """(T, c) the vectors of all texts."""
    starts: Tensor
    """(N + 1,) where each text's vectors begin; the last entry is T."""


def pack(parts: list[Embeddings]) -> Packed:
    """Join the token vectors of embeddings, leaving padding out."""
    counts = torch.cat([part.mask.sum(1) for part in parts])
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Packed(torch.cat([part.vectors[part.mask] for part in parts]), starts)


def multi_vector_rescore(query: Embeddings, passages: Packed, numbers: Tensor) -> Tensor:
    """Return s_mul of one query with the passages `numbers` (K,), each with >= 1 token: (K,)."""
    counts = (passages.starts[1:] - passages.starts[:-1])[numbers]
    ends = counts.cumsum(0)
    within = torch.arange(int(ends[-1]), device=ends.device)
    index = within + torch.repeat_interleave(passages.starts[numbers] - (ends - counts), counts)
    products = passages.vectors[index].float() @ query.vectors[query.mask].float().T
    best = torch.segment_reduce(products, "max", lengths=counts, axis=0)
    return best.mean(1)


def weighted_sum(
    dense: Tensor, sparse: Tensor, multi_vector: Tensor, weights: tuple[float, float, float]
) -> Tensor:
    """Return s_inter = w1·s_dense + w2·s_lex + w3·s_mul (paper, section 3.2)."""
    return weights[0] * dense + weights[1] * sparse + weights[2] * multi_vector


def all_scores(queries: Embeddings, passages: Embeddings) -> tuple[Tensor, Tensor, Tensor]:
    """Return the (Q, P) scores of the three heads."""
    return (
        dense_scores(queries, passages),
        sparse_scores(queries, passages),
        multi_vector_scores(queries, passages),
    )
