"""A batch of five questions, a model without luck, and comparisons of gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tests.builders import training_rows
from train.batch_loss import StepLoss
from train.data import TextBatch, collate
from train.loss_config import LossConfig
from train.model import M3Model
from train.step import Execution, backward, tokenize_batch

WHOLE = 1 << 20
LOSS = LossConfig(temperature=0.2)  # with 0.02 random vectors give losses near 30

Gradients = dict[str, torch.Tensor | None]


def rows_of_questions(count: int = 5) -> list[dict[str, Any]]:
    """Rows of unequal lengths, with scores of a teacher in all but the last."""
    return [
        {
            "id": row.id,
            "query": row.query * (1 + n % 2),
            "positives": [row.positives[0][: 40 + 25 * (n % 5)]],
            "negatives": row.negatives,
            "positive_scores": [0.9],
            "negative_scores": [0.1 * n, 0.4] if n < count - 1 else [],
        }
        for n, row in enumerate(training_rows(count))
    ]


def questions(rows: list[dict[str, Any]] | None = None) -> TextBatch:
    """The batch of the rows; the second passage of the first row is a known positive too."""
    rows = rows_of_questions() if rows is None else rows
    batch = collate(rows, 2, np.random.default_rng(0), "scores")
    known = [list(keys) for keys in batch.positive_keys]
    known[0].append(batch.passage_keys[1])
    return replace(batch, positive_keys=known)


def set_dropout(model: M3Model, share: float) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share
    for layer in model.encoder.encoder.layer:
        layer.attention.self.dropout_prob = share


def run_step(
    model: M3Model,
    batch: TextBatch,
    execution: Execution,
    loss: LossConfig = LOSS,
    *,
    dropout: float = 0.0,
) -> tuple[StepLoss, Gradients]:
    """Return the loss and all gradients of one step from the same random state."""
    set_dropout(model, dropout)
    model.train()
    model.zero_grad(set_to_none=True)
    torch.manual_seed(7)
    found = backward(model, batch, tokenize_batch(model, batch), loss, execution)
    return found, gradients_of(model)


def gradients_of(model: M3Model) -> Gradients:
    return {n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}


def largest_difference(a: Gradients, b: Gradients) -> float:
    """Return the largest difference relative to the largest entry of its tensor."""
    assert a.keys() == b.keys()
    worst = 0.0
    for name, gradient in a.items():
        other = b[name]
        if gradient is None or other is None:
            assert gradient is other, name
        else:
            scale = float(gradient.abs().max()) + 1e-3
            worst = max(worst, float((gradient - other).abs().max()) / scale)
    return worst
