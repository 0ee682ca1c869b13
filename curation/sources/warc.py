"""Records of WARC files, whole or damaged: what the kinds cc-news and wet have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import xxhash
from fastwarc.warc import ArchiveIterator

from curation.records import Reject

MAX_PAGE = 10 << 20  # resiliparse parses about 20 MB/s: no page holds a worker over a second


def read_records(
    stream: Any, kind: Any, source: str, *, parse_http: bool, limit: int
) -> Iterator[tuple[Any, str, bytes] | Reject]:
    """Yield (record, address, body) for each record of a type, bodies cut behind `limit` bytes.

    Damage ends the file with a reject; what lies before it comes out.
    """
    records = ArchiveIterator(stream, record_types=kind, parse_http=parse_http)
    while True:
        try:
            record = next(records, None)
            if record is None:
                return
            url = record.headers.get("WARC-Target-URI") or ""
            body = record.reader.read(limit + 1)
        except (OSError, ValueError, EOFError) as error:
            yield Reject(f"{source}:?", "extract", "damaged_warc", source, value=str(error))
            return
        yield record, url, body


def identity(source: str, url: str) -> str:
    """Return the id of a page: the same in every crawl of its address."""
    return f"{source}:{xxhash.xxh3_64_hexdigest(url.encode('utf-8', 'replace'))}"


def date_of(record: Any) -> str:
    """Return the day of the record, "" where it states none."""
    return str(record.headers.get("WARC-Date", ""))[:10]
