"""Cross-entropy over a vocabulary in chunks: no (tokens, vocabulary) matrix ever exists whole."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

MAX_ELEMENTS = 1 << 25  # logits of a chunk: 134 MB; with XLM-R's 250,002 tokens 134 rows


def weighted_cross_entropy(
    states: Tensor,
    labels: Tensor,
    scales: Tensor,
    weight: Tensor,
    bias: Tensor,
    max_elements: int = MAX_ELEMENTS,
) -> tuple[Tensor, Tensor]:
    """Return Σ scale · CE and each row's CE (no gradient), CE = -log softmax(s · Wᵀ + b)[label].

    `states` (M, d), `labels` and `scales` (M,), `weight` (V, d), `bias` (V,), all fp32. The
    gradients are computed with the loss, while a chunk's logits are there: no logit is computed
    twice, and there is one (V, d) gradient.
    """
    found: tuple[Tensor, Tensor] = _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        states, labels, scales, weight, bias, max_elements
    )
    return found


class _ChunkedCrossEntropy(Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        labels: Tensor,
        scales: Tensor,
        weight: Tensor,
        bias: Tensor,
        max_elements: int,
    ) -> tuple[Tensor, Tensor]:
        learned = ((states, 0), (weight, 3), (bias, 4))
        gradients = [torch.zeros_like(t) if ctx.needs_input_grad[i] else None for t, i in learned]
        losses = states.new_empty(len(states))
        size = max(1, max_elements // len(weight))
        for first in range(0, len(states), size):
            rows = slice(first, first + size)
            logits = torch.addmm(bias, states[rows], weight.T)
            log_sum = logits.logsumexp(1, keepdim=True)
            own = labels[rows, None]
            losses[rows] = (log_sum - logits.gather(1, own)).squeeze(1)
            slopes = logits.sub_(log_sum).exp_()
            slopes.scatter_add_(1, own, slopes.new_full(own.shape, -1.0)).mul_(scales[rows, None])
            _add(gradients, rows, states[rows], weight, slopes)
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(losses)
        return (losses * scales).sum(), losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        states, weight, bias = (
            None if gradient is None else gradient * slope for gradient in ctx.saved_tensors
        )
        return states, None, None, weight, bias, None


def _add(
    gradients: list[Tensor | None], rows: slice, states: Tensor, weight: Tensor, slopes: Tensor
) -> None:
    """Add a chunk's part to the gradients of states, weight and bias."""
    if gradients[0] is not None:
        gradients[0][rows] = slopes @ weight
    if gradients[1] is not None:
        gradients[1].addmm_(slopes.T, states)
    if gradients[2] is not None:
        gradients[2] += slopes.sum(0)
