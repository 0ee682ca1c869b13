"""The tables of an ablation as rows of text: for the terminal, Markdown and HTML alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.ablation.results import benchmarks
from train.watch import MODES

Table = tuple[str, list[str], list[list[str]]]
"""Heading, columns and rows."""
AVERAGE = ""
"""What the mean over all benchmarks is called in ablation.json."""


def tables_of(study: Mapping[str, Any], sets: Mapping[str, int]) -> Iterator[Table]:
    """Yield a study's tables: all benchmarks, differences, the paper's, each benchmark."""
    groups = benchmarks(sets)
    headings = [_heading(name, group, sets) for name, group in groups.items()]
    heading = headings[0] if len(groups) == 1 else f"Mean of {len(groups)} benchmarks"
    yield heading, ["arm", *MODES], _values(study, AVERAGE)
    yield f"Difference to {study['base']}", ["arm", *MODES], _differences(study, AVERAGE)
    if paper := study["paper"]:
        yield f"The paper's: {paper['title']}", ["arm", *paper["modes"]], _paper(paper)
    if len(groups) > 1:
        for heading, name in zip(headings, groups, strict=True):
            yield heading, ["arm", *MODES], _values(study, name)


def _heading(name: str, group: list[str], sets: Mapping[str, int]) -> str:
    queries = sum(sets[one] for one in group)
    sizes = f"{queries} queries" if len(group) == 1 else f"{len(group)} sets, {queries} queries"
    return f"{name} ({sizes})"


def _values(study: Mapping[str, Any], label: str) -> list[list[str]]:
    return [
        [row["name"], *(_value(row["values"][label][mode]) for mode in MODES)]
        for row in study["rows"]
    ]


def _value(one: Mapping[str, Any]) -> str:
    return f"{one['mean']:.4f} [{one['low']:.3f}, {one['high']:.3f}]"


def _differences(study: Mapping[str, Any], label: str) -> list[list[str]]:
    return [
        [row["name"], *(_change(row["differences"][label][mode]) for mode in MODES)]
        for row in study["rows"]
        if row["differences"]
    ]


def _change(one: Mapping[str, Any]) -> str:
    """Return a difference with its interval; in bold type stars where it does not hold 0."""
    sure = " *" if one["low"] > 0 or one["high"] < 0 else ""
    return f"{one['mean']:+.4f} [{one['low']:+.3f}, {one['high']:+.3f}]{sure}"


def _paper(paper: Mapping[str, Any]) -> list[list[str]]:
    return [[name, *(f"{value / 100:.3f}" for value in row)] for name, row in paper["rows"].items()]


def seeds_table(study: Mapping[str, Any], seeds: list[int]) -> Table:
    """Return the mean over all benchmarks of every seed."""
    rows = [
        [f"{row['name']}, seed {seed}", *(f"{_of(row, mode, place):.4f}" for mode in MODES)]
        for row in study["rows"]
        for place, seed in enumerate(seeds)
    ]
    return "Each seed, mean of the benchmarks", ["arm", *MODES], rows


def _of(row: Mapping[str, Any], mode: str, place: int) -> float:
    return float(row["values"][AVERAGE][mode]["seeds"][place])
