"""Which reader a kind of source has: WARC files by record, other files by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from curation.config import SourceConfig
from curation.records import Reject
from curation.sources.raw import RawDocument, RawPair


def read_warc(stream: IO[bytes], source: SourceConfig) -> Iterator[RawDocument | Reject]:
    """Yield the pages of a WARC or WET file."""
    if source.kind == "wet":
        from curation.sources import wet

        return wet.read_pages(stream, source.label, source.language)
    from curation.sources import cc_news

    return cc_news.read_file(stream, source.label, source.language, source.extractor)


def read_rows(
    stream: IO[bytes], source: SourceConfig, path: str, *, lines: bool = False
) -> Iterator[RawDocument | RawPair | Reject]:
    """Yield the records of a file of rows; `path` may state their language.

    `lines`: the stream is a part of a file, so it holds a row a line.
    """
    label, language = source.label, source.language
    match source.kind:
        case "c4" | "mc4":
            from curation.sources import c4

            return c4.read_lines_as_pages(stream, label, language or c4.language_in_path(path))
        case "ccnet":
            from curation.sources import ccnet

            return ccnet.read_pages(stream, label, language)
        case "s2orc":
            from curation.sources import s2orc

            return s2orc.read_papers(stream, label, language)
        case "xp3":
            from curation.sources import instructions as xp3

            return xp3.read_pairs(stream, label, language or xp3.language_in_path(path))
        case "json":
            from curation.sources import table

            rows = table.json_objects(stream, lines=lines)
            return table.read_documents(rows, label, language, source.columns)
        case "csv":
            from curation.sources import delimited, table

            rows = delimited.read_rows(stream)
            return table.read_documents(rows, label, language, source.columns)
    raise AssertionError(source.kind)
