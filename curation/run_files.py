"""The file of a sorted run: Arrow batches in key order, then what is needed to read a few of them.

    batches     messages of an Arrow IPC stream, lz4, about `BATCH_BYTES` of text each
    histogram   rows and bytes by key bin, for the planner
    index       lowest key, highest key, offset and length of each batch
    trailer     offset and items of histogram and index, digest of the schema, magic

A key range is fetched with two reads, the end of the file and the batches that it overlaps, which
lie side by side: what a part reads of a run does not grow with the run.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from curation import storage
from curation.errors import InputError

BATCH_BYTES = 256 << 10  # a range of 1/64 of a 64 MB run is four batches: a half is read in vain
BIN = np.dtype([("bin", "<u2"), ("rows", "<u4"), ("bytes", "<u8")])
_ENTRY = np.dtype([("low", "<u8"), ("high", "<u8"), ("offset", "<u8"), ("bytes", "<u8")])
_TRAILER = struct.Struct("<QQQQ8s")  # bins' offset, bins, batches, schema digest, magic
_MAGIC = b"3FRUN\x00\x00\x01"
_TAIL = 16 << 10  # one read brings the index of 500 batches: 128 MB of text

Bins = npt.NDArray[Any]
Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class _Tail:
    bins: int
    bins_offset: int
    schema: int
    batches: npt.NDArray[Any]


def write(path: str, table: pa.Table, keys: Keys, sizes: npt.NDArray[np.int64], bins: Bins) -> None:
    """Write `table`, sorted by `keys`, with `sizes` bytes of text a row; the key is a column."""
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    cuts = _cuts(sizes)
    index = np.zeros(len(cuts) - 1, _ENTRY)
    with storage.open_write(path) as handle:
        handle.write(table.schema.serialize())
        for number, (start, end) in enumerate(itertools.pairwise(cuts)):
            offset = handle.tell()
            message = _message(table.slice(start, end - start), options)
            handle.write(message)
            index[number] = keys[start], keys[end - 1], offset, message.size
        at = handle.tell()
        handle.write(bins.tobytes())
        handle.write(index.tobytes())
        digest = _schema_digest(table.schema)
        handle.write(_TRAILER.pack(at, len(bins), len(index), digest, _MAGIC))


def _cuts(sizes: npt.NDArray[np.int64]) -> list[int]:
    """Return the row numbers at which batches begin, and the end."""
    if not len(sizes):
        return [0]
    number = (np.cumsum(sizes) - sizes) // BATCH_BYTES
    return [*np.flatnonzero(np.diff(number, prepend=-1)).tolist(), len(sizes)]


def _message(rows: pa.Table, options: pa.ipc.IpcWriteOptions) -> pa.Buffer:
    """Return rows as one encapsulated record batch message."""
    [batch] = rows.combine_chunks().to_batches()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
        writer.write_batch(batch)
    stream = sink.getvalue()
    head = rows.schema.serialize().size
    return stream.slice(head, stream.size - head - 8)  # without schema and end mark


def _schema_digest(schema: pa.Schema) -> int:
    return xxhash.xxh3_64_intdigest(schema.remove_metadata().to_string().encode())


def read_bins(path: str) -> Bins:
    """Return the histogram of a run."""
    tail = _read_tail(path)
    data = storage.read_span(path, tail.bins_offset, tail.bins * BIN.itemsize)
    return np.frombuffer(data, BIN)


def read(
    path: str, low: int, high: int, schema: pa.Schema, key: str, columns: Sequence[str] = ()
) -> list[pa.RecordBatch]:
    """Return the rows with keys in [low, high] as batches, in key order.

    With `columns`, the key among them, only those are unpacked. Raises `InputError` for a file
    that is no run, or a run of another schema.
    """
    tail = _read_tail(path)
    if tail.schema != _schema_digest(schema):
        raise InputError(f"{path} holds rows of another schema; remove the working folder")
    first = int(np.searchsorted(tail.batches["high"], np.uint64(low), side="left"))
    last = int(np.searchsorted(tail.batches["low"], np.uint64(high), side="right"))
    wanted = tail.batches[first:last]
    if not len(wanted):
        return []
    start = int(wanted["offset"][0])
    length = int(wanted["offset"][-1] + wanted["bytes"][-1]) - start
    stream = schema.serialize().to_pybytes() + storage.read_span(path, start, length)
    names = [name for name in schema.names if not columns or name in columns]
    return [_inside(batch, low, high, key) for batch in _batches(stream, schema, names)]


def read_columns(path: str, columns: Sequence[str]) -> pa.Table:
    """Return some columns of all rows of a run; the others are not unpacked."""
    data = storage.read_span(path, 0, _read_tail(path).bins_offset)
    with pa.ipc.open_stream(data) as reader:
        schema = reader.schema
    return pa.Table.from_batches(
        _batches(data, schema, columns), pa.schema([schema.field(name) for name in columns])
    )


def _batches(stream: bytes, schema: pa.Schema, columns: Sequence[str]) -> list[pa.RecordBatch]:
    """Unpack the named columns, in that order, of an Arrow stream."""
    included = sorted(schema.get_field_index(name) for name in columns)
    options = pa.ipc.IpcReadOptions(included_fields=included, use_threads=False)
    with pa.ipc.open_stream(stream, options=options) as reader:
        return [batch.select(list(columns)) for batch in reader]


def _inside(batch: pa.RecordBatch, low: int, high: int, key: str) -> pa.RecordBatch:
    keys = batch.column(key).to_numpy()
    start = np.searchsorted(keys, np.uint64(low), side="left")
    end = np.searchsorted(keys, np.uint64(high), side="right")
    return batch.slice(start, end - start)


def _read_tail(path: str) -> _Tail:
    data = storage.read_span(path, -_TAIL, _TAIL)
    if len(data) < _TRAILER.size or data[-len(_MAGIC) :] != _MAGIC:
        raise InputError(f"{path} is no complete run; remove the working folder")
    offset, bins, batches, schema, _ = _TRAILER.unpack(data[-_TRAILER.size :])
    length = batches * _ENTRY.itemsize + _TRAILER.size
    if length > len(data):
        data = storage.read_span(path, -length, length)
    index = np.frombuffer(data[-length : -_TRAILER.size], _ENTRY)
    return _Tail(bins, offset, schema, index)
