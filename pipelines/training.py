"""Training as a command does it: progress, held-out queries, report, model card, manifest."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w
import torch

from curation import manifest, storage
from curation.errors import ConfigError
from pipelines.commands.train import POOL
from pipelines.config import RunConfig
from pipelines.encoders import encoder_folder
from pipelines.held_out import retrieval_of
from pipelines.refreshers import refresher_of
from pipelines.report import model_card
from pipelines.report import training as report
from pipelines.stage import Stage
from pipelines.terminal import Progress, say
from train import checkpoint, folders, launch, log, sharding
from train.log import DEAD_SHARE, Judgement, Line, Refreshed, StepReport
from train.model import M3Model
from train.phase_run import Hooks
from train.plan import Phase
from train.stopping import StopRequest
from train.trainer import Trainer
from train.watch import MEASURE

LOG, PAGE, EVENTS = "reports/train.jsonl", "reports/train.html", "reports/tensorboard"


class Meter:
    """Adds up steps for the progress line."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._started = time.monotonic()
        self._retrieval = self._negatives = ""
        self._dead: set[str] = set()
        self.rows = self.tokens = self.steps = self.cut = 0

    def __str__(self) -> str:
        """Return what was read."""
        cut = f"; {self.cut:,} texts cut at the limit" if self.cut else ""
        return f"{self.tokens:,} tokens in {self.steps} steps{cut}"

    def show(self, line: Line) -> None:
        """Take a step or an evaluation to the progress line."""
        if isinstance(line, Judgement):
            found = " ".join(f"{mode} {v[MEASURE]:.3f}" for mode, v in line.scores.items())
            self._retrieval = f"  {MEASURE} {found}"
            return
        if isinstance(line, Refreshed):
            self._negatives = f"  negatives {line.version} ({line.facts['overlap']:.0%} as before)"
            return
        self.rows += line.rows
        self.tokens += line.tokens
        self.steps += 1
        self.cut += line.cut
        rate = self.rows / max(1e-9, time.monotonic() - self._started)
        heads = " ".join(f"{name} {value:.3f}" for name, value in line.parts.items())
        remark = f"{line.phase} {line.step}/{line.steps}  {rate:,.1f} rows/s"
        remark += f"  loss {line.loss:.4f} ({heads}){self._retrieval}{self._negatives}"
        self._progress.update(line.share, self.tokens, remark)
        self._warn(line)

    def _warn(self, line: StepReport) -> None:
        if line.dead_share > DEAD_SHARE and line.phase not in self._dead:
            self._dead.add(line.phase)
            say(
                f"train: warning: the sparse head is dead: at step {line.step} of {line.phase} "
                f"{line.dead_share:.1%} of the texts have no weight at all; lower "
                "train.head_learning_rate or begin with a stage of kind warmup",
                sys.stderr,
            )


def train(
    config: RunConfig, phases: Sequence[Phase], stage: Stage, device: torch.device
) -> tuple[M3Model, Meter]:
    """Train on this process's device and return the model; every process calls it."""
    first = launch.rank() == 0
    if config.train.shard and launch.world_size() == 1:
        raise ConfigError("train.shard = true needs several processes: start it with torchrun")
    for note in dict.fromkeys(note for phase in phases for note in phase.layout.notes):
        if first:
            say(f"train: {note}")
    folder = encoder_folder(config.model.encoder)
    model = checkpoint.load(folder, config.model, config.train.seed).to(device)
    evaluate = retrieval_of(config) if config.train.evaluate_steps else None
    with Progress("train", "tokens", stream=None if first else io.StringIO()) as progress:
        meter = Meter(progress)
        with StopRequest() as asked, _reported(config):
            refresher = refresher_of(config, stage, phases, asked)
            Trainer(
                model=model,
                config=config.train,
                phases=phases,
                work=stage.workspace.path("state"),
                log_path=storage.join(config.out, LOG),
                hooks=Hooks(
                    on_line=meter.show, should_stop=asked, evaluate=evaluate, refresher=refresher
                ),
                events=storage.join(config.out, EVENTS) if config.train.tensorboard else "",
            ).run()
    if config.train.shard:
        weights = sharding.whole(model.state_dict())
        model = checkpoint.load(folder, config.model, config.train.seed)
        model.load_state_dict(weights)
    return model, meter


@contextmanager
def _reported(config: RunConfig) -> Iterator[None]:
    """Write the report when the block ends, also where it was stopped or failed."""
    try:
        yield
    finally:
        path = storage.join(config.out, LOG)
        if launch.rank() == 0 and storage.exists(path):
            report.write(storage.join(config.out, PAGE), _name(config), log.read(path))


def _name(config: RunConfig) -> str:
    return os.path.basename(config.out.rstrip("/"))


def publish(
    config: RunConfig, inputs: Mapping[str, Mapping[str, Any]], stage: Stage, model: M3Model
) -> None:
    """Write the checkpoint with its card, then its manifest."""
    lines = log.read(storage.join(config.out, LOG))
    made, directory = stage.workspace.path("model"), stage.directory("model")
    checkpoint.save(model, made)
    description = stage.description("model")
    read = {name: listed for name, listed in inputs.items() if name != POOL}
    rows = model_card.rows_of(config.out, read)
    toml = tomli_w.dumps(description["config"])
    card = model_card.card(description | {"name": _name(config)}, inputs, rows, lines, toml)
    storage.write_bytes(storage.join(made, "README.md"), card.encode())
    storage.write_json(storage.join(made, manifest.STARTED), {"fingerprint": stage.fingerprint})
    with folders.replacing(directory) as staging:
        for path in Path(made).iterdir():
            path.rename(staging / path.name)
    manifest.publish(directory, description, [_part(directory, n) for n in _files(directory)])


def _files(directory: str) -> list[str]:
    names = (path.removeprefix(f"{directory}/") for path in storage.files_under(directory))
    return [name for name in names if name != manifest.STARTED]


def _part(directory: str, name: str) -> dict[str, Any]:
    path = storage.join(directory, name)
    size, digest = storage.size_of(path), storage.sha256_of(path)
    return {"name": name, "rows": 0, "bytes": size, "sha256": digest}
