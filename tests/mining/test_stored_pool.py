"""A pool comes back from the disk as it was."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mining import stored_pool
from mining.lists import Lists, lists_of
from mining.pool import Pool
from mining.texts import Texts
from tests.mining.pools import lists, pool_of, row
from train import fresh

ROWS = [
    *(row(n, f"query {n}", [f"text {n}"], document_id=f"d{n // 2}") for n in range(5)),
    row(5, "QUERY 1", ["TEXT 1"]),  # knows the positive of row 1, and the other way round
    row(6, "text 2", ["another"], query_language="fr"),
    row(7, "many", ["a", "b"], negatives=["c", "text 3"], negative_teacher_scores=[0.5, 0.25]),
]
MINED = [[1, 0], [2], *[[]] * 6]


def plain(value: Any) -> Any:
    """A field of a pool as plain lists."""
    if isinstance(value, Lists):
        return lists(value)
    if isinstance(value, Texts):
        return list(value)
    if isinstance(value, pa.Table | pa.Array):
        return value.to_pylist()
    if is_dataclass(value):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    return [repr(number) for number in np.asarray(value).tolist()]  # NaN equals itself


def test_every_field_survives(tmp_path: Path) -> None:
    """Whatever a pool knows, a refresh knows too; of some rows as of all."""
    pool = pool_of(*ROWS, negatives=3)
    parts = stored_pool.save(str(tmp_path), pool, lists_of(MINED))
    assert [(part["name"], part["rows"]) for part in parts] == [
        ("passages.arrow", len(pool.passages)),
        ("queries.arrow", 8),
    ]
    stored = fresh.Pool(str(tmp_path))
    loaded = stored_pool.load(stored, np.arange(8))
    for field in fields(Pool):
        assert plain(getattr(loaded, field.name)) == plain(getattr(pool, field.name)), field.name
    assert lists(stored_pool.mined(stored)) == MINED


def test_some_rows_keep_what_all_know(tmp_path: Path) -> None:
    """The known answers of a question are those of all its rows, also of rows left out."""
    pool = pool_of(*ROWS, negatives=3)
    stored_pool.save(str(tmp_path), pool, lists_of(MINED))
    chosen = np.array([7, 1])
    some = stored_pool.load(fresh.Pool(str(tmp_path)), chosen)
    assert [some.queries[i] for i in range(2)] == ["many", "query 1"]
    assert lists(some.positives) == [pool.positives.of(i).tolist() for i in chosen]
    assert some.negative_teachers.tolist() == [0.5, 0.25]
    known = [
        lists(p.known.take(q)) for p, q in ((some, some.questions), (pool, pool.questions[chosen]))
    ]
    assert known[0] == known[1]
    assert len(known[0][1]) == 2
    assert len(some.passages) == len(pool.passages)
