"""Sorted runs: the parts depend on the rows alone, however the input was split and ordered."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import runs
from curation.runs import KEY, Histogram, KeyRange, Keys

BIN = 1 << 49
TOP = (1 << 64) - 1
SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("n", pa.int32())])

# Few keys, so that ties meet; the extremes and both sides of a bin's edge among them.
keys_and_texts = st.tuples(
    st.sampled_from([0, 1, BIN - 1, BIN, 5 * BIN + 3, 1 << 63, TOP]) | st.integers(0, TOP),
    st.text("aé日", max_size=3),
)


def table_of(rows: list[tuple[int, str]], first: int = 0) -> tuple[pa.Table, Keys]:
    """Return rows as a table with distinct ids, and their keys."""
    columns = [
        pa.array([f"id-{first + i:03d}" for i in range(len(rows))]),
        pa.array([text for _, text in rows], pa.string()),
        pa.array(range(first, first + len(rows)), pa.int32()),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA), np.array([k for k, _ in rows], np.uint64)


def write_split(
    folder: Path, rows: list[tuple[int, str]], cuts: list[int], names: str = "abcdef"
) -> list[runs.Run]:
    """Write rows as runs, cut at the given places, under names in the given order."""
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    pieces = zip(names, edges, edges[1:], strict=False)
    return [
        runs.write_run(str(folder / f"{name}.parquet"), *table_of(rows[low:high], low))
        for name, low, high in pieces
    ]


def merged(written: list[runs.Run], part_bytes: int) -> list[pa.Table]:
    """Return the parts that runs give."""
    histogram = runs.add_histograms(run.histogram for run in written)
    plan = runs.plan_ranges(histogram, part_bytes)
    return [runs.read_range([run.path for run in written], part, SCHEMA) for part in plan]


@given(
    rows=st.lists(keys_and_texts, min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=3),
    names=st.permutations("abcdef").map("".join),
    part_bytes=st.sampled_from([100, 1000, 100_000]),
)
@settings(deadline=None, max_examples=30)
def test_parts_do_not_depend_on_the_split(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, str]],
    cuts: list[int],
    names: str,
    part_bytes: int,
) -> None:
    """Any split into runs, in any order of names, gives the same parts with the same rows."""
    whole = write_split(tmp_path_factory.mktemp("whole"), rows, [])
    split = write_split(tmp_path_factory.mktemp("split"), rows, cuts, names)
    parts = merged(whole, part_bytes)
    assert [p.to_pylist() for p in merged(split[::-1], part_bytes)] == [
        p.to_pylist() for p in parts
    ]
    found = [(r[KEY], r["id"], r["text"], r["n"]) for part in parts for r in part.to_pylist()]
    wanted = [(key, f"id-{i:03d}", text, i) for i, (key, text) in enumerate(rows)]
    assert found == sorted(wanted)


def test_ties_are_broken_by_every_string_column(tmp_path: Path) -> None:
    """Rows of one key and id are ordered by their text, not by the run they came from."""
    texts = ["b", "a", "c", "a"]
    for name, order in (("x", texts), ("y", texts[::-1])):
        paths = []
        for i, text in enumerate(order):
            table = pa.table({"id": ["same"], "text": [text], "n": pa.array([1], pa.int32())})
            paths.append(str(tmp_path / f"{name}{i}"))
            runs.write_run(paths[-1], table, np.array([9], np.uint64))
        got = runs.read_range(paths, KeyRange(0, 0, TOP), SCHEMA)
        assert got["text"].to_pylist() == ["a", "a", "b", "c"]


def test_range_is_closed_on_both_sides(tmp_path: Path) -> None:
    """Rows at both ends belong to the range, their neighbours do not."""
    run = write_split(tmp_path, [(k, "") for k in (9, 10, 11, 20, 21)], [])[0]
    part = runs.read_range([run.path], KeyRange(0, 10, 20), SCHEMA)
    assert part[KEY].to_pylist() == [10, 11, 20]
    assert part.schema.names == ["id", "text", "n", KEY]


def test_range_without_rows_has_the_schema(tmp_path: Path) -> None:
    """A range that no row is in gives a typed empty table, with and without runs."""
    run = write_split(tmp_path, [(5, "x")], [])[0]
    for paths in ([run.path], []):
        part = runs.read_range(paths, KeyRange(0, 6, TOP), SCHEMA)
        assert part.num_rows == 0
        assert part.schema == SCHEMA.append(pa.field(KEY, pa.uint64()))


def test_only_overlapping_row_groups_count(tmp_path: Path) -> None:
    """A run of several row groups gives each range its rows exactly once."""
    rows = [(key * BIN * 4, "") for key in range(5000)]
    run = write_split(tmp_path, rows, [])[0]
    edges = [0, 1500 * BIN * 4, 1500 * BIN * 4 + 1, TOP + 1]
    counts = [
        runs.read_range([run.path], KeyRange(i, low, high - 1), SCHEMA).num_rows
        for i, (low, high) in enumerate(pairwise(edges))
    ]
    assert counts == [1500, 1, 3499]


def test_empty_run_is_harmless(tmp_path: Path) -> None:
    """A run of no rows adds nothing to the plan or the part."""
    empty = runs.write_run(str(tmp_path / "empty"), *table_of([]))
    full = write_split(tmp_path, [(3, "x")], [])[0]
    assert runs.describe_run(empty.path).histogram.bins.tolist() == []
    part = runs.read_range([empty.path, full.path], KeyRange(0, 0, TOP), SCHEMA)
    assert part["text"].to_pylist() == ["x"]


@given(rows=st.lists(keys_and_texts, max_size=30))
@settings(deadline=None, max_examples=40)
def test_description_survives_a_restart(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]]
) -> None:
    """What a later attempt reads of a run equals what its writer returned."""
    path = str(tmp_path_factory.getbasetemp() / "described")
    written, read = runs.write_run(path, *table_of(rows)), runs.describe_run(path)
    for field in ("bins", "rows", "bytes"):
        left, right = getattr(written.histogram, field), getattr(read.histogram, field)
        assert left.tolist() == right.tolist()
    sizes = [64 + len(f"id-{i:03d}") + len(text.encode()) for i, (_, text) in enumerate(rows)]
    assert int(read.histogram.bytes.sum()) == sum(sizes)
    assert int(read.histogram.rows.sum()) == len(rows)


def test_row_sizes_count_text_in_bytes_with_lists_and_nulls() -> None:
    """64 bytes a row, plus the UTF-8 bytes of strings and of lists of strings."""
    table = pa.table(
        {
            "a": pa.array(["é", None, "abc"]),
            "b": pa.array([["日", "x"], [], None], pa.list_(pa.string())),
            "c": pa.array([1, 2, 3]),
        }
    )
    assert runs.row_sizes(table).tolist() == [64 + 2 + 4, 64, 64 + 3]
    assert runs.row_sizes(table.slice(2)).tolist() == [67]


def test_keys_of_digests_sort_like_the_digests() -> None:
    """The order of keys is that of the digests; only eight bytes count."""
    digests = [bytes([i, 255 - i]) + bytes(14) for i in (3, 200, 0, 127, 128)]
    keys = runs.keys_of_digests(digests)
    assert keys.dtype == np.uint64
    assert np.argsort(keys).tolist() == sorted(range(5), key=lambda i: digests[i])
    assert runs.keys_of_digests([bytes(7) + b"\x01" + b"tail"]).tolist() == [1]
    assert runs.keys_of_digests([]).tolist() == []


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    """Sorted bins with a row count and bytes each."""
    bins = sorted(draw(st.sets(st.integers(0, (1 << 15) - 1), max_size=30)))
    sizes = draw(st.lists(st.integers(1, 5000), min_size=len(bins), max_size=len(bins)))
    ones = np.ones(len(bins), np.int64)
    return Histogram(np.array(bins, np.int64), ones, np.array(sizes, np.int64))


@given(parts=st.lists(histograms(), max_size=4))
@settings(deadline=None, max_examples=60)
def test_sum_of_histograms_equals_the_oracle(parts: list[Histogram]) -> None:
    """Sparse histograms add up bin by bin, in any grouping."""
    total = runs.add_histograms(parts)
    wanted: dict[int, list[int]] = {}
    for part in parts:
        for bin_, rows, size in zip(part.bins, part.rows, part.bytes, strict=True):
            entry = wanted.setdefault(int(bin_), [0, 0])
            entry[0] += int(rows)
            entry[1] += int(size)
    assert total.bins.tolist() == sorted(wanted)
    pairs = zip(total.rows.tolist(), total.bytes.tolist(), strict=True)
    assert list(pairs) == [(r, s) for _, (r, s) in sorted(wanted.items())]
    nested = runs.add_histograms([runs.add_histograms(parts[:1]), runs.add_histograms(parts[1:])])
    assert nested.bytes.tolist() == total.bytes.tolist()


@given(
    histogram=histograms(),
    part_bytes=st.integers(1, 9000),
    boundaries=st.sets(st.integers(1, (1 << 15) - 1).map(lambda b: b * BIN), max_size=5),
)
@settings(deadline=None, max_examples=60)
def test_ranges_cover_every_key_exactly_once(
    histogram: Histogram, part_bytes: int, boundaries: set[int]
) -> None:
    """Ranges are numbered, adjacent, reach from 0 to the top, and stop at every boundary."""
    plan = runs.plan_ranges(histogram, part_bytes, sorted(boundaries))
    if not len(histogram.bins):
        assert plan == []
        return
    assert [part.index for part in plan] == list(range(len(plan)))
    assert (plan[0].low, plan[-1].high) == (0, TOP)
    assert all(left.high + 1 == right.low for left, right in pairwise(plan))
    assert all(part.low <= part.high for part in plan)
    assert boundaries <= {part.low for part in plan}


@given(histogram=histograms(), part_bytes=st.integers(1, 9000))
@settings(deadline=None, max_examples=60)
def test_ranges_hold_about_a_part(histogram: Histogram, part_bytes: int) -> None:
    """No range holds more than a part of whole bins, nor are two neighbours mergeable."""
    plan = runs.plan_ranges(histogram, part_bytes)
    sizes = dict(zip(histogram.bins.tolist(), histogram.bytes.tolist(), strict=True))
    if sizes and max(sizes.values()) <= part_bytes:
        held = [sum(s for b, s in sizes.items() if p.low <= b * BIN <= p.high) for p in plan]
        assert max(held) <= part_bytes
        assert all(a + b > part_bytes for a, b in pairwise(held))


def test_large_bin_is_divided_evenly() -> None:
    """A bin of three parts' size becomes three ranges of equal width."""
    one = np.array([1], np.int64)
    plan = runs.plan_ranges(Histogram(np.array([4]), one, one * 300), 100)
    inside = [part.low for part in plan if 4 * BIN < part.low < 5 * BIN]
    assert inside == [4 * BIN + BIN // 3, 4 * BIN + BIN // 3 * 2]
