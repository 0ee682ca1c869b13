"""The stages of a run as phases: which settings hold, and which batches come, from any step on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from curation.errors import ConfigError
from train.batching import Batch, EpochPlan
from train.config import TrainConfig, stage_settings
from train.rows import SOURCES
from train.stage_config import KINDS, StageConfig
from train.streams import Layout, Shard, layout_of

_EPOCHS = 1 << 20  # of a stage: its epochs are numbered from its place in the list times this


@dataclass(frozen=True, slots=True)
class Phase:
    """A stage on its data: everything that its batches follow from."""

    name: str
    number: int
    stage: StageConfig
    config: TrainConfig
    """`[train]` with what the stage changes."""
    layout: Layout
    world: int = 1

    @property
    def parts(self) -> tuple[str, ...]:
        """What learns: encoder, heads."""
        return KINDS[self.stage.kind].parts

    @property
    def is_sized(self) -> bool:
        """Whether the batch sizes are known, or to be found for the device."""
        return bool(self.config.batch_sizes)

    @property
    def epoch_steps(self) -> int:
        """How many batches an epoch has."""
        return len(self._epoch(0))

    @property
    def steps(self) -> int:
        """How many batches there are; a share of an epoch is its first ones."""
        whole, share = divmod(self.config.epochs, 1)
        each = self.epoch_steps
        steps = int(whole) * each + math.ceil(round(share * each, 6))
        return min(steps, self.config.max_steps) if self.config.max_steps else steps

    def batches(self, first: int = 0, rank: int = 0) -> Iterator[Batch]:
        """Yield one process's batches from a step on."""
        steps = self.steps
        plan = self._epoch(0)
        for step in range(first, steps):
            epoch, place = divmod(step, len(plan))
            if plan.epoch != self._numbered(epoch):
                plan = self._epoch(epoch)
            yield plan.batch(place, rank)

    def fitted(self, batch_sizes: Sequence[int], batch_tokens: int) -> Phase:
        """Return the phase with batch sizes and tokens encoded at once."""
        sizes = tuple(batch_sizes)
        return replace(
            self, config=replace(self.config, batch_sizes=sizes, batch_tokens=batch_tokens)
        )

    def _numbered(self, epoch: int) -> int:
        return self.number * _EPOCHS + epoch

    def _epoch(self, epoch: int) -> EpochPlan:
        sizes, number = self.config.batch_sizes, self._numbered(epoch)
        return EpochPlan(self.layout.streams, sizes, self.config.seed, number, self.world)


def plan_phases(
    data: Mapping[str, Sequence[Shard]], config: TrainConfig, world: int = 1
) -> list[Phase]:
    """Return the phases of the stages; `data` has the shards of each folder that they read."""
    layouts: dict[str, Layout] = {}
    phases: list[Phase] = []
    for number, stage in enumerate(config.stages):
        if stage.data not in layouts:
            layouts[stage.data] = _layout(data[stage.data], stage.data, config, world)
        same = sum(earlier.kind == stage.kind for earlier in config.stages[:number])
        name = f"{stage.kind}-{same + 1}" if same else stage.kind
        own = stage_settings(config, stage)
        phases.append(Phase(name, number, stage, own, layouts[stage.data], world))
    return phases


def _layout(shards: Sequence[Shard], data: str, config: TrainConfig, world: int) -> Layout:
    known = SOURCES[data].schema.names
    columns = tuple(name for name in config.batching.group_by if name in known)
    return layout_of(shards, replace(config.batching, group_by=columns), world)


def sources_of(config: TrainConfig) -> list[str]:
    """Return the folders that the stages read; raise `ConfigError` where there is no stage."""
    if not config.stages:
        raise ConfigError("train.stages lists no stage; add a table like: kind = 'finetune'")
    return sorted({stage.data for stage in config.stages})
