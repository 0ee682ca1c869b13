"""Runs are merged where there are many: fewer files a part, the same rows."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from curation import run_files, runs
from curation.records import PAIR
from curation.runs import KEY, KeyRange, Run, Span
from pipelines import compact, runner
from pipelines.merges import keep_all
from pipelines.parts import WriteParts
from pipelines.work import Workspace
from tests.command_line import digests, parts_only
from tests.pipelines.test_parts import make_pairs, plan_for, spill, write

TOP = (1 << 64) - 1


@pytest.mark.parametrize(
    ("count", "most", "sizes"),
    [
        (64, 64, []),
        (65, 64, [64, 1]),
        (4096, 64, [64] * 64),
        (10_000, 64, [100] * 100),
        (0, 64, []),
    ],
)
def test_groups_are_about_the_square_root_of_all_runs(
    count: int, most: int, sizes: list[int]
) -> None:
    """Neither the groups nor the runs of a group grow faster than the square root."""
    spans = [Span(f"run-{number:05d}", 0, TOP) for number in range(count)]
    found = runs.group(spans[::-1], most)
    assert [len(group) for group in found] == sizes
    assert [span for group in found for span in group] == (spans if sizes else [])


def spilled(folder: Path, count: int, elements: int) -> list[Run]:
    pairs = make_pairs(count)
    groups = [pairs[start::elements] for start in range(elements)]
    return spill(Workspace(str(folder / "w")), groups, 1 << 30)


def test_a_merged_group_holds_the_same_rows_in_ranges(tmp_path: Path) -> None:
    """Its runs follow one another: no key is in two of them."""
    written = spilled(tmp_path, 200, 10)
    paths = [run.path for run in written]
    workspace = Workspace(str(tmp_path / "m"))
    merged = compact.write_merged(paths, "pairs", "g", workspace, PAIR, 8000)
    assert len(merged) > 3
    everything = KeyRange(0, 0, TOP)
    assert runs.read_range([run.path for run in merged], everything, PAIR) == (
        runs.read_range(paths, everything, PAIR)
    )
    keyed = PAIR.append(runs.read_range(paths, everything, PAIR).schema.field(KEY))
    keys = [
        [k for b in run_files.read(run.path, 0, TOP, keyed, KEY) for k in b[KEY].to_pylist()]
        for run in merged
    ]
    assert all(left[-1] < right[0] for left, right in itertools.pairwise(keys))


def test_a_merge_that_was_done_is_not_done_again(tmp_path: Path) -> None:
    """With its status in place the inputs are not even opened."""
    workspace = Workspace(str(tmp_path / "m"))
    spans = [run.span for run in spilled(tmp_path, 60, 6)]
    arguments: Any = ("pairs", workspace, PAIR, 8000)
    first = list(compact.merge((True, spans), *arguments))
    for span in spans:
        Path(span.path).unlink()
    assert list(compact.merge((True, spans), *arguments)) == first
    assert list(compact.merge((False, spans), *arguments)) == spans


@pytest.mark.parametrize("most", [3, 1000], ids=["merged", "as-they-are"])
def test_parts_are_the_same_bytes_with_and_without_merging(tmp_path: Path, most: int) -> None:
    """Whether runs were merged on the way cannot be seen in the output."""
    written = spilled(tmp_path, 200, 20)
    expected = write(tmp_path / "loop", written, plan_for(tmp_path / "loop"))
    workspace = Workspace(str(tmp_path / "work"))
    pipeline = runner.create_pipeline([], 1, len(written))
    parts = WriteParts(plan_for(tmp_path), workspace, keep_all, spills=(), most_runs=most)
    _ = pipeline | beam.Create(written) | parts
    runner.run(pipeline)
    assert parts_only(digests(tmp_path / "pairs")) == expected
    assert bool(workspace.statuses("compact-pairs")) == (most == 3)
