"""The training loop: phases of batches, an optimizer, checkpoints to go on from.

Everything a step does follows from (seed, phase, epoch, step): batches, drawn positives and
dropout. A run that was stopped and went on ends with the same weights as one that was not.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import torch
from torch import nn

from curation import storage
from curation.errors import ConfigError, InputError, TrainingError
from train.batching import Batch
from train.config import TrainConfig
from train.data import prefetched
from train.model import M3Model
from train.plan import Phase
from train.precision import compile_encoder
from train.rows import RowReader
from train.step import StepLoss
from train.tasks import Task, task_of
from train.work import Work


@dataclass(frozen=True, slots=True)
class StepReport:
    """What happened in a step, for the progress line and the log."""

    phase: str
    step: int
    steps: int
    """The step's number in its phase, from 1, and the phase's steps."""
    share: float
    """How much of all phases is done (0..1)."""
    loss: float
    parts: dict[str, float]
    tokens: int
    cut: int
    """Texts that were longer than the limit."""
    seconds: float
    learning_rate: float
    gradient_norm: float


def prepare(model: M3Model, config: TrainConfig) -> None:
    """Set dropout and freeze what the config names; raise `ConfigError` for unknown parts."""
    if config.dropout >= 0:
        for name, module in model.encoder.named_modules():
            if isinstance(module, nn.Dropout) or "dropout" in name.rpartition(".")[2]:
                module.p = config.dropout
    names = [name for name, _ in model.encoder.named_parameters()]
    for part in config.freeze:
        frozen = [n for n in names if f".{part}." in f".{n}"]
        if not frozen:
            parts = sorted({".".join(n.split(".")[:1]) for n in names})
            raise ConfigError(
                f"train.freeze: {part!r} is no part of the encoder ({parts}, layer.N)"
            )
        for name in frozen:
            model.encoder.get_parameter(name).requires_grad_(False)


def parameter_groups(
    model: M3Model, config: TrainConfig, parts: Collection[str], helper: nn.Module | None = None
) -> list[dict[str, Any]]:
    """Return AdamW's groups: matrices and vectors (no decay) of encoder and helper, heads."""
    modules = [model.encoder] * ("encoder" in parts) + [helper] * (helper is not None)
    encoder = [p for module in modules for p in module.parameters() if p.requires_grad]
    heads = [*model.sparse_linear.parameters(), *model.colbert_linear.parameters()]
    heads *= "heads" in parts
    groups = [
        ([p for p in encoder if p.dim() > 1], config.learning_rate, config.weight_decay),
        ([p for p in encoder if p.dim() <= 1], config.learning_rate, 0.0),
        (heads, config.head_learning_rate, 0.0),
    ]
    return [{"params": p, "lr": rate, "weight_decay": d} for p, rate, d in groups if p]


def rate_factor(step: int, steps: int, warmup_share: float) -> float:
    """Return the learning rate's factor at a step: linear up, then linear down to 0."""
    warmup = round(steps * warmup_share)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(0.0, (steps - step) / max(1, steps - warmup))


