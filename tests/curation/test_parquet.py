"""Reading Parquet files in batches: all rows, in order, in flat memory."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import parquet

_GROUPS, _ROWS, _SIZE = 24, 50, 8192


def write(path: Path) -> pa.Table:
    """Write 10 MB in groups of 0.4 MB that do not compress."""
    count = _GROUPS * _ROWS
    table = pa.table(
        {"number": range(count), "text": [os.urandom(_SIZE // 2).hex() for _ in range(count)]}
    )
    pq.write_table(table, path, row_group_size=_ROWS, compression="none", use_dictionary=False)
    return table


def test_all_rows_come_in_order(tmp_path: Path) -> None:
    table = write(tmp_path / "f.parquet")
    found = list(parquet.batches(str(tmp_path / "f.parquet"), held=7))
    assert max(map(len, found)) == 7
    assert pa.Table.from_batches(found).equals(table)


def test_only_some_columns(tmp_path: Path) -> None:
    write(tmp_path / "f.parquet")
    [first, *_] = parquet.batches(str(tmp_path / "f.parquet"), ["number"])
    assert first.schema.names == ["number"]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """What was read is let go: at most a few of the groups are held."""
    write(tmp_path / "f.parquet")
    tracemalloc.start()
    try:
        rows = sum(len(batch) for batch in parquet.batches(str(tmp_path / "f.parquet"), held=_ROWS))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == _GROUPS * _ROWS
    assert peak < _GROUPS * _ROWS * _SIZE / 4


def test_a_file_that_is_no_parquet_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "f.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(pa.ArrowInvalid):
        next(parquet.batches(str(tmp_path / "f.parquet")))
