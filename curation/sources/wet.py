"""Common Crawl WET files → pages titled by their first line.

A WET record is the text of a page, menus and all, and its first line is the HTML title. The
header `WARC-Identified-Content-Language` is a guess of the crawl, wrong on small languages, and
is not taken for a declaration.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastwarc.warc import WarcRecordType

from curation.records import Reject
from curation.sources import warc
from curation.sources.plain import titled
from curation.sources.raw import RawDocument, RawSection


def read_pages(stream: Any, source: str, declared: str | None) -> Iterator[RawDocument | Reject]:
    """Yield a document for each `conversion` record of a WET file."""
    for item in warc.read_records(
        stream, WarcRecordType.conversion, source, parse_http=False, limit=warc.MAX_PAGE
    ):
        yield item if isinstance(item, Reject) else _page(*item, source, declared)


def _page(
    record: Any, url: str, body: bytes, source: str, declared: str | None
) -> RawDocument | Reject:
    problem = ""
    if len(body) > warc.MAX_PAGE:
        problem = "page_too_large"
    elif len(body) < record.content_length:
        problem = "truncated_record"
    elif not body.strip():
        problem = "empty_page"
    if problem:
        return Reject(warc.identity(source, url), "extract", problem, source, value=url[:500])
    title, text = titled(body.decode("utf-8", "replace"))
    if not title:
        return Reject(
            warc.identity(source, url), "extract", "no_title_line", source, value=url[:500]
        )
    return RawDocument(
        id=warc.identity(source, url),
        title=title,
        sections=[RawSection("", 0, text)],
        url=url,
        date=warc.date_of(record),
        language=declared,
    )
