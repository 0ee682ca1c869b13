"""Pairs, questions and labelled rows → the rows to mine for, as one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import storage
from curation.draw import rank
from curation.errors import InputError
from curation.splits import SplitConfig

_TEXT, _TEXTS = pa.large_string(), pa.large_list(pa.large_string())
_SCORES = pa.large_list(pa.float32())
ROW = pa.schema(
    [
        *((name, _TEXT) for name in ("id", "query", "relation", "source")),
        *((name, _TEXT) for name in ("query_language", "language")),
        *((name, _TEXT) for name in ("query_document_id", "document_id")),
        *((name, _TEXTS) for name in ("positives", "positive_ids", "negatives", "negative_ids")),
        *((f"{side}_teacher_scores", _SCORES) for side in ("positive", "negative")),
    ]
)
"""A row to mine for: what a pair and a labelled row have in common."""

_LABELLED = [name for name in ROW.names if not name.endswith("document_id")]
_PAIR = [
    *(n for n in ROW.names[:8]),
    "positive",
]


def select_rows(
    paths: Sequence[str],
    relations: Iterable[str],
    limits: Mapping[str, int],
    splits: SplitConfig,
) -> pa.Table:
    """Return the training pairs of the wanted relations as `ROW`s, without held-out documents.

    Where a relation has a limit, the rows of each language with the smallest hash of their id
    are taken: a uniform draw that does not depend on how the parts were cut.
    """
    wanted = pa.array(sorted(set(relations)), pa.string())
    tables = [ROW.empty_table()]
    for path in paths:
        table = _read(path, _PAIR)
        table = table.filter(pc.is_in(table["relation"], wanted))
        tables.append(_of_pairs(table.filter(pa.array(_kept(table, splits), pa.bool_()))))
    return _drawn(pa.concat_tables(tables), limits)


def select_labelled(paths: Sequence[str], limits: Mapping[str, int]) -> pa.Table:
    """Return the labelled rows as `ROW`s, drawn as pairs are."""
    tables = [ROW.empty_table()]
    for path in paths:
        table = _read(path, _LABELLED)
        for name in ("query_document_id", "document_id"):
            table = table.append_column(name, _repeated("", len(table)))
        tables.append(table.select(ROW.names).cast(ROW))
    return _drawn(pa.concat_tables(tables), limits)


def ordered(*tables: pa.Table) -> pa.Table:
    """Return rows together, by id."""
    whole = pa.concat_tables(tables)
    return whole.take(pc.sort_indices(whole["id"])).combine_chunks()


def _read(path: str, columns: list[str]) -> pa.Table:
    with storage.open_read(path) as handle:
        file = pq.ParquetFile(handle)
        missing = [name for name in columns if name not in file.schema_arrow.names]
        if missing:
            raise InputError(
                f"{path} has no column {', '.join(missing)}; it has "
                f"{', '.join(file.schema_arrow.names)}; run: make curate"
            )
        return file.read(columns=columns)


def _kept(table: pa.Table, splits: SplitConfig) -> list[bool]:
    names = (table[name].to_pylist() for name in ("query_document_id", "document_id"))
    return [not splits.is_held_out(pair) for pair in zip(*names, strict=True)]


def _of_pairs(table: pa.Table) -> pa.Table:
    """Return pairs as rows of one positive, called by its document, else by the pair."""
    document = table["document_id"]
    ids = pc.if_else(pc.equal(document, ""), table["id"], document)
    columns = {name: table[name] for name in table.column_names if name != "positive"}
    columns |= {"positives": _alone(table["positive"]), "positive_ids": _alone(ids)}
    none = _repeated([], len(table), _TEXTS)
    columns |= {"negatives": none, "negative_ids": none}
    columns |= {f"{s}_teacher_scores": pa.nulls(len(table), _SCORES) for s in _SIDES}
    return pa.table({name: columns[name] for name in ROW.names}).cast(ROW)


_SIDES = ("positive", "negative")


def _alone(values: pa.ChunkedArray) -> pa.Array:
    """Return a list of one for each value."""
    flat = values.cast(_TEXT).combine_chunks()
    return pa.LargeListArray.from_arrays(pa.array(np.arange(len(flat) + 1)), flat)


def _repeated(value: object, count: int, kind: pa.DataType = _TEXT) -> pa.Array:
    return pa.array([value] * count, kind)


def _drawn(rows: pa.Table, limits: Mapping[str, int]) -> pa.Table:
    if not limits or not len(rows):
        return rows
    relations = rows["relation"].to_pylist()
    kept = np.ones(len(rows), np.bool_)
    for relation, most in limits.items():
        mine = np.flatnonzero([name == relation for name in relations])
        if len(mine):
            kept[mine] = _smallest(rows.take(pa.array(mine)), most)
    return rows.filter(pa.array(kept))


def _smallest(rows: pa.Table, most: int) -> npt.NDArray[np.bool_]:
    """Mark the `most` rows of each language whose id has the smallest hash."""
    draws = np.array([rank(i, "training") for i in rows["id"].to_pylist()], np.uint64)
    _, languages = np.unique(rows["language"].to_pylist(), return_inverse=True)
    order = np.lexsort((draws, languages))
    ordered_languages = languages[order]
    begins = np.searchsorted(ordered_languages, ordered_languages)
    kept = np.empty(len(rows), np.bool_)
    kept[order] = np.arange(len(rows)) - begins < most
    return kept
