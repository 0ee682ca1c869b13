"""CC-News WARC files → news pages (title, description, main text)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import xxhash
from fastwarc.warc import ArchiveIterator, WarcRecordType

from curation.records import Reject
from curation.sources import html
from curation.sources.raw import RawDocument, RawSection

MAX_PAGE = 10 << 20  # resiliparse parses about 20 MB/s: no page holds a worker over a second


def read_pages(stream: Any, source: str, declared: str | None) -> Iterator[RawDocument | Reject]:
    """Yield a document for each HTML response of a WARC; the file's members may be cut short."""
    records = ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True)
    while True:
        try:
            record = next(records, None)
            if record is None:
                return
            url = record.headers.get("WARC-Target-URI") or ""
            body = record.reader.read(MAX_PAGE + 1)
        except (OSError, ValueError, EOFError) as error:
            yield Reject(f"{source}:?", "extract", "damaged_warc", source, value=str(error))
            return
        yield _page(record, url, body, source, declared)


def _page(
    record: Any, url: str, body: bytes, source: str, declared: str | None
) -> RawDocument | Reject:
    identity = f"{source}:{xxhash.xxh3_64_hexdigest(url.encode())}"
    problem = _problem(record, body)
    if problem:
        return Reject(identity, "extract", problem, source, value=url[:500])
    markup = html.decode(body, record.http_charset)
    if html.is_too_deep(markup):
        return Reject(identity, "extract", "page_too_deep", source, value=url[:500])
    page = html.extract(markup)
    if not page.text.strip():
        return Reject(identity, "extract", "no_text", source, value=url[:500])
    return RawDocument(
        id=identity,
        title=page.title,
        sections=[RawSection("", 0, page.text)],
        abstract=page.description,
        url=url,
        date=str(record.headers.get("WARC-Date", ""))[:10],
        language=declared,
    )


def _problem(record: Any, body: bytes) -> str:
    kind = (record.http_content_type or "text/html").lower()
    if record.http_headers is None:
        return "not_http"
    if (record.http_headers.status_code or 200) != 200:
        return "http_status"
    if "html" not in kind:
        return "not_html"
    if len(body) > MAX_PAGE:
        return "page_too_large"
    if len(body) < record.content_length:
        return "truncated_record"
    return "empty_page" if not body.strip() else ""
