"""Parquet files of any size, read in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from curation import storage


def batches(
    path: str, columns: Sequence[str] | None = None, rows: int = 8192
) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows, all columns or some that it has, at most `rows` at a time.

    Without `pre_buffer=False` all that was read stays until the end: 650 MB of a file of 480.
    """
    wanted = None if columns is None else list(columns)
    with storage.open_read(path) as handle:
        yield from pq.ParquetFile(handle, pre_buffer=False).iter_batches(rows, columns=wanted)
