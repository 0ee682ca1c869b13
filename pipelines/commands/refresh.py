"""`python -m pipelines refresh`: mine negatives for a training that runs beside it."""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

from curation import manifest, storage
from curation.errors import ConfigError, InputError
from pipelines.commands import train
from pipelines.commands.common import read_config, refuse_beam_options
from pipelines.config import RunConfig
from pipelines.stage import Stage
from pipelines.terminal import say


def main(arguments: argparse.Namespace) -> int:
    """Run the command with the config of the training."""
    config = read_config(arguments)
    if config is None:
        return 0
    refuse_beam_options(arguments)
    if not config.ance.enabled or config.ance.mode != "follow":
        raise ConfigError(
            "this config's training takes no negatives from another process: set ance.mode = "
            "'follow' and ance.every_steps, for make train as well"
        )
    inputs = train.input_manifests(config)
    stage = train.stage_for(config, inputs)
    if arguments.dry_run:
        say(f"would follow the checkpoints in {stage.workspace.root} and mine with the newest")
        return 0
    follow(config, inputs, stage)
    return 0


def follow(config: RunConfig, inputs: dict[str, dict[str, Any]], stage: Stage) -> None:
    """Mine with each new checkpoint, until the training has ended or a signal comes."""
    from pipelines.refreshers import miner_of
    from train.state import StateFolder
    from train.stopping import StopRequest

    miner, state = miner_of(config, stage), StateFolder(stage.workspace.path("state"))
    due = functools.partial(_is_due, config, train.phases_of(config, inputs))
    models: list[Any] = []
    with StopRequest() as asked:
        while not asked() and not _has_ended(stage):
            try:
                mined = _mine_newest(config, miner, state, due, models)
            except (InputError, OSError):
                if not _has_ended(stage):  # else the trainer has removed what was being read
                    raise
                break
            if not mined:
                time.sleep(config.ance.poll_seconds)
    if _has_ended(stage):
        storage.remove(stage.workspace.root)
        say("refresh: the training has ended")


def _mine_newest(
    config: RunConfig, miner: Any, state: Any, due: Callable[[Any], bool], models: list[Any]
) -> bool:
    """Mine with the newest checkpoint, unless that was done; the model is loaded once."""
    position = state.read(None)
    if position is None or not due(position) or not _is_news(miner.versions, position):
        return False
    if not models:
        models.append(_model(config))
    if _load(models[0], state, position):
        _mine(miner, models[0], position)
    return True


def _is_due(config: RunConfig, phases: Sequence[Any], position: Any) -> bool:
    """Tell whether negatives are wanted of a checkpoint.

    That is one within a stage that takes them; where the trainer waits, one at which it does.
    """
    from pipelines.refreshers import refreshes, steps_between

    if not position.step or not refreshes(phases[position.phase]):  # a last phase has no step
        return False
    waits = config.ance.wait
    return not waits or position.step % steps_between(config.ance, phases[position.phase]) == 0


def _has_ended(stage: Stage) -> bool:
    return manifest.is_complete(stage.directory("model"), stage.fingerprint)


def _is_news(versions: Any, position: Any) -> bool:
    """Tell whether no negatives are mined with a checkpoint's weights yet, or later ones."""
    newest = versions.newest()
    known = versions.describe(newest) if newest else None
    return known is None or (known.phase, known.step) < (position.phase, position.step)


def _model(config: RunConfig) -> Any:
    from mining.encode import best_device
    from pipelines.encoders import encoder_folder
    from train.checkpoint import load

    model = load(encoder_folder(config.model.encoder), config.model, config.train.seed)
    return model.to(best_device()).eval()


def _load(model: Any, state: Any, position: Any) -> bool:
    """Load a checkpoint's weights; False where the trainer has replaced it meanwhile."""
    from train.state import MODEL

    try:
        model.load_state_dict(state.load(position.folder, MODEL))
    except InputError:
        if state.read(None) == position:
            raise
        return False
    return True


def _mine(miner: Any, model: Any, position: Any) -> None:
    number = miner.mine(model, position.phase, position.step, miner.versions.newest())
    version = miner.versions.describe(number)
    facts = version.facts
    say(
        f"refresh: negatives {number} for {facts['rows']:,} rows with the weights of step "
        f"{position.step} in {version.seconds:,.1f} s; {facts['overlap']:.1%} as before, "
        f"{facts['suspects']:.1%} of the best candidates above the positive"
    )
