"""The objective: InfoNCE per head and for their sum, self-knowledge distillation, a teacher.

Equations (1) to (5) are those of the paper's section "Self-Knowledge Distillation" (version 4, the
final one), in its order; the numbers are ours, as the copy at hand prints none. All are means over
queries: a process that has some of a batch's queries divides by the number of all, so that the sum
over processes (or over slices of queries) is the loss of the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from train.loss_config import HEADS, LossConfig
from train.scoring import weighted_sum

# Stands for -inf, below any score that the config allows: its probability is 0, and 0 · it is 0.
_EXCLUDED = -1e30


@dataclass(frozen=True, slots=True)
class Loss:
    """The total, differentiable, its parts as numbers for the log, and what was left out."""

    total: Tensor
    parts: dict[str, float]
    masked: int = 0
    """(query, passage) pairs that are no negatives: the excluded and those above the margin."""


@dataclass(frozen=True, slots=True)
class Teaching:
    """A teacher's scores of some passages of each query; the first is the query's positive."""

    columns: Tensor
    """(Q, G) columns of the passages."""
    scores: Tensor
    """(Q, G)"""
    real: Tensor
    """(Q, G) False where a row has fewer than G; a row without scores is False throughout."""

    def slice(self, rows: slice) -> Teaching:
        """Return the teaching of some of the queries."""
        return Teaching(self.columns[rows], self.scores[rows], self.real[rows])

    def to(self, device: torch.device) -> Teaching:
        """Return the same on a device."""
        return Teaching(self.columns.to(device), self.scores.to(device), self.real.to(device))


@dataclass(frozen=True, slots=True)
class Divisors:
    """How many queries the means run over, here and in other processes."""

    queries: float
    taught: float = 1.0
    """Those that have teacher scores."""


def m3_loss(
    scores: Sequence[Tensor],
    targets: Tensor,
    config: LossConfig,
    excluded: Tensor | None = None,
    *,
    prefixes: Sequence[Tensor] = (),
    teaching: Teaching | None = None,
    divisors: Divisors | None = None,
) -> Loss:
    """Return the loss of (Q, P) scores of the heads that learn, in the order of `HEADS`.

    `targets` (Q,) are the columns of the positives; `excluded` (Q, P) marks passages that must
    not count as negatives; `prefixes` are the dense scores at the widths of `config.matryoshka`.

    L_* = -log(exp(s_*(q, p*)/τ) / Σ_p exp(s_*(q, p)/τ))                  (1) info_nce
    s_inter = w1·s_dense + w2·s_lex + w3·s_mul                            (2) weighted_sum
    L  = (λ1·L_dense + λ2·L_lex + λ3·L_mul + L_inter) / 4                 (3)
    L'_* = -p(s_inter)·log p(s_*)                                         (4) distillation
    L' = (λ1·L'_dense + λ2·L'_lex + λ3·L'_mul) / 3,  L_final = (L + L')/2 (5)

    With two heads 4 and 3 are 3 and 2; with one the loss is its InfoNCE.
    """
    divisors = divisors or Divisors(len(targets), len(targets))
    names = [head for head in HEADS if head in config.heads]
    ensemble = weighted_sum(scores, _of_heads(config.ensemble_weights, names))  # (2)
    compared = ensemble if config.false_negative_score == "ensemble" else scores[0]
    excluded = _with_margin(excluded, compared, targets, config.false_negative_margin)

    def logits(score: Tensor) -> Tensor:
        return (score / config.temperature).masked_fill(excluded, _EXCLUDED)

    heads = [logits(score) for score in scores]
    own = {n: info_nce(s, targets, divisors.queries) for n, s in zip(names, heads, strict=True)}
    if prefixes:
        losses = [info_nce(logits(score), targets, divisors.queries) for score in prefixes]
        own["dense"] = _average(losses, config.matryoshka_weights)
    total, parts = _combined(own, heads, logits(ensemble), targets, config, divisors)
    if teaching is not None and config.teacher != "none":
        parts["teacher"] = _taught([*scores, ensemble], teaching, excluded, config, divisors.taught)
        total = total + config.teacher_weight * parts["teacher"]
    return Loss(total, {n: float(v.detach()) for n, v in parts.items()}, int(excluded.sum()))


def _combined(
    own: dict[str, Tensor],
    heads: Sequence[Tensor],
    ensemble: Tensor,
    targets: Tensor,
    config: LossConfig,
    divisors: Divisors,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return L_final and its parts from the heads' losses and logits."""
    if len(own) == 1:
        return next(iter(own.values())), dict(own)
    weights = _of_heads(config.loss_weights, list(own))
    together = info_nce(ensemble, targets, divisors.queries)
    total = (weighted_sum(list(own.values()), weights) + together) / (len(own) + 1)  # (3)
    parts = {**own, "ensemble": together}
    if config.self_distillation:
        learned = [distillation(ensemble, head, divisors.queries) for head in heads]
        parts["distillation"] = weighted_sum(learned, weights) / len(own)  # (5)
        total = total + parts["distillation"]
        total = total / 2 if config.combine == "mean" else total
    return total, parts


def loss_parts(config: LossConfig) -> list[str]:
    """Return the names of the parts that `m3_loss` tells, in their order."""
    names = [head for head in HEADS if head in config.heads]
    if len(names) > 1:
        names.append("ensemble")
        names += ["distillation"] if config.self_distillation else []
    return names + (["teacher"] if config.teacher != "none" else [])


def info_nce(scores: Tensor, targets: Tensor, count: float = 0) -> Tensor:
    """Return Σ_q -log(exp(s(q, p*)) / Σ_p exp(s(q, p))) / count: equation (1).

    Scores are divided by τ already. `count` 0: the number of queries, a mean.
    """
    total = functional.cross_entropy(scores, targets, reduction="sum")
    return total / (count or max(1, len(targets)))


def distillation(teacher: Tensor, student: Tensor, count: float = 0) -> Tensor:
    """Return Σ_q -p(teacher)·log p(student) / count, equation (4); no gradient to the teacher."""
    target = functional.softmax(teacher.detach(), dim=-1)
    total = -(target * functional.log_softmax(student, dim=-1)).sum()
    return total / (count or max(1, len(teacher)))


def above_positive(scores: Tensor, targets: Tensor, margin: float) -> Tensor:
    """Return the (Q, P) mask of passages with a score above the positive's plus a margin.

    A difference, not a ratio: it means the same for negative scores. The positive is never marked.
    """
    scores = scores.detach()
    above = scores > scores.gather(1, targets[:, None]) + margin
    return above.scatter(1, targets[:, None], False)


def _with_margin(
    excluded: Tensor | None, compared: Tensor, targets: Tensor, margin: float
) -> Tensor:
    if excluded is None:
        excluded = torch.zeros_like(compared, dtype=torch.bool)
    return excluded | above_positive(compared, targets, margin) if margin else excluded


def kl(teacher: Tensor, student: Tensor) -> Tensor:
    """Return Σ p(teacher)·(log p(teacher) - log p(student)) of each row."""
    target, found = (functional.log_softmax(side, dim=-1) for side in (teacher, student))
    return functional.kl_div(found, target, reduction="none", log_target=True).sum(-1)


def margin_mse(teacher: Tensor, student: Tensor, real: Tensor) -> Tensor:
    """Return each row's mean of ((s_0 - s_j) - (t_0 - t_j))² over its real j > 0."""
    gaps = (student[:, :1] - student) - (teacher[:, :1] - teacher)
    others = real[:, 1:]
    return (gaps[:, 1:].square() * others).sum(-1) / others.sum(-1).clamp(min=1)


def _taught(
    scores: Sequence[Tensor],
    teaching: Teaching,
    excluded: Tensor,
    config: LossConfig,
    count: float,
) -> Tensor:
    """Return the teacher's loss: kl of heads and ensemble, weighted as (3), or the ensemble's mse.

    `scores` are those of the heads, then the ensemble's. A row's group is the passages that the
    teacher scored, without the excluded.
    """
    scores = scores if len(scores) > 2 else scores[:1]
    real = teaching.real & ~excluded.gather(1, teaching.columns)
    wanted = teaching.scores / config.teacher_temperature
    groups = [score.gather(1, teaching.columns) for score in scores]
    if config.teacher == "margin-mse":
        gaps = margin_mse(wanted, groups[-1], real)
        return (gaps * real[:, 0]).sum() / max(1.0, count)
    wanted = wanted.masked_fill(~real, _EXCLUDED)
    students = [(group / config.temperature).masked_fill(~real, _EXCLUDED) for group in groups]
    losses = [(kl(wanted, s) * real[:, 0]).sum() / max(1.0, count) for s in students]
    if len(losses) == 1:
        return losses[0]
    names = [head for head in HEADS if head in config.heads]
    weights = [*_of_heads(config.loss_weights, names), 1.0]
    return weighted_sum(losses, weights) / len(losses)


def _of_heads(weights: Sequence[float], names: Sequence[str]) -> list[float]:
    return [weight for head, weight in zip(HEADS, weights, strict=True) if head in names]


def _average(losses: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    weights = weights or [1.0] * len(losses)
    return weighted_sum(losses, weights) / sum(weights)
