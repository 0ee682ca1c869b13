"""Dropout on a CPU at the speed of the layers around it.

torch draws a float of noise for each element, 10 ns, and keeps it for the backward pass: a third
of a training step of a small encoder. Here 16 random bits decide about an element (1 ns), and the
backward pass draws the same bits again from the seed, so nothing is kept. The seed comes from
torch's generator, so a repeated forward pass (`train.passes`) repeats its dropout.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_LEVELS = 1 << 16
_CHUNK = 1 << 17  # elements whose bits, mask and values stay in a core's cache


def drawn_seed() -> int:
    """Return a seed from torch's generator."""
    return int(torch.randint(1 << 62, ()))


def bits_of(seed: int) -> np.random.Generator:
    """Return the generator of the random bits of a seed."""
    return np.random.Generator(np.random.SFC64(seed))


def kept(bits: np.random.Generator, count: int, share: float) -> Tensor:
    """Return (count,) int16 numbers, 1 where an element is kept, 0 for a `share` of them.

    The share is exact to 2^-17: an element is dropped where its 16 bits are below a limit.
    """
    words = bits.integers(0, (1 << 64) - 1, size=-(-count // 4), dtype=np.uint64, endpoint=True)
    limit = round(share * _LEVELS) - _LEVELS // 2
    drawn = torch.from_numpy(words.view(np.int16))[:count]
    return drawn.clamp_(limit - 1, limit).sub_(limit - 1)


def is_quick(values: Tensor, share: float) -> bool:
    """Tell whether this dropout can be done here: on a CPU, not inside a compiled graph."""
    return (
        1 / _LEVELS < share < 1 - 1 / _LEVELS
        and values.device.type == "cpu"
        and not torch.compiler.is_compiling()
    )


class Dropout(nn.Dropout):
    """`nn.Dropout`, faster where it is on a CPU."""

    def forward(self, values: Tensor) -> Tensor:
        """Return the values, in training a share of them 0 and the others scaled up."""
        if not self.training or not is_quick(values, self.p):
            return super().forward(values)
        found: Tensor = _Dropped.apply(values, self.p, drawn_seed())  # type: ignore[no-untyped-call]
        return found


class _Dropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, share: float, seed: int) -> Tensor:
        ctx.share, ctx.seed = share, seed
        return _dropped(values, share, seed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _dropped(gradient, ctx.share, ctx.seed), None, None


def _dropped(values: Tensor, share: float, seed: int) -> Tensor:
    bits = bits_of(seed)
    found = torch.empty_like(values, memory_format=torch.contiguous_format)
    flat, targets = (torch.split(side, _CHUNK) for side in (values.reshape(-1), found.view(-1)))
    for part, target in zip(flat, targets, strict=True):
        torch.mul(part, kept(bits, len(part), share), out=target).mul_(1 / (1 - share))
    return found


def quicken(module: nn.Module) -> None:
    """Put our dropout in the place of torch's, in all submodules."""
    for parent in module.modules():
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p))
