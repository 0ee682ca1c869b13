"""Arms → runs: their configs, the folders they write to, and the steps that several can share."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from curation import manifest, storage
from curation.errors import ConfigError
from pipelines.ablation.config import AblateConfig, ArmConfig
from pipelines.config import RunConfig, build, set_key, to_dict
from train.plan import sources_of

# The tables that what is made depends on. What no group names (train, evaluation …) is a run's own.
DATA_TABLES = ("model", "splits", "curation", "relevance", "synthesis")
MINED_TABLES = (*DATA_TABLES, "mining")
_RUN_STEPS = ("train", "evaluate")
_NO_RESULT = ("out", "ablate", "runner")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Steps of the pipeline that write into one folder."""

    name: str
    folder: str
    steps: tuple[str, ...]
    tables: dict[str, Any]
    """The whole config as TOML has it, `out` being the folder."""
    needs: str = ""
    """The folder whose outputs it reads; "": none."""
    cache: str = ""
    """The folder of passages' vectors, which all jobs that mine share; "": as the config says."""

    @property
    def key(self) -> str:
        """What identifies the job's result: steps and config, without where it is written."""
        told = {k: v for k, v in self.tables.items() if k not in _NO_RESULT}
        return manifest.fingerprint([self.steps, told])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All jobs of an ablation; jobs of one list do not depend on each other."""

    data: tuple[Job, ...]
    mined: tuple[Job, ...]
    runs: dict[tuple[str, int], Job]
    """By arm and seed."""


def plan_of(base: Mapping[str, Any], config: AblateConfig, out: str) -> Plan:
    """Return the jobs of every arm and seed; raise `ConfigError` naming the arm that is wrong.

    `base` holds the config's tables as TOML has them. Curated data and mined rows are made once
    for all arms whose tables are equal that far; seeds share them always.
    """
    if not config.arms:
        raise ConfigError("ablate.arms lists no arm: add a table [[ablate.arms]] with a name")
    first = config.seeds[0]
    whole = {arm.name: _of_arm(base, arm, first) for arm in config.arms}
    _refuse_equal(whole)
    data = {name: _shared(whole[name], "data", DATA_TABLES, out) for name in whole}
    mined = {name: _shared(whole[name], "mined", MINED_TABLES, out) for name in whole}
    steps = _united((data[name], steps_of(_built(whole[name], name))) for name in whole)
    mining = {name for name in whole if "training" in sources_of(_built(whole[name], name).train)}
    runs = {}
    for arm in config.arms:
        needs = mined if arm.name in mining else data
        for seed in config.seeds:
            is_first = config.before and arm is config.arms[0]
            tables = _of_seed(whole[arm.name], seed, before=is_first)
            folder = storage.join(out, "runs", arm.name, f"seed-{seed}")
            name = f"{arm.name} seed {seed}"
            runs[arm.name, seed] = _job(name, folder, _RUN_STEPS, tables, needs[arm.name])
    shared = {
        data[name]: _job("data", data[name], steps[data[name]], whole[name]) for name in whole
    }
    rows = {
        mined[name]: _mining("mine", mined[name], whole[name], data[name])
        for name in whole
        if name in mining
    }
    return Plan(data=tuple(shared.values()), mined=tuple(rows.values()), runs=runs)


def _job(
    name: str, folder: str, steps: tuple[str, ...], tables: Mapping[str, Any], needs: str = ""
) -> Job:
    written = {k: v for k, v in tables.items() if k != "ablate"} | {"out": folder}
    return Job(name=name, folder=folder, steps=steps, tables=written, needs=needs)


def _mining(name: str, folder: str, tables: Mapping[str, Any], needs: str) -> Job:
    """Return the job that mines; vectors lie beside its folder, for arms that mine otherwise."""
    vectors = storage.join(folder.rpartition("/")[0], "vectors")
    return replace(_job(name, folder, ("mine-negatives",), tables, needs), cache=vectors)


def _of_arm(base: Mapping[str, Any], arm: ArmConfig, seed: int) -> dict[str, Any]:
    """Return the base tables with what an arm sets."""
    tables = copy.deepcopy(dict(base))
    tables.pop("ablate", None)
    for key, value in dotted(arm.set):
        if key.split(".")[0] in _NO_RESULT or key == "train.seed":
            raise ConfigError(f"the arm {arm.name!r} sets {key}, which is the ablation's own")
        set_key(tables, key, value)
    set_key(tables, "train.seed", seed)
    _built(tables, arm.name)
    return tables


def _built(tables: Mapping[str, Any], name: str) -> RunConfig:
    try:
        return build(RunConfig, tables, "")
    except ConfigError as error:
        raise ConfigError(f"the arm {name!r}: {error}") from error


def dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of nested tables: {a: {b: 1}} and {"a.b": 1} are the same."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _of_seed(tables: Mapping[str, Any], seed: int, *, before: bool) -> dict[str, Any]:
    own = copy.deepcopy(dict(tables))
    set_key(own, "train.seed", seed)
    set_key(own, "evaluation.before", before)
    return own


def _refuse_equal(whole: Mapping[str, dict[str, Any]]) -> None:
    seen: dict[str, str] = {}
    for name, tables in whole.items():
        key = manifest.fingerprint(_result_of(tables))
        if key in seen:
            raise ConfigError(f"the arms {seen[key]!r} and {name!r} are the same configuration")
        seen[key] = name


def _result_of(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole config, defaults filled in, without what changes no result."""
    filled = to_dict(build(RunConfig, dict(tables), ""))
    return {k: v for k, v in filled.items() if k not in _NO_RESULT}


def _shared(tables: Mapping[str, Any], kind: str, wanted: tuple[str, ...], out: str) -> str:
    """Return the folder of what all arms share that are equal in some tables."""
    filled = _result_of(tables)
    key = manifest.fingerprint({name: filled[name] for name in wanted})
    return storage.join(out, "shared", f"{kind}-{key[:8]}")


def steps_of(config: RunConfig) -> tuple[str, ...]:
    """Return the steps that make the data of a run, from the corpora on."""
    steps = ["curate"]
    if config.relevance.enabled:
        steps.append("filter-pairs")
    asked = any(relation.startswith("question-") for relation in config.mining.relations)
    judged = any(wanted.kind == "questions" for wanted in config.evaluation.sets)
    if (asked and "training" in sources_of(config.train)) or judged:
        steps.append("synth")
    return tuple(steps)


def _united(found: Iterator[tuple[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    """Return the longest list of steps of each folder: arms differ in synth alone."""
    united: dict[str, tuple[str, ...]] = {}
    for folder, steps in found:
        united[folder] = max(united.get(folder, ()), steps, key=len)
    return united
