"""MCLS: several CLS tokens for a long text, at inference only (paper, appendix B.2).

For encoders that were not trained on long texts: one CLS sees too little of 8,192 tokens, so every
stretch of tokens gets its own, and the dense vector is the mean of their states.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Spread:
    """Texts with CLS tokens put in."""

    ids: Tensor
    """(N, L + e) token ids."""
    mask: Tensor
    """(N, L + e) the attention mask."""
    own: Tensor
    """(L,) the columns of the texts' own tokens."""
    marks: Tensor
    """(e + 1,) the columns of the CLS tokens, the first among them."""


def extra_tokens(length: int, every: int) -> int:
    """Return how many CLS tokens a text of `length` tokens gets beside its first."""
    return max(0, length - 2) // every


def spread(ids: Tensor, mask: Tensor, every: int, cls: int, pad: int) -> Spread:
    """Put `cls` before every `every` tokens of (N, L) ids, after those that follow the first CLS.

    The places do not depend on the text's length, so a text meets the same tokens in any batch;
    where a text has ended its CLS is padding. Texts of up to `every` + 1 tokens get none.
    """
    length = ids.shape[1]
    places = torch.arange(length, device=ids.device)
    own = places + (places - 1).clamp(min=0) // every
    followed = places[1 + every :: every]
    extra = own[followed] - 1
    there = mask[:, followed]
    total = length + len(extra)
    wide, wide_mask = ids.new_full((len(ids), total), pad), mask.new_zeros(len(ids), total)
    wide[:, own], wide_mask[:, own] = ids, mask
    wide[:, extra], wide_mask[:, extra] = torch.where(there.bool(), cls, pad), there
    return Spread(wide, wide_mask, own, torch.cat([own[:1], extra]))


def pooled(hidden: Tensor, spread_texts: Spread) -> Tensor:
    """Return the mean state (N, d) of each text's CLS tokens, from states (N, L + e, d)."""
    weight = spread_texts.mask[:, spread_texts.marks, None].to(hidden.dtype)
    return (hidden[:, spread_texts.marks] * weight).sum(1) / weight.sum(1)
