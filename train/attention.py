"""Attention among the tokens of each text, texts laid end to end without padding, on a CPU.

Without dropout torch's kernel does it, text by text. With dropout torch has no kernel for a CPU
that keeps less than all (tokens x tokens) probabilities, and its noise takes longer than all else:
30 ns a probability, forward and back; here 14. So:

    P = softmax(Q Kᵀ / √w),  O = (P ∘ M) V / (1 - p)        M: 1 for kept, 0 for dropped
    dV = (P ∘ M)ᵀ dO,  dP = (dO Vᵀ) ∘ M,  dS = P ∘ (dP - Σ dP ∘ P) / √w
    dQ = dS K,  dK = dSᵀ Q                                  dO divided by 1 - p before

in chunks of query tokens that stay in a core's cache; the backward pass computes P and draws M
anew.
Memory is linear in the tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

from train.dropout import bits_of, drawn_seed, is_quick, kept

_CHUNK = 1 << 17  # probabilities at once: 0.5 MB


def attention(
    query: Tensor, key: Tensor, value: Tensor, lengths: Sequence[int], scale: float, share: float
) -> Tensor:
    """Return (T, heads, w) of query, key and value (heads, T, w) of texts of so many tokens.

    `share` is that of the probabilities that are dropped. fp32 inside, whatever comes in.
    """
    if is_quick(query, share):
        with torch.autocast("cpu", enabled=False):
            found: Tensor = _Attention.apply(  # type: ignore[no-untyped-call]
                query.float(),
                key.float(),
                value.float(),
                tuple(lengths),
                scale,
                share,
                drawn_seed(),
            )
        return found.to(query.dtype)
    parts = [torch.split(side, list(lengths), dim=1) for side in (query, key, value)]
    texts = [
        scaled_dot_product_attention(q[None], k[None], v[None], scale=scale, dropout_p=share)[0]
        for q, k, v in zip(*parts, strict=True)
    ]
    return torch.cat(texts, dim=1).transpose(0, 1)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        lengths: tuple[int, ...],
        scale: float,
        share: float,
        seed: int,
    ) -> Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.options = lengths, scale, share, seed
        found = query.new_empty(query.shape[1], query.shape[0], value.shape[2])
        out, bits = found.transpose(0, 1), bits_of(seed)
        for rows, text in _chunks(lengths, len(query)):
            probable = _probabilities(query[:, rows], key[:, text], scale)
            probable.mul_(kept(bits, probable.numel(), share).view_as(probable))
            out[:, rows] = torch.bmm(probable, value[:, text])
        return found.mul_(1 / (1 - share))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value = ctx.saved_tensors
        lengths, scale, share, seed = ctx.options
        of_query, of_key, of_value = (torch.zeros_like(t) for t in (query, key, value))
        gradient, bits = gradient.transpose(0, 1) * (1 / (1 - share)), bits_of(seed)
        for rows, text in _chunks(lengths, len(query)):
            given, q, k = gradient[:, rows], query[:, rows], key[:, text]
            probable = _probabilities(q, k, scale)
            mask = kept(bits, probable.numel(), share).view_as(probable)
            of_value[:, text] += torch.bmm((probable * mask).transpose(1, 2), given)
            slope = torch.bmm(given, value[:, text].transpose(1, 2)).mul_(mask)
            slope = torch._softmax_backward_data(slope, probable, -1, slope.dtype)
            of_query[:, rows] = torch.bmm(slope, k)
            of_key[:, text] += torch.bmm(slope.transpose(1, 2), q)
        return of_query.mul_(scale), of_key.mul_(scale), of_value, None, None, None, None


def _probabilities(query: Tensor, key: Tensor, scale: float) -> Tensor:
    return torch.bmm(query * scale, key.transpose(1, 2)).softmax(-1)


def _chunks(lengths: Sequence[int], heads: int) -> Iterator[tuple[slice, slice]]:
    """Yield (places of some query tokens, places of their text)."""
    start = 0
    for length in lengths:
        end = start + length
        step = max(1, _CHUNK // max(1, heads * length))
        for first in range(start, end, step):
            yield slice(first, min(end, first + step)), slice(start, end)
        start = end


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    *,
    text_lengths: Sequence[int] = (),
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers asks its implementations to; `text_lengths` of texts end to end."""
    if not text_lengths:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        found: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
        return found
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return attention(query[0], key[0], value[0], text_lengths, scale, dropout)[None], None
