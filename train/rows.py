"""Rows out of Parquet shards by their place in a stream: memory does not grow with the corpus."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation import storage
from curation.errors import InputError
from curation.records import DOCUMENT, PAIR, TRAINING_ROW
from train.batching import Batch, Indices
from train.streams import WHOLE_SHARD, Layout, Unit

_KEPT_BYTES = 256 << 20  # row groups held; a batch touches two or three
_OPEN_FILES = 64  # a corpus has thousands of shards, a process 1,024 descriptors


@dataclass(frozen=True, slots=True)
class Source:
    """A folder of rows to train on: which columns matter, and the command that makes it."""

    columns: tuple[str, ...]
    schema: pa.Schema
    made_by: str


_SCORES = [f"{side}_{kind}" for side in ("positive", "negative") for kind in ("ids", "scores")]
_TEACHER = ["positive_teacher_scores", "negative_teacher_scores"]
SOURCES = {
    "training": Source(
        ("id", "query", "positives", "negatives", *_SCORES, *_TEACHER),
        TRAINING_ROW,
        "make mine-negatives",
    ),
    "pairs": Source(("id", "query", "positive", "document_id"), PAIR, "make curate"),
    "documents": Source(("id", "text"), DOCUMENT, "make curate"),
}


@dataclass(frozen=True, slots=True)
class _File:
    parquet: pq.ParquetFile
    ends: Indices
    """Rows up to the end of each row group."""


@dataclass(slots=True)
class RowReader:
    """Reads rows of batches, keeping the row groups it used last."""

    layout: Layout
    data: str
    seed: int
    _files: OrderedDict[str, _File] = field(default_factory=OrderedDict)
    _groups: OrderedDict[tuple[str, int], pa.Table] = field(default_factory=OrderedDict)

    def read(self, batch: Batch) -> list[dict[str, Any]]:
        """Return the rows of a batch in order of their place."""
        return [row for table in self._tables(batch) for row in table.to_pylist()]

    def close(self) -> None:
        """Close the shards that are open."""
        while self._files:
            self._files.popitem()[1].parquet.close(force=True)

    def _tables(self, batch: Batch) -> Iterator[pa.Table]:
        for number, group, places in self.layout.spans(batch.stream, batch.rows):
            unit = self.layout.units[number]
            if unit.row_group == WHOLE_SHARD:
                yield from self._of_shard(unit, places)
            else:
                yield self._of_census(batch, number, group, places)

    def _of_shard(self, unit: Unit, places: Indices) -> Iterator[pa.Table]:
        ends = self._file(unit.shard.path).ends
        if places[-1] >= ends[-1]:
            raise InputError(
                f"{unit.shard.path} has {ends[-1]} rows, its manifest says {unit.shard.rows}; "
                f"run: {SOURCES[self.data].made_by}"
            )
        row_groups = np.searchsorted(ends, places, side="right")
        for row_group in np.unique(row_groups).tolist():
            start = int(ends[row_group - 1]) if row_group else 0
            table = self._group(unit.shard.path, row_group)
            yield table.take(places[row_groups == row_group] - start)

    def _of_census(self, batch: Batch, number: int, group: int, places: Indices) -> pa.Table:
        unit, census = self.layout.units[number], self.layout.census
        assert census is not None
        table = self._group(unit.shard.path, unit.row_group)
        seed = [self.seed, batch.epoch]
        return table.take(census.rows(number, group, census.strata_of(table), seed)[places])

    def _file(self, path: str) -> _File:
        if path not in self._files:
            self._files[path] = self._opened(path)
        self._files.move_to_end(path)
        while len(self._files) > _OPEN_FILES:
            self._files.popitem(last=False)[1].parquet.close(force=True)
        return self._files[path]

    def _opened(self, path: str) -> _File:
        try:
            with ExitStack() as stack:
                file = pq.ParquetFile(stack.enter_context(storage.open_read(path)))
                stack.pop_all()
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(path, error) from error
        missing = sorted(set(self._columns) - set(file.schema_arrow.names))
        if missing:
            file.close(force=True)
            raise self._damaged(path, f"no column {missing[0]}")
        counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        return _File(file, np.cumsum(counts, dtype=np.int64))

    def _group(self, path: str, number: int) -> pa.Table:
        key = (path, number)
        if key not in self._groups:
            try:
                parquet = self._file(path).parquet
                self._groups[key] = parquet.read_row_group(number, columns=self._columns)
            except (OSError, pa.ArrowException) as error:
                raise self._damaged(path, error) from error
        self._groups.move_to_end(key)
        while len(self._groups) > 1 and self._held() > _KEPT_BYTES:
            self._groups.popitem(last=False)
        return self._groups[key]

    def _held(self) -> int:
        return sum(table.nbytes for table in self._groups.values())

    @property
    def _columns(self) -> list[str]:
        labels = self.layout.census.columns if self.layout.census else ()
        return list(dict.fromkeys((*SOURCES[self.data].columns, *labels)))

    def _damaged(self, path: str, error: object) -> InputError:
        return InputError(
            f"{path} is missing or damaged ({error}); run: {SOURCES[self.data].made_by}"
        )
