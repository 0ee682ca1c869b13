"""The pool beside the training rows: what it takes to mine for them again.

Passages and rows are two Arrow files that are mapped (train.fresh reads the texts of negatives,
mining all of it): a refresh of the negatives holds vectors and group numbers, never the texts.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa

from curation import storage
from mining.lists import Ids, Lists, grouped
from mining.pool import KEPT, Groups, Pool
from mining.texts import Texts
from train import arrow_file, fresh

_OF_ROWS = (
    "row_keys",
    "questions",
    "query_texts",
    "query_translations",
    "query_languages",
    "languages",
)
_GROUPS = tuple(item.name for item in fields(Groups))


def save(folder: str, pool: Pool, mined: Lists) -> list[dict[str, Any]]:
    """Write a pool and the negatives of its rows; return the entries of the files."""
    tables = {fresh.PASSAGES: _passages(pool), fresh.QUERIES: _queries(pool, mined)}
    return [arrow_file.write(storage.join(folder, name), table) for name, table in tables.items()]


def _passages(pool: Pool) -> pa.Table:
    columns = {"id": pool.passage_ids, "text": pool.passages.array, "key": pool.passage_keys}
    return pa.table(columns | {f"group_{name}": getattr(pool.groups, name) for name in _GROUPS})


def _queries(pool: Pool, mined: Lists) -> pa.Table:
    columns: dict[str, Any] = {name: pool.rows[name] for name in KEPT}
    columns |= {name: getattr(pool, name) for name in _OF_ROWS}
    columns |= {f"document_{side}": pool.query_documents[:, side] for side in (0, 1)}
    columns |= {
        "positives": _listed(pool.positives.starts, pool.positives.values),
        "labelled": _listed(pool.negatives.starts, pool.negatives.values),
        "positive_teachers": _listed(pool.positives.starts, pool.positive_teachers),
        "labelled_teachers": _listed(pool.negatives.starts, pool.negative_teachers),
        "mined": _listed(mined.starts, mined.values),
    }
    return pa.table(columns)


def _listed(starts: Ids, values: Any) -> pa.Array:
    return pa.LargeListArray.from_arrays(pa.array(starts), pa.array(values))


def load(stored: fresh.Pool, numbers: Ids) -> Pool:
    """Return the pool with the rows of some numbers; passages and known answers are all there."""
    everyone, passages = stored.queries, stored.passages
    rows = everyone.take(pa.array(numbers))
    questions, answers = everyone.column("questions").to_numpy(), _lists(everyone, "positives")
    count = int(questions.max()) + 1
    return Pool(
        rows=pa.Table.from_batches([rows.select(KEPT)]),
        passages=Texts(passages.column("text")),
        passage_ids=passages.column("id"),
        passage_keys=passages.column("key").to_numpy(),
        positives=_lists(rows, "positives"),
        negatives=_lists(rows, "labelled"),
        positive_teachers=rows.column("positive_teachers").flatten().to_numpy(),
        negative_teachers=rows.column("labelled_teachers").flatten().to_numpy(),
        known=grouped(questions[answers.owners], answers.values, count),
        query_documents=np.stack([rows.column(f"document_{n}").to_numpy() for n in (0, 1)], 1),
        groups=Groups(**{n: passages.column(f"group_{n}").to_numpy() for n in _GROUPS}),
        **{name: rows.column(name).to_numpy() for name in _OF_ROWS},
    )


def _lists(rows: pa.RecordBatch, name: str) -> Lists:
    column = rows.column(name)
    starts = column.offsets.to_numpy()
    return Lists(starts - starts[0], column.flatten().to_numpy())


def mined(stored: fresh.Pool) -> Lists:
    """Return the negatives that the rows were mined with."""
    return _lists(stored.queries, "mined")
