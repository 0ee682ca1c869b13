"""Groups, sampling by temperature and merging: who shares a batch, how often a row comes."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError, InputError
from curation.tokens import bucket_name
from tests.builders import training_rows, write_training_shards
from train.batching import EpochPlan
from train.data import shards_of
from train.rows import RowReader
from train.stage_config import BatchingConfig
from train.streams import Layout, Shard, layout_of

Kind = tuple[int, str, str]
"""Bucket, source, language."""


def write(folder: Path, kinds: Sequence[Kind], step: int = 7) -> list[Shard]:
    """Write rows of the kinds, in row groups of 3; ids are their numbers."""
    rows = training_rows(120)[: len(kinds)]
    parts = []
    for row, (_, source, language) in zip(rows, kinds, strict=True):
        row.source, row.language = source, language
    for bucket in sorted({kind[0] for kind in kinds}):
        own = [row for row, kind in zip(rows, kinds, strict=True) if kind[0] == bucket]
        sizes = [min(step, len(own) - i) for i in range(0, len(own), step)]
        parts += write_training_shards(folder, own, sizes, bucket_name(bucket))["parts"]
    return shards_of(str(folder), {"parts": parts})


def epoch(
    layout: Layout, size: int, world: int, number: int = 0
) -> list[list[list[dict[str, Any]]]]:
    """Return the rows of each step and rank."""
    plan = EpochPlan(layout.streams, (size,) * 9, 0, number, world)
    with closing(RowReader(layout, "training", 0)) as reader:
        return [
            [reader.read(plan.batch(step, rank)) for rank in range(world)]
            for step in range(len(plan))
        ]


def counted(steps: list[list[list[dict[str, Any]]]]) -> Counter[str]:
    return Counter(row["id"] for step in steps for rank in step for row in rank)


KINDS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from("ab"), st.sampled_from(["en", "th"])),
    min_size=4,
    max_size=60,
)


@settings(deadline=None, max_examples=25)
@given(KINDS, st.integers(1, 4), st.integers(1, 5), st.integers(1, 9), st.booleans())
def test_groups_take_every_row_once(
    tmp_path_factory: pytest.TempPathFactory,
    kinds: list[Kind],
    world: int,
    size: int,
    step: int,
    by_language: bool,
) -> None:
    """For any shards, sizes and processes; batches are of one group unless rows had to join."""
    columns = ("source", "language") if by_language else ("source",)
    shards = write(tmp_path_factory.mktemp("rows"), kinds, step)
    layout = layout_of(shards, BatchingConfig(group_by=columns), world)
    steps = epoch(layout, size, world)
    assert set(counted(steps).values()) == {1}
    assert len(counted(steps)) == len(kinds)
    assert all(rank for found in steps for rank in found)
    by_id = {f"row-{i:03d}": kind for i, kind in enumerate(kinds)}
    if not layout.notes:
        for found in steps:
            rows = [by_id[row["id"]] for rank in found for row in rank]
            assert len({kind[: 2 + by_language] for kind in rows}) == 1


def test_temperature_repeats_the_small(tmp_path: Path) -> None:
    """T = 2: 64, 16 and 4 rows come as 64, 32 and 16: p ∝ √n; the note says so."""
    kinds = [(0, "a", "en")] * 64 + [(0, "a", "th")] * 16 + [(1, "b", "th")] * 4
    layout = layout_of(write(tmp_path, kinds), BatchingConfig(sampling_temperature=2))
    assert layout.rows == 64 + 32 + 16
    assert layout.notes == [
        "temperature 2: an epoch repeats 28 rows of 2 of 3 languages and sources, up to 4.0 times"
    ]
    times = counted(epoch(layout, 4, 1))
    assert [times[f"row-{i:03d}"] for i in range(84)] == [1] * 64 + [2] * 16 + [4] * 4


def test_part_of_a_repetition_is_drawn_anew_each_epoch(tmp_path: Path) -> None:
    """81 and 36 rows, T = 2: 1.5 times; each row once or twice, others twice in another epoch."""
    kinds = [(0, "a", "en")] * 81 + [(0, "a", "th")] * 36
    layout = layout_of(write(tmp_path, kinds), BatchingConfig(sampling_temperature=2))
    first, second = (counted(epoch(layout, 4, 1, number)) for number in (0, 1))
    small = [f"row-{i:03d}" for i in range(81, 117)]
    for times in (first, second):
        assert sorted(times[name] for name in small) == [1] * 18 + [2] * 18
    assert first != second
    assert counted(epoch(layout, 4, 1, 0)) == first


def test_repeats_are_capped(tmp_path: Path) -> None:
    """One row beside 81 would come 9 times; the note counts whom the cap holds."""
    kinds = [(0, "a", "en")] * 81 + [(0, "a", "th")]
    config = BatchingConfig(sampling_temperature=2, max_repeats=3)
    layout = layout_of(write(tmp_path, kinds), config)
    assert layout.rows == 84
    assert layout.notes[0].endswith("3.0 times (1 are held at train.batching.max_repeats)")


def test_temperature_and_groups_go_together(tmp_path: Path) -> None:
    """Repeated rows stay in batches of their source."""
    kinds = [(0, "a", "en")] * 36 + [(0, "b", "th")] * 9
    config = BatchingConfig(group_by=("source",), sampling_temperature=2)
    layout = layout_of(write(tmp_path, kinds), config)
    assert [stream.rows for stream in layout.streams] == [36, 18]
    for step in epoch(layout, 5, 2):
        assert len({int(row["id"][4:]) >= 36 for rank in step for row in rank}) == 1


@pytest.mark.parametrize(
    ("counts", "expected", "note"),
    [
        ([9, 2, 9], [9, 11], "bucket 500-1000 has 2 rows for 4 processes: its rows join those of"),
        ([9, 2, 0], [11], "join those of bucket 0-500"),
        ([1, 1, 3], [5], "join those of bucket 1000-2000"),
    ],
    ids=["the longer neighbour", "the shorter where there is none", "one after the other"],
)
def test_small_buckets_are_merged(counts: list[int], expected: list[int], note: str) -> None:
    """A bucket with fewer rows than processes joins its neighbour, with a reason."""
    shards = [Shard(f"{bucket}", bucket, rows) for bucket, rows in enumerate(counts)]
    layout = layout_of(shards, BatchingConfig(), 4)
    assert [stream.rows for stream in layout.streams] == expected
    assert any(note in line for line in layout.notes), layout.notes


def test_small_group_joins_its_own_kind_first(tmp_path: Path) -> None:
    """In another bucket before another source; the note names both."""
    kinds = [(0, "a", "en")] * 9 + [(0, "b", "en")] * 9 + [(2, "a", "en")] + [(1, "b", "en")] * 9
    layout = layout_of(write(tmp_path, kinds), BatchingConfig(group_by=("source",)), 2)
    assert layout.notes == [
        "bucket 1000-2000 of a has 1 rows for 2 processes: its rows join those of bucket 0-500 of a"
    ]


def test_many_merged_groups_are_told_in_few_lines(tmp_path: Path) -> None:
    """Five by name, the number of the others."""
    kinds = [(0, f"s{i}", "en") for i in range(12)] + [(0, "big", "en")] * 9
    layout = layout_of(write(tmp_path, kinds), BatchingConfig(group_by=("source",)), 2)
    assert [stream.rows for stream in layout.streams] == [21]
    assert len(layout.notes) == 6
    assert layout.notes[-1] == "rows of 7 more join others in the same way"


def test_fewer_rows_than_processes_are_refused() -> None:
    """Some would have nothing to do at any step."""
    with pytest.raises(InputError, match="3 rows are fewer than the 4 processes; start fewer"):
        layout_of([Shard("a", 0, 2), Shard("b", 1, 1)], BatchingConfig(), 4)


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_damaged_shard_is_named(tmp_path: Path, damage: str) -> None:
    """The counts are read from every shard."""
    shards = write(tmp_path, [(0, "a", "en")] * 9)
    path = Path(shards[1].path)
    content = path.read_bytes()
    path.unlink() if damage == "gone" else path.write_bytes(content[:50])
    with pytest.raises(InputError, match=f"{path} is missing or damaged"):
        layout_of(shards, BatchingConfig(group_by=("source",)))


def test_shard_with_other_rows_than_its_manifest_is_named(tmp_path: Path) -> None:
    """Places would point to nothing."""
    shards = write(tmp_path, [(0, "a", "en")] * 7)
    other = [Shard(shards[0].path, 0, 8)]
    with pytest.raises(InputError, match="has 7 rows, its manifest says 8"):
        layout_of(other, BatchingConfig(group_by=("source",)))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("group_by", ("sauce",), "unknown train.batching.group_by 'sauce': did you mean 'source'?"),
        ("group_by", ("source", "source"), "names a column twice"),
        ("sampling_temperature", 0.5, "train.batching.sampling_temperature = 0.5 is outside 1"),
        ("max_repeats", 0.0, "train.batching.max_repeats = 0.0"),
    ],
)
def test_wrong_options_are_refused(option: str, value: Any, message: str) -> None:
    """By name, with what is valid."""
    with pytest.raises(ConfigError) as caught:
        BatchingConfig(**{option: value})
    assert message in str(caught.value)


def test_planning_takes_no_memory_per_row() -> None:
    """1.2 billion rows in 2,000 shards: less than 2 MB, whichever steps are asked for."""
    shards = [Shard(f"part-{i}", i % 9, 600_000) for i in range(2000)]
    tracemalloc.start()
    plan = EpochPlan(layout_of(shards, BatchingConfig(), 8).streams, (48,) * 9, 0, 0, 8)
    assert 3_125_000 <= len(plan) < 3_125_100
    for step in (0, 1_500_000, len(plan) - 1):
        assert len(plan.batch(step, 7).rows) == 48
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()
