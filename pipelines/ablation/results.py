"""Finished runs → the tables: every arm's values by set and mode, its means and differences."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from curation import storage
from pipelines.ablation.arms import Plan
from pipelines.ablation.config import AblateConfig, StudyConfig
from pipelines.ablation.paper import PAPER
from pipelines.ablation.statistics import Estimate, Values, difference, estimate
from pipelines.evaluation.formats.files import qrels
from pipelines.evaluation.languages import benchmark_of
from pipelines.evaluation.runs import read_run
from train import metrics
from train.watch import MODES

VERSION = 1
BEFORE, AFTER = "before", "after"

Cube = dict[str, dict[str, Values]]
"""set → mode → (seeds, queries)."""


def read(plan: Plan, config: AblateConfig) -> dict[str, Cube]:
    """Return the values of each arm, and of the model before training where it was evaluated."""
    cubes = {
        arm.name: _cube([plan.runs[arm.name, seed].folder for seed in config.seeds], AFTER, config)
        for arm in config.arms
    }
    if config.before:
        first = config.arms[0].name
        named = [plan.runs[first, seed].folder for seed in config.seeds]
        cubes = {BEFORE: _cube(named, BEFORE, config)} | cubes
    return cubes


def _cube(runs: Sequence[str], model: str, config: AblateConfig) -> Cube:
    """Return the values of one arm's runs, a row per seed."""
    rows = [_run(storage.join(folder, "metrics"), model, config.measure) for folder in runs]
    return {
        name: {mode: np.array([row[name][mode] for row in rows]) for mode in MODES}
        for name in rows[0]
    }


def _run(folder: str, model: str, measure: str) -> dict[str, dict[str, list[float]]]:
    """Return a run's values by set and mode, queries in the order of their ids."""
    found = {}
    for name in sorted(os.listdir(storage.join(folder, "runs"))):
        judged = qrels(storage.join(folder, "qrels", f"{name}.qrels"))
        found[name] = {
            mode: _values(
                storage.join(folder, "runs", name, f"{model}.{mode}.trec"), judged, measure
            )
            for mode in MODES
        }
    return found


def _values(path: str, judged: Mapping[str, Mapping[str, int]], measure: str) -> list[float]:
    values = metrics.evaluate(read_run(path), judged)
    return [values[query][measure] for query in sorted(values)]


def assemble(cubes: Mapping[str, Cube], config: AblateConfig) -> dict[str, Any]:
    """Return the content of ablation.json."""
    whole = StudyConfig(name="All arms", arms=tuple(arm.name for arm in config.arms))
    changed = {arm.name: arm.set for arm in config.arms}
    first = next(iter(cubes.values()))
    return {
        "version": VERSION,
        "measure": config.measure,
        "seeds": list(config.seeds),
        "draws": config.draws,
        "sets": {name: int(first[name][MODES[0]].shape[1]) for name in first},
        "arms": changed,
        "studies": [_study(study, cubes, config.draws) for study in config.studies or (whole,)],
    }


def _study(study: StudyConfig, cubes: Mapping[str, Cube], draws: int) -> dict[str, Any]:
    base = study.arms[0]
    rows = ([BEFORE] if BEFORE in cubes else []) + list(study.arms)
    paper = asdict(PAPER[study.paper]) if study.paper else None
    return {
        "name": study.name,
        "base": base,
        "paper": paper,
        "rows": [_row(name, cubes[name], cubes[base], name != base, draws) for name in rows],
    }


def _row(name: str, cube: Cube, base: Cube, compared: bool, draws: int) -> dict[str, Any]:
    """Return an arm's values: over all benchmarks and for each, with differences to the base."""
    groups = {"": list(cube), **benchmarks(cube)}
    return {
        "name": name,
        "values": {label: _by_mode(cube, None, sets, draws) for label, sets in groups.items()},
        "differences": {
            label: _by_mode(cube, base, sets, draws) for label, sets in groups.items() if compared
        },
    }


def benchmarks(sets: Iterable[str]) -> dict[str, list[str]]:
    """Return the sets of each benchmark: one for each of its languages, or one alone."""
    found: dict[str, list[str]] = {}
    for name in sets:
        found.setdefault(benchmark_of(name), []).append(name)
    return {group[0] if len(group) == 1 else name: group for name, group in found.items()}


def _weights(sets: Sequence[str]) -> list[float]:
    """Return what each set counts, so that every benchmark counts the same."""
    sizes = {name: len(group) for group in benchmarks(sets).values() for name in group}
    return [1 / sizes[name] for name in sets]


def _by_mode(
    cube: Cube, base: Cube | None, sets: Sequence[str], draws: int
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    weights = _weights(sets)
    for mode in MODES:
        ours = [cube[name][mode] for name in sets]
        theirs = [base[name][mode] for name in sets] if base else None
        one: Estimate = (
            difference(ours, theirs, draws, weights) if theirs else estimate(ours, draws, weights)
        )
        found[mode] = asdict(one)
    return found
