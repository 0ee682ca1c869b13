"""A pool comes back from the disk as it was."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from mining import stored_pool
from mining.pool import Pool, build_pool
from train import fresh


def row(number: int, **changes: Any) -> dict[str, Any]:
    labels = {"relation": "title-body", "source": "s", "query_language": "en", "language": "en"}
    own = {"id": f"r{number}", "query": f"q{number}", "positive": f"text {number}"}
    return labels | own | {"document_id": f"d{number // 2}"} | changes


ROWS = [
    *(row(number) for number in range(5)),
    row(5, query="Q1", positive="TEXT 1"),  # knows q1's positive, and the other way round
    row(6, query="text 2"),
    row(
        7,
        positives=["a", "b"],
        positive_ids=["ia", "ib"],
        negatives=["c", "text 3"],
        negative_ids=["ic", "i3"],
    ),
]


def plain(pool: Pool, name: str) -> Any:
    """Return a field of a pool as plain lists, rows by the labels that are stored."""
    value = getattr(pool, name)
    if name == "rows":
        return [{label: r[label] for label in stored_pool._LABELS} for r in value]
    return value.tolist() if isinstance(value, np.ndarray) else list(value)


def test_every_field_survives(tmp_path: Path) -> None:
    """Whatever a pool knows, a refresh knows too; of some rows as of all."""
    pool = build_pool(ROWS, 3)
    mined = np.array([[1, 0], [2, -1], *[[-1, -1]] * 6])
    parts = stored_pool.save(str(tmp_path), pool, mined)
    assert [(part["name"], part["rows"]) for part in parts] == [
        ("passages.arrow", len(pool.passages)),
        ("queries.arrow", 8),
    ]
    stored = fresh.Pool(str(tmp_path))
    loaded = stored_pool.load(stored, np.arange(8))
    for field in fields(Pool):
        assert plain(loaded, field.name) == plain(pool, field.name), field.name
    assert stored_pool.mined(stored).tolist() == mined.tolist()
    some = stored_pool.load(stored, np.array([1, 5, 7]))
    assert some.known == [pool.known[i] for i in (1, 5, 7)]
    assert some.positives == [pool.positives[i] for i in (1, 5, 7)]
    assert len(some.passages) == len(pool.passages)


def test_texts_are_a_sequence(tmp_path: Path) -> None:
    pool = build_pool(ROWS)
    stored_pool.save(str(tmp_path), pool, np.full((8, 0), -1))
    texts = stored_pool.Texts(fresh.Pool(str(tmp_path)).passages)
    assert (texts[0], texts[-1]) == (pool.passages[0], pool.passages[-1])
    assert texts[2:5] == pool.passages[2:5]
    assert stored_pool.mined(fresh.Pool(str(tmp_path))).shape == (8, 0)
