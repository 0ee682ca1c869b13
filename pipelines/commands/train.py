"""`make train`."""

from __future__ import annotations

import argparse
import time
from typing import Any

from curation import manifest, storage
from pipelines.commands.common import read_config, refuse_beam_options
from pipelines.config import RunConfig, to_dict
from pipelines.encoders import describe_encoder, encoder_folder
from pipelines.stage import Stage
from pipelines.terminal import Progress, say

OUTPUTS = ("model",)


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    config = read_config(arguments)
    if config is None:
        return 0
    refuse_beam_options(arguments)
    rows = manifest.read(storage.join(config.out, "training"), "make mine-negatives")
    if arguments.dry_run:
        say(describe(config, rows))
        return 0
    run(config, rows)
    return 0


def describe(config: RunConfig, rows: dict[str, Any]) -> str:
    """Return what would be trained on and how long."""
    from train.data import shards_of
    from train.trainer import plan_phases

    shards = shards_of(storage.join(config.out, "training"), rows)
    lines = [f"would train on {rows['rows']:,} rows in {len(shards)} shards"]
    for phase in plan_phases(shards, config.train):
        what = "heads only" if phase.heads_only else "encoder and heads"
        lines.append(f"  phase {phase.name}: {len(phase.batches):,} steps, {what}")
    return "\n".join([*lines, f"and write {config.out}/model"])


def stage_for(config: RunConfig, rows: dict[str, Any]) -> Stage:
    """Return the stage with all that the result depends on."""
    folder = encoder_folder(config.model.encoder)
    return Stage(
        name="train",
        out=config.out,
        outputs=OUTPUTS,
        config={"train": to_dict(config.train), "model": to_dict(config.model)},
        inputs=[manifest.content_digest(rows), describe_encoder(folder)],
    )


def run(config: RunConfig, rows: dict[str, Any]) -> None:
    """Train, unless the checkpoint is up to date."""
    stage = stage_for(config, rows)
    if stage.is_up_to_date():
        return
    from mining.encode import best_device
    from train.checkpoint import load
    from train.data import shards_of
    from train.trainer import Trainer

    stage.begin()
    model = load(encoder_folder(config.model.encoder), config.model, config.train.seed)
    meter = Meter()
    with Progress("train", "tokens") as progress:
        trainer = Trainer(
            model=model.to(best_device()),
            config=config.train,
            shards=shards_of(storage.join(config.out, "training"), rows),
            work=stage.workspace.path("state"),
            log_path=storage.join(config.out, "reports/train.jsonl"),
            on_step=lambda report: meter.show(report, progress),
        )
        trainer.run()
    publish(stage, model)
    stage.finish(
        f"{rows['rows']:,} training rows ({meter.tokens:,} tokens in {meter.steps} steps)",
        "model",
    )


class Meter:
    """Adds up steps for the progress line."""

    def __init__(self) -> None:
        self.tokens = 0
        self.steps = 0
        self.started = time.monotonic()

    def show(self, report: Any, progress: Progress) -> None:
        """Take a step's report to the progress line."""
        self.tokens += report.tokens
        self.steps += 1
        heads = " ".join(f"{name} {value:.3f}" for name, value in report.parts.items())
        remark = f"{report.phase} {report.step}/{report.steps} loss {report.loss:.4f} ({heads})"
        progress.update(report.share, self.tokens, remark)


def publish(stage: Stage, model: Any) -> None:
    """Write the checkpoint, then its manifest."""
    from train.checkpoint import save

    directory = stage.directory("model")
    save(model, directory)
    parts = []
    folders = [directory, *storage.list_folders(directory)]
    for path in [path for folder in folders for path in storage.list_files(folder)]:
        parts.append(
            {
                "name": path.removeprefix(f"{directory}/"),
                "rows": 0,
                "bytes": storage.size_of(path),
                "sha256": storage.sha256_of(path),
            }
        )
    manifest.publish(directory, stage.description("model"), parts)
