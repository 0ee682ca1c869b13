"""Rows of an Arrow file by their number: memory-mapped, so any number of rows costs no memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation import storage
from curation.errors import InputError

BATCH = 4096  # rows of a record batch

Ids = npt.NDArray[np.int64]


def write(path: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> dict[str, Any]:
    """Write tables one after the other; return name, rows, bytes and sha256, as of a part.

    Text is not compressed: a row is read in place, without the thousands beside it.
    """
    rows = 0
    with storage.open_write(path) as handle:
        sink = storage.HashingWriter(handle)
        with pa.ipc.new_file(pa.PythonFile(sink, "w"), schema) as writer:
            for table in tables:
                for batch in table.combine_chunks().to_batches(max_chunksize=BATCH):
                    writer.write_batch(batch)
                    rows += batch.num_rows
    name = path.rsplit("/", 1)[-1]
    return {"name": name, "rows": rows, "bytes": sink.size, "sha256": sink.digest()}


class ArrowFile:
    """A file of record batches whose rows are numbered through."""

    def __init__(self, path: str, made_by: str) -> None:
        """Open a local file; raise `InputError` naming the command that makes it."""
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(storage.local_path(path)))
            sizes = [self._batch(i).num_rows for i in range(self._reader.num_record_batches)]
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path} is missing or damaged ({error}); run: {made_by}") from error
        self._ends = np.cumsum(sizes, dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def _batch(self, number: int) -> pa.RecordBatch:
        return self._reader.get_batch(number)

    def _places(self, numbers: Ids) -> tuple[Ids, Ids]:
        """Return the batch of each row and its place there."""
        which = np.searchsorted(self._ends, numbers, side="right")
        return which, numbers - np.concatenate([[0], self._ends])[which]

    def take(self, numbers: Ids, columns: Sequence[str]) -> pa.Table:
        """Return some columns of rows, in the order of `numbers`."""
        which, places = self._places(numbers)
        order = np.argsort(which, kind="stable")
        found = [
            self._batch(batch).select(list(columns)).take(pa.array(places[order][here]))
            for batch, here in _runs(which[order])
        ]
        schema = pa.schema([self._reader.schema.field(name) for name in columns])
        back = np.argsort(order, kind="stable")
        return pa.Table.from_batches(found, schema).take(pa.array(back))

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a whole column, in place."""
        batches = [self._batch(i).column(name) for i in range(len(self._ends))]
        return pa.chunked_array(batches, self._reader.schema.field(name).type)


def _runs(which: Ids) -> Iterator[tuple[int, slice]]:
    """Yield (value, where it stands) of sorted values."""
    values, starts = np.unique(which, return_index=True)
    ends = [*starts[1:], len(which)][: len(starts)]
    for value, start, end in zip(values.tolist(), starts, ends, strict=True):
        yield value, slice(int(start), int(end))
