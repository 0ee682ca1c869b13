"""The multi-vector score with a backward pass that costs a lookup.

torch's own graph of a chunked maximum multiplies zeros: the gradient of the products is a
(T, chunk) matrix with one entry per passage. Here the positions of the maxima are kept, 4 bytes
per (query token, passage), and both gradients are weighted sums of the vectors at them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Elements of the largest intermediate: 4 Mi fp32 = 16 MB, which a CPU's cache holds (0.62 s instead
# of 0.79 at 64 Mi for 1,536 query tokens with 384 passages of 96 tokens; less slows the backward).
MAX_ELEMENTS = 1 << 22


def starts_of(lengths: Tensor) -> Tensor:
    """Return where each of N texts begins when they lie end to end, and the end: (N + 1,)."""
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])


class _MaxSim(torch.autograd.Function):
    """(T, c) query tokens, (S, c) passage tokens → (Q, P) sums of best matches."""

    @staticmethod
    def forward(
        ctx: Any,
        tokens: Tensor,
        vectors: Tensor,
        rows: Tensor,
        lengths: Tensor,
        queries: int,
        max_elements: int,
    ) -> Tensor:
        scores = tokens.new_zeros(queries, len(lengths))
        best = torch.zeros(len(tokens), len(lengths), dtype=torch.int32, device=tokens.device)
        starts = starts_of(lengths)
        places_at_once = max_elements // max(1, len(tokens), tokens.shape[1])
        for passages, index in _chunks(lengths, starts, places_at_once):
            step = max(1, max_elements // max(1, index.numel()))
            real = index < starts[passages + 1][:, None]
            # A place beyond a text's end repeats its last vector: the maximum stays.
            index = torch.where(real, index, starts[passages + 1][:, None] - 1)
            block = vectors[index.view(-1)].T
            for first in range(0, len(tokens), step):
                part = slice(first, first + step)
                products = (tokens[part] @ block).view(-1, *index.shape)
                values, places = products.max(dim=-1)
                best[part, passages] = torch.gather(index, 1, places.T).T.int()
                sums = tokens.new_zeros(queries, len(passages)).index_add_(0, rows[part], values)
                scores[:, passages] += sums
        ctx.save_for_backward(tokens, vectors, rows, lengths, best)
        ctx.max_elements = max_elements
        return scores

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        tokens, vectors, rows, lengths, best = ctx.saved_tensors
        gradient = gradient * (lengths > 0)  # a passage without tokens is no function of any
        of_tokens = torch.zeros_like(tokens)
        of_vectors = torch.zeros_like(vectors)
        if not vectors.numel():
            return of_tokens, of_vectors, None, None, None, None
        step = max(1, ctx.max_elements // (8 * max(1, len(lengths))))
        for first in range(0, len(tokens), step):
            part = slice(first, first + step)
            weights = gradient[rows[part]]
            places = best[part].long()
            of_tokens[part] = _sum_at(vectors, places, weights)
            _add_at(of_vectors, tokens[part], places, weights)
        return of_tokens, of_vectors, None, None, None, None


def _chunks(lengths: Tensor, starts: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """Return (passages (p,), places (p, L) of their tokens), of near-equal length, p · L <= size.

    A passage longer than `size` is alone; one without tokens is in no chunk.
    """
    order = torch.argsort(lengths, descending=True, stable=True)
    sizes = lengths[order].tolist()
    count = sum(1 for length in sizes if length)
    chunks = []
    first = 0
    while first < count:
        last = min(count, first + max(1, size // sizes[first]))
        passages = order[first:last]
        within = torch.arange(sizes[first], device=lengths.device)
        chunks.append((passages, starts[passages][:, None] + within))
        first = last
    return chunks


def _sum_at(vectors: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    """Return Σ_p weights[t, p] · vectors[places[t, p]] for each t: (T, c)."""
    return functional.embedding_bag(places, vectors, mode="sum", per_sample_weights=weights)


def _add_at(total: Tensor, tokens: Tensor, places: Tensor, weights: Tensor) -> None:
    """Add weights[t, p] · tokens[t] to total[places[t, p]], in one order on every device."""
    flat, order = places.view(-1).sort(stable=True)
    touched, counts = torch.unique_consecutive(flat, return_counts=True)
    sums = functional.embedding_bag(
        order // places.shape[1],
        tokens,
        starts_of(counts)[:-1],
        mode="sum",
        per_sample_weights=weights.reshape(-1)[order],
    )
    total[touched] += sums


def maxsim(
    tokens: Tensor,
    token_counts: Tensor,
    vectors: Tensor,
    lengths: Tensor,
    max_elements: int = MAX_ELEMENTS,
) -> Tensor:
    """Return s_mul = 1/N Σ_i max_j Eq[i]·Ep[j], shape (Q, P) (paper, section 3.1).

    `tokens` (T, c) are the vectors of Q queries end to end, `token_counts` (Q,) how many each
    has; `vectors` (S, c) and `lengths` (P,) the same of P passages. No intermediate has more than
    `max_elements` elements, or one query token's with one passage. A text without vectors scores 0.
    """
    rows = torch.repeat_interleave(
        torch.arange(len(token_counts), device=tokens.device), token_counts
    )
    sums: Tensor = _MaxSim.apply(  # type: ignore[no-untyped-call]
        tokens, vectors, rows, lengths, len(token_counts), max_elements
    )
    return sums / token_counts.clamp(min=1).to(sums.dtype)[:, None]
