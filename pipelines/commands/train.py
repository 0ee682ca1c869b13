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
FILTERED = ("consistent-pairs",)


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    config = read_config(arguments)
    if config is None:
        return 0
    refuse_beam_options(arguments)
    inputs = input_manifests(config)
    if arguments.dry_run:
        say(describe(config, inputs))
        return 0
    run(config, inputs)
    return 0


def input_manifests(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Return the manifests of the folders that the stages read, by folder."""
    from train.plan import sources_of

    made_by = {"training": "make mine-negatives"} | dict.fromkeys(FILTERED, "make filter-pairs")
    folders = (folder_of(config, name) for name in sources_of(config.train))
    return {
        folder: manifest.read(storage.join(config.out, folder), made_by.get(folder, "make curate"))
        for folder in folders
    }


def folder_of(config: RunConfig, data: str) -> str:
    """Return the folder of what a stage reads: pairs are the consistent ones where filtered."""
    return FILTERED[0] if data == "pairs" and config.relevance.enabled else data


def phases_of(config: RunConfig, inputs: dict[str, dict[str, Any]]) -> list[Any]:
    """Return the stages with their batches."""
    from train.data import shards_of
    from train.plan import plan_phases, sources_of

    data = {}
    for name in sources_of(config.train):
        folder = folder_of(config, name)
        path = storage.join(config.out, folder)
        data[name] = shards_of(path, inputs[folder], by_length=name != "documents")
    return plan_phases(data, config.train)


def describe(config: RunConfig, inputs: dict[str, dict[str, Any]]) -> str:
    """Return what would be trained on and how long."""
    lines = [f"would train on {_listed(inputs)}"]
    for phase in phases_of(config, inputs):
        steps = f"{phase.steps:,} steps" if phase.is_sized else "batches sized for the device"
        lines.append(f"  {phase.name}: {steps} on {phase.stage.data}, {' and '.join(phase.parts)}")
        lines += [f"    {note}" for note in phase.layout.notes]
    return "\n".join([*lines, f"and write {config.out}/model"])


def _listed(inputs: dict[str, dict[str, Any]]) -> str:
    return ", ".join(f"{found['rows']:,} {folder}" for folder, found in inputs.items())


def stage_for(config: RunConfig, inputs: dict[str, dict[str, Any]]) -> Stage:
    """Return the stage with all that the result depends on."""
    folder = encoder_folder(config.model.encoder)
    return Stage(
        name="train",
        out=config.out,
        outputs=OUTPUTS,
        config={"train": to_dict(config.train), "model": to_dict(config.model)},
        inputs=[*map(manifest.content_digest, inputs.values()), describe_encoder(folder)],
    )


def run(config: RunConfig, inputs: dict[str, dict[str, Any]]) -> None:
    """Train, unless the checkpoint is up to date."""
    stage = stage_for(config, inputs)
    if stage.is_up_to_date():
        return
    from mining.encode import best_device
    from train.checkpoint import load
    from train.trainer import Trainer

    stage.begin()
    phases = phases_of(config, inputs)
    for note in dict.fromkeys(note for phase in phases for note in phase.layout.notes):
        say(f"train: {note}")
    model = load(encoder_folder(config.model.encoder), config.model, config.train.seed)
    meter = Meter()
    with Progress("train", "tokens") as progress:
        trainer = Trainer(
            model=model.to(best_device()),
            config=config.train,
            phases=phases,
            work=stage.workspace.path("state"),
            log_path=storage.join(config.out, "reports/train.jsonl"),
            on_step=lambda report: meter.show(report, progress),
        )
        trainer.run()
    publish(stage, model)
    stage.finish(
        f"{_listed(inputs)} ({meter.tokens:,} tokens in {meter.steps} steps{meter.cut_remark})",
        "model",
    )


class Meter:
    """Adds up steps for the progress line."""

    def __init__(self) -> None:
        self.tokens = 0
        self.steps = 0
        self.cut = 0
        self.started = time.monotonic()

    @property
    def cut_remark(self) -> str:
        """How often a text was longer than the limit."""
        return f"; {self.cut:,} texts cut at the limit" if self.cut else ""

    def show(self, report: Any, progress: Progress) -> None:
        """Take a step's report to the progress line."""
        self.tokens += report.tokens
        self.steps += 1
        self.cut += report.cut
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
