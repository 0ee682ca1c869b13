"""The pool of passages beside the training rows: what it takes to mine for them again.

Passages and rows are two Arrow files, read in place by number (train.fresh reads the texts of
negatives, mining the groups): a refresh of the negatives holds vectors, never the texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation import storage
from mining.pool import Pool
from mining.shards import Ids
from train import arrow_file, fresh

_LIST = pa.list_(pa.int64())
PASSAGE = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("text_group", pa.int64()),
        ("document_group", pa.int64()),
    ]
)
_LABELS = ("id", "query", "relation", "source", "query_language", "language")
QUERY = pa.schema(
    [
        *((name, pa.string()) for name in _LABELS),
        ("positives", _LIST),
        ("labelled", _LIST),
        ("query_group", pa.int64()),
        ("known", _LIST),
        ("mined", _LIST),
    ]
)


def save(folder: str, pool: Pool, mined: Ids) -> list[dict[str, Any]]:
    """Write a pool and the (Q, n) negatives of its rows (-1: none); return the files' entries."""
    written = [
        (fresh.PASSAGES, PASSAGE, len(pool.passages), _passages(pool)),
        (fresh.QUERIES, QUERY, len(pool.rows), _queries(pool, mined)),
    ]
    return [
        arrow_file.write(storage.join(folder, name), schema, _tables(columns, schema, count))
        for name, schema, count, columns in written
    ]


def _passages(pool: Pool) -> dict[str, Any]:
    return {
        "id": pool.passage_ids,
        "text": pool.passages,
        "text_group": pool.text_groups,
        "document_group": pool.document_groups,
    }


def _queries(pool: Pool, mined: Ids) -> dict[str, Any]:
    return {
        **{name: [row[name] for row in pool.rows] for name in _LABELS},
        "positives": pool.positives,
        "labelled": pool.negatives,
        "query_group": pool.query_groups,
        "known": [sorted(found) for found in pool.known],
        "mined": [row[row >= 0].tolist() for row in mined],
    }


def _tables(columns: dict[str, Any], schema: pa.Schema, count: int) -> Iterator[pa.Table]:
    for start in range(0, count, arrow_file.BATCH):
        rows = slice(start, start + arrow_file.BATCH)
        arrays = [pa.array(columns[column.name][rows], column.type) for column in schema]
        yield pa.Table.from_arrays(arrays, schema=schema)


class Texts(Sequence[str]):
    """The texts of an Arrow file's column, read when they are wanted."""

    def __init__(self, file: arrow_file.ArrowFile, column: str = "text") -> None:
        self._file, self._column = file, column

    def __len__(self) -> int:
        return len(self._file)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        """Return a text, or those of a slice."""
        if isinstance(at, slice):
            return self._take(np.arange(len(self))[at])
        return self._take(np.array([range(len(self))[at]]))[0]

    def _take(self, numbers: Ids) -> list[str]:
        found: list[str] = self._file.take(numbers, [self._column])[self._column].to_pylist()
        return found


def load(stored: fresh.Pool, numbers: Ids) -> Pool:
    """Return the pool with the rows of some numbers; the passages are all there."""
    table = stored.queries.take(numbers, QUERY.names)
    positives = table["positives"].to_pylist()
    return Pool(
        rows=table.select(_LABELS).to_pylist(),
        passages=Texts(stored.passages),
        passage_ids=Texts(stored.passages, "id"),
        positive=np.array([found[0] for found in positives], np.int64),
        positives=positives,
        negatives=table["labelled"].to_pylist(),
        text_groups=_integers(stored.passages.column("text_group")),
        document_groups=_integers(stored.passages.column("document_group")),
        query_groups=_integers(table["query_group"]),
        known=[frozenset(found) for found in table["known"].to_pylist()],
    )


def _integers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return np.asarray(column.to_numpy(), np.int64)


def mined(stored: fresh.Pool) -> Ids:
    """Return the (Q, n) negatives that rows were mined with, padded with -1."""
    rows = stored.queries.column("mined").to_pylist()
    width = max((len(row) for row in rows), default=0)
    return np.array([[*row, *[-1] * (width - len(row))] for row in rows], np.int64).reshape(
        len(rows), width
    )
