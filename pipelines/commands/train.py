"""`make train`."""

from __future__ import annotations

import argparse
import os
from typing import Any

from curation import manifest, storage
from curation.errors import ConfigError
from pipelines.commands.common import read_config, refuse_beam_options
from pipelines.config import RunConfig, to_dict
from pipelines.encoders import describe_encoder, encoder_folder
from pipelines.stage import Stage
from pipelines.terminal import say
from train.stopping import Stopped

OUTPUTS = ("model",)
FILTERED = ("consistent-pairs",)
POOL = "pool"


_NO_RESULT = ("save_steps", "spike_factor", "tensorboard")
"""Keys of [train] that change nothing in the model: a run goes on when they change."""


def main(arguments: argparse.Namespace) -> int:
    """Run the command, as one of the processes that torchrun started or alone."""
    config = read_config(arguments)
    if config is None:
        return 0
    refuse_beam_options(arguments)
    inputs = input_manifests(config)
    if arguments.dry_run:
        say(describe(config, inputs))
        return 0
    try:
        run(config, inputs)
    except Stopped:  # all processes end like this: the first one tells
        if os.environ.get("RANK", "0") == "0":
            raise
    return 0


def input_manifests(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Return the manifests of the folders that the stages read, by folder."""
    from train.plan import sources_of

    made_by = dict.fromkeys(("training", POOL), "make mine-negatives")
    made_by |= dict.fromkeys(FILTERED, "make filter-pairs")
    folders = [folder_of(config, name) for name in sources_of(config.train)]
    if config.ance.enabled:
        folders.append(POOL)
    return {
        folder: manifest.read(storage.join(config.out, folder), made_by.get(folder, "make curate"))
        for folder in folders
    }


def folder_of(config: RunConfig, data: str) -> str:
    """Return the folder of what a stage reads: pairs are the consistent ones where filtered."""
    return FILTERED[0] if data == "pairs" and config.relevance.enabled else data


def phases_of(
    config: RunConfig, inputs: dict[str, dict[str, Any]], processes: int = 1
) -> list[Any]:
    """Return the stages with their batches."""
    from train.data import shards_of
    from train.plan import plan_phases, sources_of

    data = {}
    for name in sources_of(config.train):
        folder = folder_of(config, name)
        path = storage.join(config.out, folder)
        data[name] = shards_of(path, inputs[folder], by_length=name != "documents")
    return plan_phases(data, config.train, processes)


def describe(config: RunConfig, inputs: dict[str, dict[str, Any]]) -> str:
    """Return what would be trained on and how long."""
    lines = [f"would train on {_listed(inputs)}"]
    for phase in phases_of(config, inputs):
        steps = f"{phase.steps:,} steps" if phase.is_sized else "batches sized for the device"
        lines.append(f"  {phase.name}: {steps} on {phase.stage.data}, {' and '.join(phase.parts)}")
        lines += [f"    {note}" for note in phase.layout.notes]
    return "\n".join([*lines, f"and write {config.out}/model"])


def _listed(inputs: dict[str, dict[str, Any]]) -> str:
    return ", ".join(f"{m['rows']:,} {name}" for name, m in inputs.items() if name != POOL)


def stage_for(config: RunConfig, inputs: dict[str, dict[str, Any]]) -> Stage:
    """Return the stage with all that the result depends on."""
    if storage.is_url(config.out):
        raise ConfigError(f"out = {config.out!r}: training writes to a local folder")
    folder = encoder_folder(config.model.encoder)
    train = {k: v for k, v in to_dict(config.train).items() if k not in _NO_RESULT}
    settings = {"train": train, "model": to_dict(config.model)}
    if config.ance.enabled:
        ance = {k: v for k, v in to_dict(config.ance).items() if k != "poll_seconds"}
        settings |= {"ance": ance, "mining": to_dict(config.mining)}
    return Stage(
        name="train",
        out=config.out,
        outputs=OUTPUTS,
        config=settings,
        inputs=[*map(manifest.content_digest, inputs.values()), describe_encoder(folder)],
    )


def run(config: RunConfig, inputs: dict[str, dict[str, Any]]) -> None:
    """Train, unless the checkpoint is up to date."""
    from pipelines import training
    from train import launch

    stage = stage_for(config, inputs)
    with launch.processes() as device:
        is_first = launch.rank() == 0
        if launch.first_says(is_first and stage.is_up_to_date()):
            return
        if is_first:
            stage.begin()
        phases = phases_of(config, inputs, launch.world_size())
        model, meter = training.train(config, phases, stage, device)
        if is_first:
            training.publish(config, inputs, stage, model)
            stage.finish(f"{_listed(inputs)} ({meter})", "model")
