"""What a stage does with rows: reads texts out of them, and turns them into gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import nn

from train.config import TrainConfig
from train.data import collate
from train.model import M3Model
from train.plan import Phase
from train.precision import resolve_precision
from train.retromae import AutoEncoding
from train.step import Execution, StepLoss, backward
from train.work import Work, tokenized


class Task(Protocol):
    """How a stage trains."""

    @property
    def helper(self) -> nn.Module | None:
        """What is trained beside the model and dropped after the stage."""

    def read(self, rows: Sequence[dict[str, Any]], generator: np.random.Generator) -> Work:
        """Return the texts of rows; called in another thread than `backward`."""

    def backward(self, work: Work, budget: int) -> StepLoss:
        """Accumulate gradients, encoding `budget` tokens at once."""


@dataclass(slots=True)
class Retrieval:
    """Queries find their passages: all stages but retromae."""

    model: M3Model
    phase: Phase
    helper: nn.Module | None = None

    def read(self, rows: Sequence[dict[str, Any]], generator: np.random.Generator) -> Work:
        """Return the texts of training rows or pairs."""
        found = [_as_training(row) for row in rows]
        loss = self.phase.config.loss
        teacher = loss.teacher_columns if loss.teacher != "none" else ""
        batch = collate(found, self.phase.config.negatives, generator, teacher)
        own, stage = self.model.config, self.phase.stage
        queries, cut = tokenized(
            self.model,
            batch.queries,
            own.query_prompt,
            own.max_query_tokens,
            stage.max_query_tokens,
        )
        passages, cut_passages = tokenized(
            self.model,
            batch.passages,
            own.passage_prompt,
            own.max_passage_tokens,
            stage.max_passage_tokens,
        )
        return Work(batch.ids, (queries, passages), batch, cut=cut + cut_passages)

    def backward(self, work: Work, budget: int) -> StepLoss:
        """Accumulate the gradients of the loss of the batch."""
        assert work.batch is not None
        tokens = (work.tokens[0], work.tokens[1])
        execution = execution_of(self.model, self.phase.config, budget)
        return backward(self.model, work.batch, tokens, self.phase.config.loss, execution)


def execution_of(model: M3Model, config: TrainConfig, budget: int) -> Execution:
    """Return how a step is computed on the model's device."""
    dtype = resolve_precision(config.precision, model.device)
    return Execution(budget=budget, memory=config.memory, dtype=dtype)


def _as_training(row: dict[str, Any]) -> dict[str, Any]:
    """Return a pair as a training row without negatives; a training row as it is."""
    if "positives" in row:
        return row
    lists = {"positives": [row["positive"]], "negatives": []}
    return row | lists | {"positive_ids": [row["document_id"]], "negative_ids": []}


def task_of(model: M3Model, phase: Phase) -> Task:
    """Return how a phase trains."""
    return AutoEncoding(model, phase) if phase.stage.kind == "retromae" else Retrieval(model, phase)
