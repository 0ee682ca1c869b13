"""The objective: InfoNCE per head and for their sum, and self-knowledge distillation.

Equations are numbered as in the paper's section 3.2 (version 4, the final one).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from train.loss_config import LossConfig
from train.scoring import weighted_sum

# Stands for -inf, below any score that the config allows: its probability is 0, and 0 · it is 0.
_EXCLUDED = -1e30


@dataclass(frozen=True, slots=True)
class Loss:
    """The total, differentiable, and its parts as numbers for the log."""

    total: Tensor
    parts: dict[str, float]


def m3_loss(
    scores: tuple[Tensor, Tensor, Tensor],
    targets: Tensor,
    config: LossConfig,
    excluded: Tensor | None = None,
) -> Loss:
    """Return the loss of (Q, P) dense, sparse and multi-vector scores.

    `targets` (Q,) are the columns of the positives; `excluded` (Q, P) marks passages that must
    not count as negatives (copies of a query's positive).

    s_inter = w1·s_dense + w2·s_lex + w3·s_mul
    L  = (λ1·L_dense + λ2·L_lex + λ3·L_mul + L_inter) / 4
    L' = (λ1·L'_dense + λ2·L'_lex + λ3·L'_mul) / 3,   L'_* = -p(s_inter)·log p(s_*)
    L_final = (L + L') / 2
    """
    heads = [_scaled(score, config.temperature, excluded) for score in scores]
    ensemble = _scaled(weighted_sum(*scores, config.ensemble_weights), config.temperature, excluded)
    own = [info_nce(head, targets) for head in heads]
    together = info_nce(ensemble, targets)
    total = (_weighted(own, config.loss_weights) + together) / 4
    parts = {"dense": own[0], "sparse": own[1], "multi_vector": own[2], "ensemble": together}
    if config.self_distillation:
        learned = [distillation(ensemble, head) for head in heads]
        distilled = _weighted(learned, config.loss_weights) / 3
        parts["distillation"] = distilled
        total = (total + distilled) / 2
    return Loss(total, {name: float(value.detach()) for name, value in parts.items()})


def info_nce(scores: Tensor, targets: Tensor) -> Tensor:
    """Return -log(exp(s(q, p*)) / Σ_p exp(s(q, p))), averaged; scores are divided by τ already."""
    return functional.cross_entropy(scores, targets)


def distillation(teacher: Tensor, student: Tensor) -> Tensor:
    """Return -p(teacher)·log p(student), averaged over queries; no gradient to the teacher."""
    target = functional.softmax(teacher.detach(), dim=-1)
    return -(target * functional.log_softmax(student, dim=-1)).sum(-1).mean()


def _scaled(scores: Tensor, temperature: float, excluded: Tensor | None) -> Tensor:
    scaled = scores / temperature
    return scaled if excluded is None else scaled.masked_fill(excluded, _EXCLUDED)


def _weighted(losses: list[Tensor], weights: tuple[float, float, float]) -> Tensor:
    return torch.stack([w * loss for w, loss in zip(weights, losses, strict=True)]).sum()


def false_negatives(passage_keys: Tensor, positive_keys: Tensor, targets: Tensor) -> Tensor:
    """Return the (Q, P) mask of passages that are copies of a query's positive.

    Keys are integers that are equal for equal texts: `passage_keys` (P,), `positive_keys` (Q, K)
    padded with -1. The positive's own column `targets` stays.
    """
    equal = (passage_keys[None, :, None] == positive_keys[:, None, :]).any(-1)
    return equal.scatter(1, targets[:, None], False)
