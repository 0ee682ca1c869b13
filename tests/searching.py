"""A small corpus in several languages, and an index of it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from tests.builders import articles

HOSTILE = {
    "_id": 'x"><script>alert(1)</script>',
    "title": "<script>alert(2)</script> lighthouse",
    "text": 'The lighthouse of <img src=x onerror="alert(3)"> & "Armouth" </mark></main>',
    "language": "en",
    "url": "javascript:alert(4)",
}
ARABIC = {
    "_id": "ar-1",
    "title": "المنارة",
    "text": "بُنيت المنارة في عام ١٨٠٠ بيد شركة الميناء.",
    "language": "ar",
}


def corpus(count: int = 12) -> list[dict[str, Any]]:
    """Return articles in English and French, one in Arabic and one that is hostile."""
    rows: list[dict[str, Any]] = [
        {"_id": f"{language}-{i}", **article, "language": language}
        for language in ("en", "fr")
        for i, article in enumerate(articles(language, count))
    ]
    return [*rows, ARABIC, HOSTILE]


def write_corpus(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON lines, packed where the name ends in .gz."""
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path
