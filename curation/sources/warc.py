"""Records of WARC files, whole or damaged: what the kinds cc-news and wet have in common."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import xxhash
from fastwarc.warc import ArchiveIterator

from curation.records import Reject

MAX_PAGE = 10 << 20  # resiliparse parses about 20 MB/s: no page holds a worker over a second
_MEMBER = b"\x1f\x8b\x08"
_CHUNK = 1 << 20
_HEAD = 512  # compressed bytes that show whether a member holds a record


def read_records(
    stream: Any, kind: Any, source: str, *, parse_http: bool, limit: int
) -> Iterator[tuple[Any, str, bytes] | Reject]:
    """Yield (record, address, body) for each record of a type, bodies cut behind `limit` bytes.

    Damage is a reject, and reading goes on with the next whole member of a compressed file; of
    a plain one the rest is lost.
    """
    position, is_new = 0, True
    while True:
        try:
            for record in ArchiveIterator(stream, record_types=kind, parse_http=parse_http):
                position, is_new = record.stream_pos, True
                url = record.headers.get("WARC-Target-URI") or ""
                yield record, url, record.reader.read(limit + 1)
            return
        except (OSError, ValueError, EOFError) as error:
            if is_new:
                yield Reject(f"{source}:?", "extract", "damaged_warc", source, value=str(error))
        position, is_new = next_member(stream, position + 1), False
        if position < 0:
            return
        stream.seek(position)


def next_member(stream: Any, start: int) -> int:
    """Return where the next gzip member that holds a WARC record begins, -1 if there is none."""
    stream.seek(start)
    data, offset = b"", start
    while True:
        chunk = stream.read(_CHUNK)
        data += chunk
        found = data.find(_MEMBER)
        while found >= 0 and (len(data) - found >= _HEAD or not chunk):
            if _holds_record(data[found : found + _HEAD]):
                return int(offset + found)
            found = data.find(_MEMBER, found + 1)
        if not chunk:
            return -1
        rest = found if found >= 0 else max(0, len(data) - len(_MEMBER) + 1)
        offset, data = offset + rest, data[rest:]


def _holds_record(head: bytes) -> bool:
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 16).startswith(b"WARC/")
    except zlib.error:
        return False


def identity(source: str, url: str) -> str:
    """Return the id of a page: the same in every crawl of its address."""
    return f"{source}:{xxhash.xxh3_64_hexdigest(url.encode('utf-8', 'replace'))}"


def date_of(record: Any) -> str:
    """Return the day of the record, "" where it states none."""
    return str(record.headers.get("WARC-Date", ""))[:10]
