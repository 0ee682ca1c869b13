"""How many rows of each kind every row group has, and how often they are repeated.

A kind is a combination of values of a few columns (source, relation, language). The counts are read
once, from these columns alone; which rows they are is looked up when a row group is read.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from curation import storage
from curation.errors import InputError
from train.stage_config import SAMPLED, BatchingConfig

Indices = npt.NDArray[np.int64]


@dataclass(slots=True)
class Census:
    """Counts by unit (row group) and stratum (kind of row), as arrays of equal length."""

    columns: Sequence[str]
    units: list[tuple[int, int]]
    """Of each unit: the number of the shard and of the row group in it."""
    strata: dict[tuple[str, ...], int]
    """The values of each stratum and its number."""
    unit: Indices
    stratum: Indices
    counts: Indices
    """Rows of that stratum in that unit; entries are sorted by unit."""
    grouped: int = 0
    """How many of the columns make groups; they come first."""
    times: Indices = field(init=False)
    """How often an epoch takes them, all together."""
    group: Indices = field(init=False)
    """The group of each stratum."""

    def __post_init__(self) -> None:
        self.times = self.counts
        self.group = self.labels(self.columns[: self.grouped])

    def labels(self, columns: Sequence[str]) -> Indices:
        """Return of each stratum a number that strata of equal values in some columns share."""
        places = [self.columns.index(name) for name in columns]
        known: dict[tuple[str, ...], int] = {}
        found = [
            known.setdefault(tuple(values[i] for i in places), len(known)) for values in self.strata
        ]
        return np.array(found, np.int64)

    @property
    def group_names(self) -> list[tuple[str, ...]]:
        """The values of each group, by its number."""
        return list(dict.fromkeys(values[: self.grouped] for values in self.strata))

    def strata_of(self, table: pa.Table) -> Indices:
        """Return the stratum of each row of a table."""
        columns = (table[name].to_pylist() for name in self.columns)
        rows = zip(*columns, strict=True)
        return np.array([self.strata[_named(values)] for values in rows], np.int64)

    def rows(self, unit: int, group: int, strata: Indices, seed: Sequence[int]) -> Indices:
        """Return the rows of a unit that are in a group, as often as an epoch takes them.

        `strata` are those of all rows of the unit. Passes over the unit follow one another, so
        copies of a row are far apart; the last pass is a sample spread evenly over the rows.
        """
        first, last = np.searchsorted(self.unit, [unit, unit + 1])
        passes: list[list[Indices]] = []
        for entry in range(first, last):
            if self.group[self.stratum[entry]] != group:
                continue
            own = np.flatnonzero(strata == self.stratum[entry])
            whole, extra = divmod(int(self.times[entry]), len(own))
            generator = np.random.default_rng([*seed, unit, int(self.stratum[entry])])
            rounds = [own] * whole + [own[_spread(len(own), extra, generator)]]
            passes += [[] for _ in range(len(rounds) - len(passes))]
            for number, rows in enumerate(rounds):
                passes[number].append(rows)
        return np.concatenate([np.sort(np.concatenate(rows)) for rows in passes])


def _spread(count: int, wanted: int, generator: np.random.Generator) -> Indices:
    """Return `wanted` of `count` places at even distances, from a drawn start."""
    offset = int(generator.integers(count))
    return (np.arange(wanted) * count + offset) // max(1, wanted)


def take_census(shards: Sequence[tuple[str, int]], columns: Sequence[str], grouped: int) -> Census:
    """Count the rows of (path, rows) shards; raise `InputError` for one that cannot be read."""
    units: list[tuple[int, int]] = []
    strata: dict[tuple[str, ...], int] = {}
    entries = array("q")
    for number, (path, rows) in enumerate(shards):
        found = _counted(path, columns)
        total = sum(count for groups in found for count in groups.values())
        if total != rows:
            raise InputError(f"{path} has {total} rows, its manifest says {rows}; make it anew")
        for row_group, groups in enumerate(found):
            for values, count in sorted(groups.items()):
                entries.extend((len(units), strata.setdefault(values, len(strata)), count))
            units.append((number, row_group))
    unit, stratum, counts = np.frombuffer(entries, np.int64).reshape(-1, 3).T
    return Census(tuple(columns), units, strata, unit, stratum, counts, grouped)


def _counted(path: str, columns: Sequence[str]) -> list[dict[tuple[str, ...], int]]:
    """Return the counts of each row group of a shard."""
    try:
        with storage.open_read(path) as handle, pq.ParquetFile(handle) as file:
            missing = sorted(set(columns) - set(file.schema_arrow.names))
            if missing:
                raise InputError(f"train.batching: {path} has no column {missing[0]!r}")
            groups = (
                file.read_row_group(number, columns=list(columns))
                for number in range(file.num_row_groups)
            )
            return [_counts(table, columns) for table in groups]
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} is missing or damaged ({error})") from error


def _counts(table: pa.Table, columns: Sequence[str]) -> dict[tuple[str, ...], int]:
    counted = table.group_by(list(columns), use_threads=False).aggregate([([], "count_all")])
    values = zip(*(counted[name].to_pylist() for name in columns), strict=True)
    return dict(zip(map(_named, values), counted["count_all"].to_pylist(), strict=True))


def _named(values: Sequence[str | None]) -> tuple[str, ...]:
    return tuple(value or "" for value in values)


def repeats(census: Census, config: BatchingConfig) -> list[str]:
    """Set how often rows are repeated, and return notes of it.

    With n rows of a language and source, p ∝ n^(1/T): the most frequent is taken once, another
    (n_max / n)^(1 - 1/T) times, at most `max_repeats`. Nothing is left out.
    """
    if config.sampling_temperature == 1:
        return []
    labels = census.labels(SAMPLED)
    totals = np.bincount(labels[census.stratum], weights=census.counts)
    factors = (totals.max() / totals) ** (1 - 1 / config.sampling_temperature)
    capped = np.minimum(factors, config.max_repeats)
    census.times = _scaled(census, capped[labels])
    more = int(census.times.sum() - census.counts.sum())
    limited = int((factors > capped).sum())
    return [
        f"temperature {config.sampling_temperature:g}: an epoch repeats {more:,} rows of "
        f"{int((capped > 1).sum())} of {len(capped)} languages and sources, up to "
        f"{capped.max():.1f} times"
        + (f" ({limited} are held at train.batching.max_repeats)" if limited else "")
    ]


def _scaled(census: Census, factors: npt.NDArray[np.float64]) -> Indices:
    """Return the counts times the factors of their strata, rounded so that totals are exact."""
    times = np.zeros_like(census.counts)
    for stratum, factor in enumerate(factors):
        own = census.stratum == stratum
        ends = np.floor(np.cumsum(census.counts[own]) * factor + 1e-9).astype(np.int64)
        times[own] = np.diff(ends, prepend=0)
    return times
