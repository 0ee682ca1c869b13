"""One step of a phase: gradients, the look at the loss, the optimizer."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn

from train import launch, sharding
from train.batch_loss import StepLoss
from train.batching import Batch
from train.data import prefetched
from train.distributed import World
from train.fits import Fits
from train.fresh import Overlay
from train.guard import Guard
from train.log import StepReport
from train.model import M3Model
from train.optimizer import parameter_groups
from train.plan import Phase
from train.rows import RowReader
from train.schedule import rate_factor
from train.tasks import Task, task_of
from train.work import Work


@dataclass(slots=True)
class Learner:
    """A phase with its optimizer. What a step does follows from (seed, phase, step, process)."""

    model: M3Model
    phase: Phase
    guard: Guard
    fits: Fits
    task: Task = field(init=False)
    optimizer: torch.optim.Optimizer = field(init=False)
    _peaks: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.task = task_of(self.model, self.phase)
        config, parts = self.phase.config, self.phase.parts
        groups = parameter_groups(self.model, config, parts, self.task.helper)
        self._peaks = [group["lr"] for group in groups]
        self.optimizer = torch.optim.AdamW(groups, fused=True)

    def texts(self, first: int, end: int, overlay: Overlay | None = None) -> Generator[Work]:
        """Yield this process's texts of each step, read and tokenized while the last one trains.

        `overlay` lays fresh negatives over the rows.
        """
        seed = self.phase.config.seed
        reader = RowReader(self.phase.layout, self.phase.stage.data, seed)

        def read(job: tuple[int, Batch]) -> Work:
            step, batch = job
            generator = np.random.default_rng([seed, batch.epoch, step])
            rows = reader.read(batch)
            return self.task.read(overlay(rows) if overlay else rows, generator)

        batches = islice(self.phase.batches(first, launch.rank()), end - first)
        try:
            yield from prefetched(enumerate(batches, first), read)
        finally:
            reader.close()

    def learn(self, step: int, work: Work, share: float) -> StepReport:
        """Take a step, counted from 0; raise `TrainingError` where the loss forbids it.

        `share` is how much of the run is done then.
        """
        started = time.monotonic()
        rate = self._set_rates(step)
        loss = self._gradients(step, work)
        norm = self._clipped_norm()
        self.guard.check(loss.total, loss.parts, norm, work.ids)
        self.optimizer.step()
        sums = World.current(self.model.device).sum([len(work.ids), work.size, work.cut])
        rows, tokens, cut = map(int, sums)
        return StepReport(
            phase=self.phase.name,
            step=step + 1,
            steps=self.phase.steps,
            share=share,
            loss=loss.total,
            parts=loss.parts,
            counts=loss.counts,
            rows=rows,
            tokens=tokens,
            cut=cut,
            batch_tokens=self.fits.tokens(self.phase, step),
            seconds=time.monotonic() - started,
            learning_rate=rate,
            gradient_norm=norm,
        )

    def _gradients(self, step: int, work: Work) -> StepLoss:
        """Take the gradients of a step, with fewer tokens at once where memory runs out."""
        seed = _seed(self.phase.config.seed, self.phase.number, step, launch.rank())
        while True:
            torch.manual_seed(seed)
            self.optimizer.zero_grad(set_to_none=True)
            with suppress(torch.OutOfMemoryError):
                return self.task.backward(work, self.fits.tokens(self.phase, step))
            self.fits.lower(self.phase, step, work.longest)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def state(self) -> dict[str, Any]:
        """Return the optimizer's state and the weights of what is trained beside the model."""
        helper = self.task.helper
        return {
            "optimizer": sharding.whole(self.optimizer.state_dict()),
            "helper": helper.state_dict() if helper is not None else {},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        sharding.load_optimizer(self.optimizer, state["optimizer"])
        if self.task.helper is not None:
            self.task.helper.load_state_dict(state["helper"])

    def _set_rates(self, step: int) -> float:
        """Set the rates of a step; return the first group's."""
        config = self.phase.config
        factor = rate_factor(step, self.phase.steps, config.warmup_share, config.schedule)
        for group, peak in zip(self.optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * factor
        return self._peaks[0] * factor

    def _clipped_norm(self) -> float:
        """Scale the gradients down to the largest norm allowed; return what it was."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self.phase.config.max_gradient_norm)
        return float(sharding.whole(norm))


def _seed(*numbers: int) -> int:
    """Return a seed that differs for any other list of numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
