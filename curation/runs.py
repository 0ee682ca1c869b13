"""Sorted runs on disk: how rows reach their final part without their text crossing a shuffle.

Every stage that writes records spills them as *runs*: files sorted by a 64-bit key (`run_files`).
The key space is then cut into ranges of about equal bytes, from histograms alone, and each
output part gathers its range out of all runs. Which part a row lands in, and where, follows
from its key: the output is the same bytes however the input was split and in whatever order
the work was done. Rows with equal text have equal keys, so exact duplicates meet in one part.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation import run_files

KEY = "_key"
SUFFIX = ".run"
BIN_BITS = 15  # 32,768 histogram bins: a part boundary is exact to 1/32,768 of the key space
_SHIFT = 64 - BIN_BITS

Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Sparse counts of rows and bytes by key bin; of one run in narrow types, 14 bytes a bin."""

    bins: npt.NDArray[np.integer[Any]]
    rows: npt.NDArray[np.integer[Any]]
    bytes: npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Run:
    """One sorted spill and what the planner must know of it."""

    path: str
    histogram: Histogram

    @property
    def span(self) -> Span:
        """The run's path with the keys that its bins allow."""
        bins = self.histogram.bins
        low, high = (int(bins[0]), int(bins[-1])) if len(bins) else (0, -1)
        return Span(self.path, low << _SHIFT, ((high + 1) << _SHIFT) - 1)


