"""When a training takes fresh negatives, and from whom: the two modes of `[ance]`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from curation import storage
from curation.errors import ConfigError
from mining.refresh_config import AnceConfig
from pipelines.commands.train import POOL
from pipelines.config import RunConfig
from pipelines.refresh import Miner
from pipelines.stage import Stage
from pipelines.terminal import say
from train import fresh, launch
from train.fresh import Version
from train.model import M3Model
from train.plan import Phase
from train.stopping import Stopped


def refreshes(phase: Phase) -> bool:
    """Tell whether a phase's negatives change: it reads training rows, and its encoder learns."""
    takes = phase.stage.data == "training" and phase.config.negatives > 0
    return takes and "encoder" in phase.parts


def steps_between(ance: AnceConfig, phase: Phase) -> int:
    """Return the steps between two refreshes in a phase that takes them."""
    return ance.every_steps or max(1, round(ance.every_epochs * phase.epoch_steps))


def check(config: RunConfig, phases: Sequence[Phase]) -> None:
    """Raise `ConfigError` for settings with which a refresh would do nothing or harm."""
    if not any(map(refreshes, phases)):
        raise ConfigError(
            "[ance] asks for fresh negatives, but no stage takes any: that needs a stage of kind "
            "finetune or pretrain with data = 'training' and negatives > 0"
        )
    if config.mining.negatives_from != "mined":
        raise ConfigError(
            f"[ance] mines, but mining.negatives_from = {config.mining.negatives_from!r}; set it "
            "to 'mined'"
        )
    if config.train.shard and config.ance.mode == "in_process":
        raise ConfigError(
            "ance.mode = 'in_process' encodes with whole weights, but train.shard = true leaves "
            "each process a piece; set ance.mode = 'follow' and run `python -m pipelines refresh`"
        )
    for phase in phases:
        teacher = phase.config.loss.teacher
        if refreshes(phase) and teacher != "none":
            raise ConfigError(
                f"train.loss.teacher = {teacher!r}: no teacher has scored the negatives that "
                "[ance] mines; set teacher = 'none' or ance.every_steps = 0"
            )


def miner_of(config: RunConfig, stage: Stage) -> Miner:
    """Return what mines for a run of `make train`."""
    folder = storage.join(config.out, POOL)
    return Miner(config, folder, stage.workspace.path("negatives"))


@dataclass(frozen=True)
class _Refresher:
    """What the modes have in common; the trainer's view of them is `train.fresh.Refresher`."""

    miner: Miner

    @property
    def ance(self) -> AnceConfig:
        """The `[ance]` table."""
        return self.miner.config.ance

    def every(self, phase: Phase) -> int:
        """Return the steps between two refreshes in a phase; 0: there are none."""
        return steps_between(self.ance, phase) if refreshes(phase) else 0

    def at(self, model: M3Model, phase: Phase, step: int, version: int) -> Version | None:
        """Return the version to use from a step on, None: as before; every process calls it."""
        versions, first = self.miner.versions, launch.rank() == 0
        number = launch.first_says(versions.planned(phase.number, step) if first else None)
        if number is None:
            number = self._decide(model, phase.number, step, version)
            if first:
                versions.plan(phase.number, step, number)
        return None if number == version else versions.describe(number)

    def _decide(self, model: M3Model, phase: int, step: int, version: int) -> int:
        raise NotImplementedError

    def rows(self, version: int) -> fresh.Overlay | None:
        """Return what lays a version over rows."""
        if not version:
            return None
        return fresh.Overlay(self.miner.pool, self.miner.versions.read(version))

    def saved(self, version: int) -> None:
        """Drop the versions that no checkpoint uses any more."""
        self.miner.versions.drop_before(version)

    def reset(self) -> None:
        """Drop what an earlier run left."""
        shutil.rmtree(self.miner.work, ignore_errors=True)

    def _published(self, phase: int, step: int, last: int) -> int:
        """Return the version after `last` that was mined with these weights, 0: there is none."""

        def look() -> int:
            versions = self.miner.versions
            later = (versions.describe(n) for n in versions.numbers() if n > last)
            return next((v.number for v in later if (v.phase, v.step) == (phase, step)), 0)

        found: int = launch.first_says(look() if launch.rank() == 0 else 0)
        return found


class InProcess(_Refresher):
    """The trainer's own processes mine, with the weights that they have."""

    @property
    def wants_checkpoint(self) -> bool:
        """A refresh may take longer than all steps since the last checkpoint."""
        return True

    def _decide(self, model: M3Model, phase: int, step: int, version: int) -> int:
        """Mine the next version, unless a run that was killed then had published it."""
        found = self._published(phase, step, version)
        return found or self.miner.mine(model, phase, step, version)


@dataclass(frozen=True)
class Following(_Refresher):
    """Another process mines (`pipelines.commands.refresh`); this one takes what there is."""

    should_stop: Callable[[], bool]

    @property
    def wants_checkpoint(self) -> bool:
        """What others are to mine with must be on the disk."""
        return self.ance.wait

    def _decide(self, model: M3Model, phase: int, step: int, version: int) -> int:
        if self.ance.wait:
            return self._awaited(phase, step, version)
        found: int = launch.first_says(self.miner.versions.newest())
        return max(found, version)

    def _awaited(self, phase: int, step: int, version: int) -> int:
        """Return the version mined with the weights of now, once it is there."""
        found = self._published(phase, step, version)
        if not found and launch.rank() == 0:
            say(f"train: waiting at step {step} for `python -m pipelines refresh` (ance.wait)")
        while not found:
            if launch.any_says(self.should_stop()):
                raise Stopped(f"stopped at step {step}, where it waited for negatives, and saved")
            time.sleep(self.ance.poll_seconds)
            found = self._published(phase, step, version)
        return found


def refresher_of(
    config: RunConfig, stage: Stage, phases: Sequence[Phase], should_stop: Callable[[], bool]
) -> fresh.Refresher | None:
    """Return what gives a training fresh negatives, None where it wants none."""
    if not config.ance.enabled:
        return None
    check(config, phases)
    miner = miner_of(config, stage)
    return InProcess(miner) if config.ance.mode == "in_process" else Following(miner, should_stop)
