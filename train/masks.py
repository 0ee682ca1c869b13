"""Which tokens are hidden, as a function of (seed of the text, positions): nothing is stored.

The same question has the same answer whatever the sub-batch or chunk it is asked in, and again in
the backward pass; all of it happens on the device, as a few integer operations a position.
"""

from __future__ import annotations

import torch
from torch import Tensor

_MASK = (1 << 32) - 1
_ENCODER, _DECODER = 1, 2  # what a random number is for


def mixed(value: Tensor) -> Tensor:
    """Return well-mixed 32-bit numbers of int64 ones below 2^32 (two rounds of xor and multiply).

    The factor is below 2^31, so no product leaves int64.
    """
    for _ in range(2):
        value = ((value >> 16) ^ value) * 0x45D9F3B & _MASK
    return (value >> 16) ^ value


def uniform(seeds: Tensor, use: int, *positions: Tensor) -> Tensor:
    """Return numbers in [0, 1) of seeds and positions, int64 and broadcast against each other."""
    value = mixed(seeds & _MASK) ^ mixed((seeds >> 32 & _MASK) + use)
    for position in positions:
        value = mixed((value + position * 0x9E3779B1) & _MASK)
    return value.double() / (1 << 32)


def hidden_tokens(maskable: Tensor, seeds: Tensor, share: float) -> Tensor:
    """Return which of the (N, L) maskable tokens the encoder does not see.

    Of n maskable tokens round(share · n) are hidden, one at least; `seeds` is (N,).
    """
    places = torch.arange(maskable.shape[1], device=maskable.device)
    order = uniform(seeds[:, None], _ENCODER, places).masked_fill(~maskable, 2.0)
    rank = order.argsort(1).argsort(1)
    return maskable & (rank < hidden_counts(maskable.sum(1), share)[:, None])


def hidden_counts(lengths: Tensor, share: float) -> Tensor:
    """Return how many of so many maskable tokens are hidden."""
    return (lengths * share).round().long().maximum(lengths.clamp(max=1))


def visible_tokens(real: Tensor, seeds: Tensor, queries: Tensor, share: float) -> Tensor:
    """Return the (N, q, L) mask of what each decoder position attends to (enhanced decoding).

    Position i sees the text's vector (place 0) and of the other real tokens a sample of its own,
    from which `share` of them are missing; never itself. `queries` (q,) are the positions.
    """
    keys = torch.arange(real.shape[1], device=real.device)
    drawn = uniform(seeds[:, None, None], _DECODER, queries[:, None], keys) >= share
    own = queries[:, None] == keys
    return (drawn & ~own & real[:, None, :]) | (keys == 0)
