"""CCNet JSON lines, as CCNet writes them or as re-published with `text` and `metadata`.

Fields read: `raw_content` or `text`; `url`, `title`, `language`, `date_download`, each at the
top or inside `metadata`; `id` and `created` stand in for address and date.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import xxhash

from curation.records import Reject
from curation.sources.c4 import parsed
from curation.sources.lines import read_rows
from curation.sources.plain import titled
from curation.sources.raw import RawDocument, RawSection


def read_pages(
    stream: IO[bytes], source: str, declared: str | None
) -> Iterator[RawDocument | Reject]:
    """Yield a document per line; the page's own `title` wins over the first line of its text."""
    for row in read_rows(stream, _parsed, source, declared):
        yield row if isinstance(row, Reject) else _page(row, source, declared)


def _parsed(line: bytes | None) -> dict[str, Any] | str:
    row = parsed(line, "raw_content")
    return parsed(line) if row == "missing_text" else row


def _page(row: dict[str, Any], source: str, declared: str | None) -> RawDocument | Reject:
    raw = row.get("raw_content")
    text = raw if isinstance(raw, str) else str(row["text"])
    url = _field(row, "url") or _field(row, "id")
    key = xxhash.xxh3_64_hexdigest(f"{url}\n{text}".encode("utf-8", "replace"))
    title, body = titled(text, _field(row, "title"))
    if not title:
        excerpt = text[:200]
        return Reject(f"{source}:{key}", "extract", "no_title_line", source, excerpt=excerpt)
    return RawDocument(
        id=f"{source}:{key}",
        title=title,
        sections=[RawSection("", 0, body)],
        url=url,
        date=(_field(row, "date_download") or _field(row, "created"))[:10],
        language=_field(row, "language") or declared,
    )


def _field(row: dict[str, Any], name: str) -> str:
    """Return a text field of the row or of its `metadata`, "" where neither has it."""
    metadata = row.get("metadata")
    for table in (row, metadata if isinstance(metadata, dict) else {}):
        if isinstance(table.get(name), str) and table[name]:
            return str(table[name])
    return ""
