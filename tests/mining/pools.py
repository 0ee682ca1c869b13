"""Small pools of rows, in the table that mining reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mining.config import MiningConfig
from mining.links import NO_LINKS, Links
from mining.pool import Pool, build_pool
from mining.rows import ROW

Row = dict[str, Any]


def row(number: int, query: str, positives: Sequence[str], **changes: Any) -> Row:
    """A row; ids of passages are their texts unless the row has a document."""
    document = changes.get("document_id", "")
    values: Row = {
        "id": f"{number:04d}",
        "query": query,
        "relation": "labelled",
        "source": "set",
        "query_language": "en",
        "language": "en",
        "query_document_id": "",
        "document_id": "",
        "positives": list(positives),
        "positive_ids": [document or f"id-{t}" for t in positives],
        "negatives": [],
        "positive_teacher_scores": None,
        "negative_teacher_scores": None,
    }
    values |= changes
    values.setdefault("negative_ids", [f"id-{t}" for t in values["negatives"]])
    return values


def table_of(rows: Sequence[Row]) -> pa.Table:
    """The rows as `ROW`s, by id."""
    return pa.Table.from_pylist(sorted(rows, key=lambda r: r["id"]), ROW)


def pool_of(
    *rows: Row, corpus: Sequence[pa.Table] = (), links: Links = NO_LINKS, **options: Any
) -> Pool:
    """The pool of rows."""
    return build_pool(table_of(rows), MiningConfig(**options), corpus, links)


def lists(found: Any) -> list[list[int]]:
    """`Lists` as Python lists."""
    return [found.of(i).tolist() for i in range(len(found))]


def passages(pool: Pool) -> list[str]:
    """The passages of a pool."""
    return pool.passages[:]


WORDS = np.array(
    [
        "sea",
        "ship",
        "mill",
        "road",
        "hill",
        "lamp",
        "tower",
        "river",
        "bridge",
        "town",
        "harbour",
        "stone",
    ]
)


def random_rows(
    draw: np.random.Generator, count: int, languages: Sequence[str] = ("en",)
) -> list[Row]:
    """Rows among few texts, documents, titles and questions, so that every rule applies."""
    texts = [" ".join(draw.choice(WORDS, 3)) for _ in range(8)]
    texts += [f"title {n % 2}\n{text}" for n, text in enumerate(texts[:4])]
    texts += [text.upper() for text in texts[:2]]
    long = " ".join(draw.choice(WORDS, 30))
    texts += [long, f"{long} again"]
    made = []
    for number in range(count):
        picked = draw.permutation(len(texts))[: draw.integers(2, 6)]
        most = int(draw.integers(1, 3))
        query = (
            texts[draw.integers(0, 3)] if draw.random() < 0.4 else f"query {draw.integers(0, 6)}"
        )
        document = f"doc {draw.integers(0, 4)}" if draw.random() < 0.5 else ""
        language = str(draw.choice(list(languages)))
        made.append(
            row(
                number,
                query,
                [texts[i] for i in picked[:most]],
                negatives=[texts[i] for i in picked[most:]] if draw.random() < 0.5 else [],
                document_id=document,
                query_document_id=document if draw.random() < 0.5 else "",
                language=language,
                query_language=str(draw.choice(list(languages))),
            )
        )
    return made
