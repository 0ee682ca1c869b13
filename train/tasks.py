"""What a stage does with rows: reads texts out of them, and turns them into gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from train.batch_loss import StepLoss
from train.config import TrainConfig
from train.data import TextBatch, collate
from train.model import M3Model
from train.passes import Passes
from train.plan import Phase
from train.precision import resolve_precision
from train.retromae import AutoEncoding
from train.step import Execution, backward
from train.work import Work, lower_limit, random_tokens, tokenized


class Task(Protocol):
    """How a stage trains."""

    @property
    def helper(self) -> nn.Module | None:
        """What is trained beside the model and dropped after the stage."""

    def read(self, rows: Sequence[dict[str, Any]], generator: np.random.Generator) -> Work:
        """Return the texts of rows; called in another thread than `backward`."""

    def backward(self, work: Work, budget: int) -> StepLoss:
        """Accumulate gradients, encoding `budget` tokens at once; every process calls it."""

    @property
    def longest(self) -> int:
        """The limit of a text in tokens."""

    def sample(self, rows: int, length: int) -> Work:
        """Return random rows with texts of a length, to measure with."""

    def encode(self, texts: int, length: int) -> None:
        """Take one sub-batch of random texts forward and back, in this process alone."""


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

    @property
    def longest(self) -> int:
        """The limit of a passage in tokens."""
        stage = self.phase.stage
        return lower_limit(self.model.config.max_passage_tokens, stage.max_passage_tokens)

    def sample(self, rows: int, length: int) -> Work:
        """Return random queries, each with a positive and as many negatives as the stage takes."""
        group = 1 + self.phase.config.negatives
        limit = lower_limit(self.model.config.max_query_tokens, self.phase.stage.max_query_tokens)
        shortened = min(length, limit)
        passages = random_tokens(self.model, rows * group, length)
        targets = list(range(0, rows * group, group))
        batch = TextBatch(
            ids=[""] * rows,
            queries=[""] * rows,
            passages=[""] * len(passages),
            passage_keys=list(range(len(passages))),
            positive_keys=[[target] for target in targets],
            targets=targets,
        )
        return Work(batch.ids, (random_tokens(self.model, rows, shortened), passages), batch)

    def encode(self, texts: int, length: int) -> None:
        """Take one sub-batch of random texts forward and back, in this process alone."""
        config = self.phase.config
        rows, everything = random_tokens(self.model, texts, length), [np.arange(texts)]
        dtype = resolve_precision(config.precision, self.model.device)
        passes = Passes(self.model, rows, everything, config.loss.heads, "plain", dtype)
        (part,) = passes.forward()
        passes.backward([[torch.ones_like(t) for t in part.tensors()]])


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
