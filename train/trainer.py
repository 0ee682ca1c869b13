"""The training loop: phases of batches, an optimizer, checkpoints to go on from.

Everything a step does follows from (seed, phase, epoch, step): batches, drawn positives and
dropout. A run that was stopped and went on ends with the same weights as one that was not.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import torch
from torch import nn

from curation import storage
from curation.errors import ConfigError, InputError, TrainingError
from train.batch_loss import StepLoss
from train.batching import Batch, Shard, plan_epoch
from train.config import TrainConfig
from train.data import RowReader, TextBatch, collate, prefetched
from train.model import M3Model
from train.passes import TokenRows
from train.precision import compile_encoder, resolve_precision
from train.step import Execution, backward, tokenize_batch


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the schedule: which parameters learn, and on which batches."""

    name: str
    heads_only: bool
    batches: list[tuple[int, Batch]]
    """(epoch, batch) in order."""


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
    seconds: float
    learning_rate: float
    gradient_norm: float


def plan_phases(shards: Sequence[Shard], config: TrainConfig) -> list[Phase]:
    """Return the phases that the config asks for; a share of an epoch is its first batches."""
    phases = []
    if config.head_warmup_epochs:
        batches = _batches(shards, config, config.head_warmup_epochs, first_epoch=1_000_000)
        phases.append(Phase("heads", True, batches))
    batches = _batches(shards, config, config.epochs, first_epoch=0)
    if config.max_steps:
        batches = batches[: config.max_steps]
    phases.append(Phase("unified", False, batches))
    return phases


def _batches(
    shards: Sequence[Shard], config: TrainConfig, epochs: float, first_epoch: int
) -> list[tuple[int, Batch]]:
    batches: list[tuple[int, Batch]] = []
    for number in range(math.ceil(epochs)):
        epoch = first_epoch + number
        planned = plan_epoch(shards, config.batch_sizes, config.seed, epoch)
        share = min(1.0, epochs - number)
        batches += [(epoch, batch) for batch in planned[: math.ceil(share * len(planned))]]
    return batches


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
    model: M3Model, config: TrainConfig, *, heads_only: bool
) -> list[dict[str, Any]]:
    """Return AdamW's groups: encoder matrices, encoder vectors (no decay), heads."""
    encoder = [] if heads_only else [p for p in model.encoder.parameters() if p.requires_grad]
    heads = [*model.sparse_linear.parameters(), *model.colbert_linear.parameters()]
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
    shards: Sequence[Shard]
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
        phases = plan_phases(self.shards, self.config)
        self._all_steps = sum(len(phase.batches) for phase in phases)
        start_phase, start_step = self._load_position()
        done = sum(len(phase.batches) for phase in phases[:start_phase]) + start_step
        with self._open_log(done) as log:
            for number, phase in enumerate(phases):
                if number >= start_phase:
                    first = start_step if number == start_phase else 0
                    self._run_phase(number, phase, first, done - first, log)
                    done += len(phase.batches) - first

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
        groups = parameter_groups(self.model, self.config, heads_only=phase.heads_only)
        rates = [group["lr"] for group in groups]
        optimizer = torch.optim.AdamW(groups, fused=True)
        if first:
            optimizer.load_state_dict(self._load("optimizer.pt"))
        steps = len(phase.batches)
        for step, (batch, tokens) in enumerate(self._texts(phase, first), first):
            started = time.monotonic()
            torch.manual_seed(self.config.seed * 1_000_003 + number * 500_009 + step)
            factor = rate_factor(step, steps, self.config.warmup_share)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            loss, norm = self._step(optimizer, batch, tokens)
            report = StepReport(
                phase=phase.name,
                step=step + 1,
                steps=steps,
                share=(before + step + 1) / self._all_steps,
                loss=loss.total,
                parts=loss.parts,
                tokens=sum(len(row) for side in tokens for row in side),
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
        batch: TextBatch,
        tokens: tuple[TokenRows, TokenRows],
    ) -> tuple[StepLoss, float]:
        optimizer.zero_grad(set_to_none=True)
        loss = backward(
            self.model,
            batch,
            tokens,
            self.config.loss,
            Execution(
                budget=self.config.batch_tokens,
                memory=self.config.memory,
                dtype=resolve_precision(self.config.precision, self.model.device),
            ),
        )
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = float(nn.utils.clip_grad_norm_(parameters, self.config.max_gradient_norm))
        if not math.isfinite(loss.total + norm):
            path = os.path.join(self.work, "bad-batch.json")
            storage.write_json(path, {"rows": batch.ids, "parts": loss.parts})
            raise TrainingError(
                f"the loss is {loss.total} ({loss.parts}), its gradient's norm "
                f"{norm}; its rows are in {path}; lower train.learning_rate or raise "
                "train.loss.temperature"
            )
        optimizer.step()
        return loss, norm

    def _texts(
        self, phase: Phase, first: int
    ) -> Iterator[tuple[TextBatch, tuple[TokenRows, TokenRows]]]:
        """Yield batches with their token ids, read and tokenized while the last one trains."""
        reader = RowReader(self.shards)

        def read(job: tuple[int, tuple[int, Batch]]) -> Any:
            step, (epoch, batch) = job
            generator = np.random.default_rng([self.config.seed, epoch, step])
            loss = self.config.loss
            teacher = loss.teacher_columns if loss.teacher != "none" else ""
            texts = collate(reader.read(batch), self.config.negatives, generator, teacher)
            return texts, tokenize_batch(self.model, texts)

        try:
            yield from prefetched(iter(list(enumerate(phase.batches))[first:]), read)
        finally:
            reader.close()

    def _set_trainable(self, phase: Phase) -> None:
        for parameter, trains in zip(
            self.model.encoder.parameters(), self._encoder_trains, strict=True
        ):
            parameter.requires_grad_(trains and not phase.heads_only)
        self.model.train()
        if phase.heads_only:
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
