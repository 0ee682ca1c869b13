"""Short trainings on the tiny encoder: 12 rows in batches of 4."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from train import launch
from train.checkpoint import load
from train.config import ModelConfig, TrainConfig
from train.log import Line
from train.model import M3Model
from train.phase_run import Hooks
from train.plan import plan_phases
from train.stage_config import StageConfig
from train.streams import Shard
from train.trainer import Trainer

torch.set_num_threads(1)

MODEL = ModelConfig(max_query_tokens=64, max_passage_tokens=64, pooling="mean")
CONFIG = TrainConfig(  # 3 steps of the heads, then 6 of all
    epochs=2,
    stages=(StageConfig(kind="warmup", epochs=1), StageConfig(kind="finetune")),
    batch_sizes=(4,) * 9,
    batch_tokens=200,
    negatives=1,
    learning_rate=1e-3,
    head_learning_rate=1e-2,
    dropout=0.1,
    save_steps=2,
    precision="fp32",
)


class Killed(Exception):  # noqa: N818 - stands for a signal
    """The process is killed."""


def train(
    encoder: str,
    shards: list[Shard],
    folder: Path,
    config: TrainConfig = CONFIG,
    on_step: Callable[[Line], None] = lambda _: None,
    change: Callable[[M3Model], object] = lambda _: None,
    **hooks: Any,
) -> M3Model:
    """Run a trainer on a fresh model; the state stays in `folder`."""
    model = load(encoder, MODEL, config.seed)
    change(model)
    phases = plan_phases({"training": shards}, config, launch.world_size())
    called = Hooks(on_line=on_step, **hooks)
    Trainer(model, config, phases, str(folder / "state"), log_of(folder), called).run()
    return model


def log_of(folder: Path) -> str:
    return str(folder / "reports" / "train.jsonl")


def logged(folder: Path) -> list[dict[str, Any]]:
    """Return the log without the only field that depends on the clock."""
    lines = [json.loads(line) for line in Path(log_of(folder)).read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def kill_after(lines: int) -> Callable[[Line], None]:
    """Return what raises `Killed` at that line of the log."""
    seen: list[Line] = []

    def on_step(report: Line) -> None:
        seen.append(report)
        if len(seen) == lines:
            raise Killed

    return on_step
