"""Tables of records as parts hold them."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa

from curation.records import (
    DOCUMENT,
    PAIR,
    QUALITY,
    REJECT,
    Document,
    Pair,
    Reject,
    text_key,
    to_table,
)

WORDS = ["river", "mill", "town", "sea", "hill", "lamp"]
HOSTILE = '<script>alert("1")</script>&<img src=x onerror=y>'


def _value(kind: pa.DataType, draw: random.Random) -> float:
    return draw.randint(0, 3000) if pa.types.is_integer(kind) else draw.random()


def documents(count: int) -> pa.Table:
    draw = random.Random(1)
    rows = []
    for i in range(count):
        text = " ".join(draw.choices(WORDS, k=draw.randint(5, 400)))
        document = Document(f"doc-{i}", f"source-{i % 2}", f"Title {i}", text)
        document.language = ("en", "fr", "ar")[i % 3]
        document.language_score = draw.random()
        document.quality = {f.name: _value(f.type, draw) for f in QUALITY}
        document.text_hash = text_key(text)
        rows.append(document)
    return to_table(rows, DOCUMENT)


def pairs(count: int, title: str = "Query") -> pa.Table:
    draw = random.Random(2)
    rows = []
    for i in range(count):
        text = " ".join(draw.choices(WORDS, k=draw.randint(5, 400)))
        relation = ("title-body", "section")[i % 2]
        pair = Pair(f"{title} {i}", text, relation, "en", ("en", "fr")[i % 2], "wiki|odd")
        pair.query_tokens, pair.positive_tokens = 4, len(text.split())
        pair.segments_shuffled = i % 10 == 0
        rows.append(pair)
    return to_table(rows, PAIR)


def rejects(count: int) -> pa.Table:
    rows: list[Any] = [
        Reject(
            f"r-{i // 2}", "extract", ("too_short", "no_title")[i % 2], "wiki", "en", str(i), "text"
        )
        for i in range(count)
    ]
    return to_table(rows, REJECT)
