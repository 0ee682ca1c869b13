"""CC-News WARC files → news pages (title, description, main text)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastwarc.warc import WarcRecordType

from curation.records import Reject
from curation.sources import warc
from curation.sources.extraction import PageReader
from curation.sources.html import Page
from curation.sources.payload import decode_payload
from curation.sources.raw import RawDocument, RawSection

Extract = Callable[[bytes, str | None], Page | str]


def read_file(
    stream: Any, source: str, declared: str | None, extractor: str
) -> Iterator[RawDocument | Reject]:
    """Yield what `read_pages` does, extracted in a process of its own."""
    with PageReader(extractor) as extract:
        yield from read_pages(stream, source, declared, extract)


def read_pages(
    stream: Any, source: str, declared: str | None, extract: Extract
) -> Iterator[RawDocument | Reject]:
    """Yield a document for each HTML response of a WARC; the file's members may be cut short."""
    for item in warc.read_records(
        stream, WarcRecordType.response, source, parse_http=True, limit=warc.MAX_PAGE
    ):
        yield item if isinstance(item, Reject) else _page(*item, source, declared, extract)


def _page(
    record: Any, url: str, body: bytes, source: str, declared: str | None, extract: Extract
) -> RawDocument | Reject:
    identity = warc.identity(source, url)
    page: Page | str = _problem(record, body) or _extracted(record, body, extract)
    if isinstance(page, str):
        return Reject(identity, "extract", page, source, value=url[:500])
    return RawDocument(
        id=identity,
        title=page.title,
        sections=[RawSection("", 0, page.text)],
        abstract=page.description,
        url=url,
        date=warc.date_of(record),
        language=declared,
    )


def _extracted(record: Any, body: bytes, extract: Extract) -> Page | str:
    transfer, content = (
        record.http_headers.get(name) or "" for name in ("Transfer-Encoding", "Content-Encoding")
    )
    page = decode_payload(body, transfer, content, warc.MAX_PAGE)
    if page is None:
        return "unknown_encoding"
    if len(page) > warc.MAX_PAGE:
        return "page_too_large"
    return extract(page, record.http_charset)


def _problem(record: Any, body: bytes) -> str:
    kind = (record.http_content_type or "text/html").lower()
    if record.http_headers is None:
        return "not_http"
    if (record.http_headers.status_code or 200) != 200:
        return "http_status"
    if "html" not in kind:
        return "not_html"
    if len(body) > warc.MAX_PAGE:
        return "page_too_large"
    if len(body) < record.content_length:
        return "truncated_record"
    return "empty_page" if not body.strip() else ""