@dataclass(frozen=True, slots=True)
class Span:
    """A run's path and the closed interval [low, high] that holds its keys."""

    path: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The closed key interval [low, high] of one output part."""

    index: int
    low: int
    high: int


def keys_of_digests(digests: Sequence[bytes]) -> Keys:
    """Return the first 8 bytes of each digest as a big-endian integer, which sorts like it."""
    blob = b"".join(digest[:8] for digest in digests)
    return np.frombuffer(blob, ">u8").astype(np.uint64)


def histogram_of(keys: Keys, sizes: npt.NDArray[np.int64]) -> Histogram:
    """Count rows and bytes of `keys` (uint64, with `sizes` bytes each) by bin."""
    bins, inverse = np.unique((keys >> np.uint64(_SHIFT)).astype(np.int64), return_inverse=True)
    rows = np.bincount(inverse, minlength=len(bins)).astype(np.int64)
    volume = np.bincount(inverse, weights=sizes, minlength=len(bins)).astype(np.int64)
    return Histogram(bins, rows, volume)


def add_histograms(histograms: Iterable[Histogram]) -> Histogram:
    """Return the sum of sparse histograms."""
    items = list(histograms)
    if not items:
        empty = np.zeros(0, np.int64)
        return Histogram(empty, empty, empty)
    bins, inverse = np.unique(np.concatenate([h.bins for h in items]), return_inverse=True)
    rows = np.bincount(inverse, np.concatenate([h.rows for h in items]), len(bins))
    volume = np.bincount(inverse, np.concatenate([h.bytes for h in items]), len(bins))
    return Histogram(bins, rows.astype(np.int64), volume.astype(np.int64))


def row_sizes(table: pa.Table) -> npt.NDArray[np.int64]:
    """Return the bytes of text in each row: what a plan counts, whatever run the row is in."""
    sizes = np.full(table.num_rows, 64, np.int64)
    for name in table.schema.names:
        column = table.column(name).combine_chunks()
        if pa.types.is_string(column.type):
            sizes += pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
        elif pa.types.is_list(column.type) and pa.types.is_string(column.type.value_type):
            lengths = pc.fill_null(pc.binary_length(pc.list_flatten(column)), 0)
            parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
            np.add.at(sizes, parents, lengths.to_numpy(zero_copy_only=False))
    return sizes


def write_run(path: str, table: pa.Table, keys: Keys) -> Run:
    """Sort `table` by `keys` (one uint64 a row), write it as a run and return its description."""
    order = np.argsort(keys, kind="stable")
    keys, sizes = keys[order], row_sizes(table)[order]
    table = table.take(pa.array(order)).append_column(KEY, pa.array(keys))
    histogram = histogram_of(keys, sizes)
    bins = np.empty(len(histogram.bins), run_files.BIN)
    bins["bin"], bins["rows"], bins["bytes"] = histogram.bins, histogram.rows, histogram.bytes
    run_files.write(path, table, keys, sizes, bins)
    return _described(path, bins)


def describe_run(path: str) -> Run:
    """Return the description of a run that an earlier, interrupted attempt wrote."""
    return _described(path, run_files.read_bins(path))


def _described(path: str, bins: run_files.Bins) -> Run:
    columns = (np.ascontiguousarray(bins[name]) for name in ("bin", "rows", "bytes"))
    return Run(path, Histogram(*columns))


def plan_ranges(
    histogram: Histogram, part_bytes: int, boundaries: Sequence[int] = ()
) -> list[KeyRange]:
    """Cut the key space into ranges of about `part_bytes`; empty input gives no range.

    No range crosses one of `boundaries` (keys at a bin's beginning). A bin larger than a part
    is divided evenly: keys inside a bin are uniform, because every key ends in hash bits.
    """
    if not len(histogram.bins):
        return []
    cuts = {int(boundary) for boundary in boundaries}
    ends = sorted(cut >> _SHIFT for cut in cuts)
    filled, segment = 0, 0
    for bin_, size in zip(histogram.bins.tolist(), histogram.bytes.tolist(), strict=True):
        current = bisect.bisect_right(ends, bin_)
        if current != segment:
            filled, segment = 0, current
        if filled and filled + size > part_bytes:
            cuts.add(bin_ << _SHIFT)
            filled = 0
        pieces = max(1, -(-size // part_bytes))
        cuts.update((bin_ << _SHIFT) + (1 << _SHIFT) // pieces * i for i in range(1, pieces))
        filled += size // pieces
    lows = sorted(cuts | {0})
    highs = [low - 1 for low in lows[1:]] + [(1 << 64) - 1]
    return [KeyRange(i, low, high) for i, (low, high) in enumerate(zip(lows, highs, strict=True))]


def read_range(
    paths: Iterable[str], part: KeyRange, schema: pa.Schema, columns: Sequence[str] = ()
) -> pa.Table:
    """Gather the rows of a range from all runs, sorted by key and then by every string column.

    Ties are broken by content, so the order does not depend on which run a row came from.
    `columns` names the columns to read besides the key; none: all.
    """
    keyed = schema.append(pa.field(KEY, pa.uint64()))
    wanted = [*columns, KEY] if columns else []
    pieces = [
        batch
        for path in sorted(paths)
        for batch in run_files.read(path, part.low, part.high, keyed, KEY, wanted)
    ]
    fields = [keyed.field(name) for name in keyed.names if not wanted or name in wanted]
    table = pa.Table.from_batches(pieces, pa.schema(fields))
    by = [KEY, *(c.name for c in fields if pa.types.is_string(c.type))]
    order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in by])
    return table.take(order).combine_chunks()


def read_columns(path: str, columns: Sequence[str]) -> pa.Table:
    """Return some columns of all rows of a run, `KEY` among them if named, in key order."""
    return run_files.read_columns(path, columns)


def select(runs: Iterable[Span], part: KeyRange) -> list[str]:
    """Return the paths of the runs that can hold keys of a range."""
    return [run.path for run in runs if run.low <= part.high and run.high >= part.low]


def group(runs: Sequence[Span], most: int) -> list[list[Span]]:
    """Return groups of runs to be merged: none if there are at most `most`.

    A group has `most` runs, or more where there would be more groups than runs in a group. So a
    part opens about the square root of all runs, and each row is copied once on its way.
    """
    if len(runs) <= most:
        return []
    size = max(most, math.isqrt(len(runs) - 1) + 1)
    ordered = sorted(runs, key=lambda run: run.path)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]
