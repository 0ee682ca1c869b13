"""Which arms are compared, on which seeds: the `[ablate]` table."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from curation.errors import ConfigError, check_range, unknown_name

TABLES = ("", "distillation", "stages", "long-data")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.+-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmConfig:
    """One `[[ablate.arms]]` table: the base config with some keys changed."""

    name: str
    """The arm's name and folder: small letters, digits, + - _ and dots."""
    set: dict[str, Any] = field(default_factory=dict)
    """What the arm changes: set = { train.negatives = 0 }; of an array of tables an element by its
    number, set = { train.stages.1.epochs = 2 }."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"ablate.arms.name = {self.name!r} names a folder: small letters, digits, + - _ ."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """One `[[ablate.studies]]` table: arms side by side in a table of their own."""

    name: str
    """The table's title."""
    arms: tuple[str, ...]
    """Names of arms, the rows of the table; the first is what the others are compared with."""
    paper: str = ""
    """The paper's table to show beside: distillation, stages, long-data; "": none."""

    def __post_init__(self) -> None:
        if self.paper not in TABLES:
            raise ConfigError(unknown_name("ablate.studies.paper", self.paper, TABLES[1:]))
        repeated = [name for name, count in Counter(self.arms).items() if count > 1]
        if not self.arms or repeated:
            raise ConfigError(
                f"ablate.studies: {self.name!r} must list arms, each once, not {list(self.arms)}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class AblateConfig:
    """The `[ablate]` table: every arm is trained and evaluated with every seed."""

    arms: tuple[ArmConfig, ...] = ()
    """What is compared."""
    studies: tuple[StudyConfig, ...] = ()
    """The tables; an arm may stand in several. Default: one table of all arms."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Values of train.seed: heads, order of the batches and dropout differ between them."""
    jobs: int = 1
    """Runs at a time; the processor's cores are shared among them."""
    before: bool = True
    """Evaluate the model before training too, once for each seed."""
    keep_models: bool = False
    """Keep every run's checkpoint; off: only its metrics and logs stay."""
    measure: str = "nDCG@10"
    """The measure of the tables."""
    draws: int = 2000
    """Bootstrap draws of queries and seeds from which the 95 % intervals come."""

    def __post_init__(self) -> None:
        check_range("ablate.jobs", self.jobs, 1, 1024)
        check_range("ablate.draws", self.draws, 100, 1e6)
        names = [arm.name for arm in self.arms]
        _check_once("ablate.arms", names)
        _check_once("ablate.studies", [study.name for study in self.studies])
        _check_once("ablate.seeds", self.seeds)
        for study in self.studies:
            for name in study.arms:
                if name not in names:
                    raise ConfigError(unknown_name(f"arm of {study.name!r}", name, names))


def _check_once(option: str, values: Any) -> None:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        raise ConfigError(f"{option} has {repeated[0]!r} more than once")
