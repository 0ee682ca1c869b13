"""Runs → parts: the same bytes however the records were split, spilled and worked on."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import manifest
from curation.records import PAIR, REJECT, Pair, Reject
from curation.runs import KEY, Run, add_histograms
from curation.tokens import bucket_boundaries, length_part_names
from pipelines import runner
from pipelines.merges import keep_all
from pipelines.parts import PartPlan, WritePart, WriteParts, plan_parts, publish
from pipelines.spill import Spiller, earlier_runs
from pipelines.stored import store
from pipelines.work import Workspace
from tests.command_line import digests

WORDS = ["river", "mill", "town", "sea", "hill", "lamp", "tower", "storm", "wreck", "keeper"]


def make_pairs(count: int, seed: int = 0) -> list[Pair]:
    """Return distinct pairs of many lengths, a tenth of them beyond the first bucket."""
    draw = random.Random(seed)
    pairs = []
    for number in range(count):
        text = " ".join(draw.choices(WORDS, k=draw.randint(5, 60)))
        pair = Pair(f"query {number}", text, "section", "en", "en", f"source-{number % 3}")
        pair.query_tokens = 3
        pair.positive_tokens = draw.randint(10, 700)
        pairs.append(pair)
    return pairs


def plan_for(folder: Path, kind: str = "pairs", part_bytes: int = 4000) -> PartPlan:
    return PartPlan(
        kind=kind,
        directory=str(folder / kind),
        schema=PAIR if kind == "pairs" else REJECT,
        part_bytes=part_bytes,
        description={"fingerprint": "f"},
        names=length_part_names,
        boundaries=tuple(bucket_boundaries()),
    )


def spill(workspace: Workspace, groups: Sequence[Sequence[Any]], limit: int) -> list[Run]:
    """Spill groups of pairs as the elements of a stage would."""
    written = []
    for number, group in enumerate(groups):
        spiller = Spiller(workspace, f"element-{number}", limit)
        for pair in group:
            spiller.add("pairs", pair, len(pair.positive))
        spiller.flush()
        written += [run for _, run in spiller.written]
    return written


def make_writer(folder: Path, plan: PartPlan, setup: Any) -> tuple[Any, WritePart]:
    """Return a stored plan and a writer that is set up."""
    workspace = Workspace(str(folder / "work"))
    stored = store(workspace, "plan", (plan, setup))
    writer = WritePart(stored, workspace)
    writer.setup()
    return stored, writer


def write(folder: Path, runs: list[Run], plan: PartPlan) -> dict[str, str]:
    """Write all parts without an engine; return their digests."""
    stored, writer = make_writer(folder, plan, keep_all)
    spans = [run.span for run in runs]
    for element in plan_parts(add_histograms(run.histogram for run in runs), stored):
        list(writer.process(element, spans, []))
    return digests(folder / plan.kind)


@settings(deadline=None, max_examples=12)
@given(
    order=st.randoms(use_true_random=False),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    limit=st.integers(2000, 40_000),
)
def test_splits_order_and_spill_size_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    order: random.Random,
    cuts: list[int],
    limit: int,
) -> None:
    """Any grouping of the same records, in any order, spilled at any size, gives the same parts."""
    pairs = make_pairs(60)
    whole = tmp_path_factory.mktemp("whole")
    expected = write(whole, spill(Workspace(str(whole / "w")), [pairs], 1 << 30), plan_for(whole))
    order.shuffle(pairs)
    edges = [0, *sorted(cuts), len(pairs)]
    groups = [pairs[low:high] for low, high in itertools.pairwise(edges)]
    folder = tmp_path_factory.mktemp("split")
    assert write(folder, spill(Workspace(str(folder / "w")), groups, limit), plan_for(folder)) == (
        expected
    )
    assert len(expected) > 5


@pytest.mark.parametrize("workers", [1, 2])
def test_the_engine_writes_what_the_plan_says(tmp_path: Path, workers: int) -> None:
    """Beam with one or two processes gives the parts of a plain loop, and a manifest of them."""
    pairs = make_pairs(200)
    expected_folder = tmp_path / "loop"
    expected = write(
        expected_folder,
        spill(Workspace(str(expected_folder / "w")), [pairs], 1 << 30),
        plan_for(expected_folder),
    )
    groups = [pairs[0::3], pairs[1::3], pairs[2::3]]
    workspace = Workspace(str(tmp_path / "work"))
    runs = spill(workspace, groups, 9000)
    pipeline = runner.create_pipeline([], workers, len(runs))
    plan = plan_for(tmp_path)
    _ = pipeline | beam.Create(runs) | WriteParts(plan, workspace, keep_all, spills=())
    runner.run(pipeline)
    found = digests(tmp_path / "pairs")
    listed = manifest.read(plan.directory, "x")
    assert {n: d for n, d in found.items() if n.endswith(".parquet")} == expected
    assert {f"pairs/{part['name']}": part["sha256"] for part in listed["parts"]} == expected
    assert listed["rows"] == 200


def test_no_run_gives_an_empty_manifest(tmp_path: Path) -> None:
    """A kind of record that never occurred is complete with no part."""
    pipeline = runner.create_pipeline([], 1, 0)
    plan = plan_for(tmp_path)
    workspace = Workspace(str(tmp_path / "work"))
    _ = pipeline | beam.Create([]) | WriteParts(plan, workspace, keep_all, spills=())
    runner.run(pipeline)
    assert manifest.read(plan.directory, "x")["parts"] == []


@settings(deadline=None, max_examples=15)
@given(part_bytes=st.integers(1500, 30_000), seed=st.integers(0, 1000))
def test_parts_are_of_bounded_size(
    tmp_path_factory: pytest.TempPathFactory, part_bytes: int, seed: int
) -> None:
    """A part holds at most its share and one histogram bin, and every row is in one part."""
    folder = tmp_path_factory.mktemp("sized")
    pairs = make_pairs(150, seed)
    plan = plan_for(folder, part_bytes=part_bytes)
    write(folder, spill(Workspace(str(folder / "w")), [pairs], 1 << 30), plan)
    ids, sizes = [], []
    for path in sorted((folder / "pairs").rglob("*.parquet")):
        table = pq.read_table(path)
        texts = [column for column in table.itercolumns() if pa.types.is_string(column.type)]
        strings = (text for column in texts for text in column.to_pylist())
        sizes.append(64 * table.num_rows + sum(len(text) for text in strings))
        ids += table["id"].to_pylist()
    largest_row = 64 + 600
    assert max(sizes) <= part_bytes + largest_row
    assert sorted(ids) == sorted(pair.id for pair in pairs)


def test_a_finished_part_is_not_written_again(tmp_path: Path) -> None:
    """With its status in place, a second attempt hands on what the first one wrote."""
    pairs = make_pairs(20)
    runs = spill(Workspace(str(tmp_path / "w")), [pairs], 1 << 30)
    plan = plan_for(tmp_path, part_bytes=1 << 20)
    workspace = Workspace(str(tmp_path / "work"))
    calls = []

    def merge(table: pa.Table) -> Any:
        calls.append(table.num_rows)
        reject = Reject("id", "write", "duplicate_pair", "wiki", "en")
        return table.drop_columns([KEY]), [("rejects", reject, 0)]

    stored = store(workspace, "plan", (plan, keep_all))
    writer = WritePart(stored, workspace)
    writer.setup()
    writer._merge = merge
    element = plan_parts(runs[0].histogram, stored)[0]
    first, second = (list(writer.process(element, [r.span for r in runs], [])) for _ in range(2))
    assert calls == [pq.read_metadata(f"{plan.directory}/{first[0]['name']}").num_rows]
    assert first[0] == second[0]
    assert [item.tag for item in second[1:]] == ["rejects"]
    [status] = workspace.statuses("write-pairs")
    assert status["counts"]["rejects|duplicate_pair|wiki|en"] == 1
    assert sum(n for k, n in status["counts"].items() if k.startswith("pairs|")) == calls[0]


def test_a_range_without_rows_gives_no_part(tmp_path: Path) -> None:
    """A merge that drops all rows of a range leaves no file."""
    runs = spill(Workspace(str(tmp_path / "w")), [make_pairs(3)], 1 << 30)
    plan = plan_for(tmp_path)
    stored, writer = make_writer(tmp_path, plan, lambda: lambda t: (t.slice(0, 0), []))
    element = plan_parts(runs[0].histogram, stored)[0]
    assert list(writer.process(element, [runs[0].span], [])) == []
    assert not (tmp_path / "pairs").exists()


def test_a_spiller_holds_no_more_than_its_limit(tmp_path: Path) -> None:
    """Beyond the limit records go to disk, one run a kind and flush; nothing is lost."""
    spiller = Spiller(Workspace(str(tmp_path)), "e", 2000)
    pairs = make_pairs(30)
    for number, pair in enumerate(pairs):
        spiller.add("pairs", pair, len(pair.positive))
        spiller.add("rejects", Reject(str(number), "s", "r"), 0)
        assert spiller._bytes <= 2000
    spiller.flush()
    spiller.flush()
    kinds = [kind for kind, _ in spiller.written]
    assert kinds.count("pairs") > 5 < kinds.count("rejects")
    rows = sum(int(run.histogram.rows.sum()) for _, run in spiller.written)
    assert rows == 60
    again = list(earlier_runs([run.path for _, run in spiller.written] + ["x/ids/e.npy"]))
    assert [(kind, run.path) for kind, run in again] == [
        (kind, run.path) for kind, run in spiller.written
    ]
    for (_, run), (_, old) in zip(again, spiller.written, strict=True):
        assert run.histogram.rows.tolist() == old.histogram.rows.tolist()
        assert run.histogram.bytes.tolist() == old.histogram.bytes.tolist()


def test_publish_lists_parts_in_order(tmp_path: Path) -> None:
    """A manifest does not depend on which worker was done first."""
    parts = [{"name": f"part-{i}", "rows": i, "bytes": 1, "sha256": ""} for i in (2, 0, 1)]
    plan = plan_for(tmp_path)
    publish(parts, store(Workspace(str(tmp_path / "w")), "plan", (plan, keep_all)))
    listed = manifest.read(plan.directory, "x")
    assert [part["name"] for part in listed["parts"]] == ["part-0", "part-1", "part-2"]
    assert (listed["rows"], listed["bytes"]) == (3, 3)