@dataclass(slots=True)
class Trainer:
    """Runs phases and saves its state to `work` every so many steps."""

    model: M3Model
    config: TrainConfig
    phases: Sequence[Phase]
    work: str
    log_path: str
    on_step: Callable[[StepReport], None]
    _encoder_trains: list[bool] = field(default_factory=list)
    _all_steps: int = 0

    def run(self) -> None:
        """Train all phases from the last saved state, if there is one."""
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ConfigError(
                "training on several processes is not implemented; run without torchrun"
            )
        prepare(self.model, self.config)
        if self.config.compile:
            compile_encoder(self.model)
        self._encoder_trains = [p.requires_grad for p in self.model.encoder.parameters()]
        self._all_steps = sum(phase.steps for phase in self.phases)
        start_phase, start_step = self._load_position()
        done = sum(phase.steps for phase in self.phases[:start_phase]) + start_step
        with self._open_log(done) as log:
            for number, phase in enumerate(self.phases):
                if number >= start_phase:
                    first = start_step if number == start_phase else 0
                    self._run_phase(number, phase, first, done - first, log)
                    done += phase.steps - first

    def _open_log(self, done: int) -> IO[str]:
        """Open the log behind its first `done` lines, one a step: later steps are run again."""
        os.makedirs(os.path.dirname(self.log_path), exist_ok=True)
        kept: list[str] = []
        if done and os.path.exists(self.log_path):
            with open(self.log_path, encoding="utf-8") as log:
                kept = log.readlines()[:done]
        log = open(self.log_path, "w", encoding="utf-8")  # noqa: SIM115 - the caller closes it
        log.writelines(kept)
        return log

    def _run_phase(self, number: int, phase: Phase, first: int, before: int, log: IO[str]) -> None:
        """Train a phase from its step `first`; `before` counts the steps of earlier phases."""
        self._set_trainable(phase)
        task = task_of(self.model, phase)
        groups = parameter_groups(self.model, phase.config, phase.parts, task.helper)
        rates = [group["lr"] for group in groups]
        optimizer = torch.optim.AdamW(groups, fused=True)
        if first:
            optimizer.load_state_dict(self._load("optimizer.pt"))
        steps = phase.steps
        for step, work in enumerate(self._texts(phase, task, first), first):
            started = time.monotonic()
            torch.manual_seed(self.config.seed * 1_000_003 + number * 500_009 + step)
            factor = rate_factor(step, steps, phase.config.warmup_share)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            loss, norm = self._step(optimizer, task, work, phase.config.batch_tokens)
            report = StepReport(
                phase=phase.name,
                step=step + 1,
                steps=steps,
                share=(before + step + 1) / self._all_steps,
                loss=loss.total,
                parts=loss.parts,
                tokens=work.size,
                cut=work.cut,
                seconds=time.monotonic() - started,
                learning_rate=optimizer.param_groups[0]["lr"],
                gradient_norm=norm,
            )
            log.write(json.dumps({k: getattr(report, k) for k in report.__slots__}) + "\n")
            log.flush()
            self.on_step(report)
            if (step + 1) % self.config.save_steps == 0 and step + 1 < steps:
                self._save(number, step + 1, optimizer)
        self._save(number + 1, 0, None)

    def _step(
        self,
        optimizer: torch.optim.Optimizer,
        task: Task,
        work: Work,
        budget: int,
    ) -> tuple[StepLoss, float]:
        optimizer.zero_grad(set_to_none=True)
        loss = task.backward(work, budget)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = float(nn.utils.clip_grad_norm_(parameters, self.config.max_gradient_norm))
        if not math.isfinite(loss.total + norm):
            path = os.path.join(self.work, "bad-batch.json")
            storage.write_json(path, {"rows": work.ids, "parts": loss.parts})
            raise TrainingError(
                f"the loss is {loss.total} ({loss.parts}), its gradient's norm "
                f"{norm}; its rows are in {path}; lower train.learning_rate or raise "
                "train.loss.temperature"
            )
        optimizer.step()
        return loss, norm

    def _texts(self, phase: Phase, task: Task, first: int) -> Iterator[Work]:
        """Yield batches with their token ids, read and tokenized while the last one trains."""
        reader = RowReader(phase.layout, phase.stage.data, self.config.seed)

        def read(job: tuple[int, Batch]) -> Work:
            step, batch = job
            generator = np.random.default_rng([self.config.seed, batch.epoch, step])
            return task.read(reader.read(batch), generator)

        try:
            yield from prefetched(enumerate(phase.batches(first), first), read)
        finally:
            reader.close()

    def _set_trainable(self, phase: Phase) -> None:
        for parameter, trains in zip(
            self.model.encoder.parameters(), self._encoder_trains, strict=True
        ):
            parameter.requires_grad_(trains and "encoder" in phase.parts)
        self.model.train()
        if "encoder" not in phase.parts:
            self.model.encoder.eval()

    def _save(self, phase: int, step: int, optimizer: torch.optim.Optimizer | None) -> None:
        """Save model and optimizer under the step's name, then point to it, then drop the last."""
        name = f"state-{phase}-{step}"
        folder = os.path.join(self.work, name)
        os.makedirs(folder, exist_ok=True)
        with storage.open_write(os.path.join(folder, "model.pt")) as handle:
            torch.save(self.model.state_dict(), handle)
        if optimizer:
            with storage.open_write(os.path.join(folder, "optimizer.pt")) as handle:
                torch.save(optimizer.state_dict(), handle)
        position = {"folder": name, "phase": phase, "step": step}
        storage.write_json(os.path.join(self.work, "position.json"), position)
        for other in storage.list_folders(self.work):
            if os.path.basename(other).startswith("state-") and os.path.basename(other) != name:
                storage.remove(other)

    def _load_position(self) -> tuple[int, int]:
        if not os.path.exists(os.path.join(self.work, "position.json")):
            return 0, 0
        position = storage.read_json(os.path.join(self.work, "position.json"))
        self.model.load_state_dict(self._load("model.pt"))
        return int(position["phase"]), int(position["step"])

    def _load(self, name: str) -> Any:
        position = storage.read_json(os.path.join(self.work, "position.json"))
        path = os.path.join(self.work, position["folder"], name)
        try:
            return torch.load(path, map_location=self.model.device, weights_only=True)
        except Exception as error:  # unreadable in any way
            raise InputError(f"{path} is damaged ({error}); remove {self.work}") from error
