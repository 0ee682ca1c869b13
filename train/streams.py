"""Streams: the rows that may share a batch, in the order of their lengths, and where they lie.

A stream is a length bucket or, with `train.batching.group_by`, one group of it. Its places are
counted through its units: whole shards where all rows are alike, row groups where they are not
(train.census). What is held is a few numbers a unit, never one a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from curation.errors import InputError
from curation.tokens import bucket_name
from train.census import Census, repeats, take_census
from train.stage_config import BatchingConfig

Indices = npt.NDArray[np.int64]
WHOLE_SHARD = -1
_NOTES = 5  # merged streams that are told one by one


@dataclass(frozen=True, slots=True)
class Shard:
    """A Parquet file of rows of one length bucket."""

    path: str
    bucket: int
    rows: int


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of a shard that is read at once."""

    shard: Shard
    row_group: int = WHOLE_SHARD


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows that may share a batch, in the order of their lengths."""

    bucket: int
    group: int
    """The number of its group; that of the host where streams were merged."""
    units: Indices
    """The units that its rows lie in."""
    groups: Indices
    """Which group of each unit."""
    ends: Indices
    """How many places there are up to the end of each unit."""

    @property
    def rows(self) -> int:
        """How many places there are: rows, repeated ones counted as often."""
        return int(self.ends[-1])


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the rows of a stage lie."""

    units: Sequence[Unit]
    streams: Sequence[Stream]
    census: Census | None = None
    notes: list[str] = field(default_factory=list)
    """What was merged or repeated, and why: for the log."""

    @property
    def rows(self) -> int:
        """Rows of an epoch, repeated ones counted as often."""
        return sum(stream.rows for stream in self.streams)

    def spans(self, stream: int, places: Indices) -> Iterator[tuple[int, int, Indices]]:
        """Yield units, the group and the places inside them for ascending places of a stream."""
        found = self.streams[stream]
        pieces = np.searchsorted(found.ends, places, side="right")
        for piece in np.unique(pieces).tolist():
            start = int(found.ends[piece - 1]) if piece else 0
            inside = places[pieces == piece] - start
            yield int(found.units[piece]), int(found.groups[piece]), inside


def layout_of(shards: Sequence[Shard], config: BatchingConfig, world: int = 1) -> Layout:
    """Return the streams of shards; raise `InputError` where processes outnumber the rows."""
    ordered = sorted((s for s in shards if s.rows), key=lambda shard: shard.bucket)
    if not config.columns:
        units = [Unit(shard) for shard in ordered]
        rows = np.array([shard.rows for shard in ordered], np.int64)
        streams = _streams(units, np.arange(len(units)), np.zeros_like(rows), rows)
        return _merged(Layout(units, streams), world, [""])
    paths = [(shard.path, shard.rows) for shard in ordered]
    census = take_census(paths, config.columns, len(config.group_by))
    units = [Unit(ordered[shard], group) for shard, group in census.units]
    notes = repeats(census, config)
    names = [", ".join(values) for values in census.group_names]
    streams = _streams(units, census.unit, census.group[census.stratum], census.times)
    return _merged(Layout(units, streams, census, notes), world, names)


def _streams(units: Sequence[Unit], unit: Indices, group: Indices, rows: Indices) -> list[Stream]:
    """Return a stream for each bucket and group, of entries (unit, group, rows)."""
    buckets = np.array([u.shard.bucket for u in units], np.int64)[unit]
    found = []
    for bucket, number in sorted(set(zip(buckets.tolist(), group.tolist(), strict=True))):
        own = (buckets == bucket) & (group == number)
        places, which = np.unique(unit[own], return_inverse=True)
        sums = np.bincount(which, weights=rows[own]).astype(np.int64)
        groups = np.full(len(places), number, np.int64)
        found.append(Stream(bucket, number, places, groups, np.cumsum(sums)))
    return found


def _merged(layout: Layout, world: int, names: Sequence[str]) -> Layout:
    """Merge streams with fewer rows than processes into the nearest: no process goes without."""
    streams, notes = list(layout.streams), []
    while streams and (small := min(streams, key=lambda s: s.rows)).rows < world:
        streams.remove(small)
        if not streams:
            raise InputError(
                f"{small.rows} rows are fewer than the {world} processes; start fewer processes"
            )
        host = min(streams, key=lambda s: _distance(s, small))
        streams[streams.index(host)] = _joined(host, small)
        what, where = (_described(s, names) for s in (small, host))
        notes.append(
            f"{what} has {small.rows} rows for {world} processes: its rows join those of {where}"
        )
    if len(notes) > _NOTES:
        notes[_NOTES:] = [f"rows of {len(notes) - _NOTES} more join others in the same way"]
    return Layout(layout.units, streams, layout.census, [*layout.notes, *notes])


def _distance(stream: Stream, small: Stream) -> tuple[bool, int, bool, int]:
    """Order hosts: of the same group, the nearest bucket, the longer one, the larger stream."""
    apart = stream.bucket - small.bucket
    return stream.group != small.group, abs(apart), apart < 0, -stream.rows


def _joined(host: Stream, small: Stream) -> Stream:
    units, groups = (
        np.concatenate(pair) for pair in ((host.units, small.units), (host.groups, small.groups))
    )
    rows = np.concatenate([np.diff(s.ends, prepend=0) for s in (host, small)])
    order = np.lexsort((groups, units))
    return Stream(host.bucket, host.group, units[order], groups[order], np.cumsum(rows[order]))


def _described(stream: Stream, names: Sequence[str]) -> str:
    name = names[stream.group]
    return f"bucket {bucket_name(stream.bucket)}" + (f" of {name}" if name else "")
