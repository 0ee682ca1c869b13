"""The scores of M3: dense, sparse, multi-vector and their weighted sum.

Losses, mining, re-ranking and evaluation all call these functions. Scores are computed in
fp32 whatever the encoder's precision (MaxSim summed in bf16 made a loss 5 times too large,
reference: mining_training). Notation: Q queries of Lq tokens, P passages of Lp tokens,
width d.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from train.loss_config import HEADS
from train.maxsim import MAX_ELEMENTS, maxsim
from train.ragged import Ragged


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What the model says of N texts padded to L tokens."""

    dense: Tensor
    """(N, d) L2-normalised."""
    weights: Tensor
    """(N, L) sparse weights, >= 0; 0 at special and padding tokens."""
    vectors: Tensor
    """(N, L, c) L2-normalised token vectors; c = 0 where they were not asked for."""
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


# FSDP looks for the tensors of a model's output in containers that it knows.
torch.export.register_dataclass(Embeddings)

Texts = Embeddings | Ragged


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


def ragged(texts: Texts, heads: Sequence[str] = HEADS) -> Ragged:
    """Return embeddings without padding and without the heads that are not wanted.

    The mask of `Embeddings` leaves out the first token, which keeps its place among the weights:
    not every tokenizer puts a special token there.
    """
    if isinstance(texts, Ragged):
        return texts
    real = texts.mask.clone()
    real[:, 0] = True
    real = real if "sparse" in heads else torch.zeros_like(real)
    inner = texts.mask if "multi_vector" in heads else torch.zeros_like(real)
    return Ragged(
        texts.dense if "dense" in heads else texts.dense[:, :0],
        texts.weights[real],
        texts.vectors[inner],
        texts.ids[real],
        real.sum(1),
        inner.sum(1),
    )


def dense_scores(queries: Texts, passages: Texts, width: int = 0) -> Tensor:
    """Return s_dense = <norm(Hq[0]), norm(Hp[0])>, shape (Q, P) (paper, section 3.1).

    With a `width` the vectors are cut to it and normalised again (Matryoshka).
    """
    q, p = queries.dense.float(), passages.dense.float()
    if width:
        q, p = (normalize(side[:, :width], dim=-1) for side in (q, p))
    return q @ p.T


def sparse_scores(queries: Texts, passages: Texts) -> Tensor:
    """Return s_lex = Σ over shared tokens of w_q · w_p, shape (Q, P) (paper, section 3.1).

    A repeated token counts with its largest weight. Only the U distinct tokens of the queries
    can be shared, so the matrices are (Q, U) and (P, U), never vocabulary-sized.
    """
    q, p = ragged(queries), ragged(passages)
    vocabulary = torch.unique(q.ids)
    return sparse_matrix(q, vocabulary) @ sparse_matrix(p, vocabulary).T


def sparse_matrix(texts: Ragged, vocabulary: Tensor) -> Tensor:
    """Return the (N, U) matrix of each text's largest weight per token of a sorted vocabulary."""
    row = torch.repeat_interleave(
        torch.arange(len(texts), device=texts.ids.device), texts.weight_counts
    )
    matrix = texts.weights.new_zeros(len(texts) * len(vocabulary), dtype=torch.float32)
    if len(vocabulary):
        column = torch.searchsorted(vocabulary, texts.ids).clamp(max=len(vocabulary) - 1)
        wanted = vocabulary[column] == texts.ids
        index = (row * len(vocabulary) + column)[wanted]
        weights = texts.weights.float()[wanted]
        matrix = matrix.scatter_reduce(0, index, weights, reduce="amax", include_self=True)
    return matrix.view(len(texts), len(vocabulary))


def multi_vector_scores(
    queries: Texts, passages: Texts, max_elements: int = MAX_ELEMENTS
) -> Tensor:
    """Return s_mul = 1/N Σ_i max_j Eq[i]·Ep[j], shape (Q, P) (paper, section 3.1).

    Padding takes no part in the maximum, so a pair's score does not depend on its batch.
    """
    q, p = ragged(queries), ragged(passages)
    return maxsim(
        q.vectors.float(), q.vector_counts, p.vectors.float(), p.vector_counts, max_elements
    )


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


def weighted_sum(scores: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return s_inter = w1·s_dense + w2·s_lex + w3·s_mul (paper, section 3.2)."""
    pairs = zip(scores, weights, strict=True)
    return torch.stack([weight * score for score, weight in pairs]).sum(0)


_SCORES: dict[str, Callable[[Texts, Texts], Tensor]] = {
    "dense": dense_scores,
    "sparse": sparse_scores,
    "multi_vector": multi_vector_scores,
}


def all_scores(queries: Texts, passages: Texts, heads: Sequence[str] = HEADS) -> tuple[Tensor, ...]:
    """Return the (Q, P) scores of the heads, in the order dense, sparse, multi-vector."""
    return tuple(_SCORES[head](queries, passages) for head in HEADS if head in heads)
