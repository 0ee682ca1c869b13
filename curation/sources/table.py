"""JSON rows of any layout → documents, by a column mapping from the config.

Reads JSON lines, a JSON array of objects, or an object of objects.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

import xxhash

from curation.records import Reject
from curation.sources.lines import read_lines
from curation.sources.raw import RawDocument, RawSection

MAX_JSON = 256 << 20  # one JSON value is parsed in memory


def read_documents(
    stream: IO[bytes], source: str, declared: str | None, columns: Mapping[str, str]
) -> Iterator[RawDocument | Reject]:
    """Yield a document per row.

    `columns` maps title, text, and optionally abstract, url, date, id and language to the row's
    own field names.
    """
    for number, row in enumerate(_rows(stream)):
        if isinstance(row, str):
            yield Reject(f"{source}:row-{number}", "extract", row, source, declared or "")
            continue
        values = {name: row.get(column) for name, column in columns.items()}
        title, text = values.get("title"), values.get("text")
        if not isinstance(title, str) or not isinstance(text, str):
            missing = "missing_title" if not isinstance(title, str) else "missing_text"
            value = ", ".join(map(str, row))[:200]
            yield Reject(f"{source}:row-{number}", "extract", missing, source, value=value)
            continue
        key = str(values.get("id") or xxhash.xxh3_64_hexdigest(f"{title}\n{text}".encode()))
        yield RawDocument(
            id=f"{source}:{declared or 'und'}:{key}",
            title=title,
            sections=[RawSection("", 0, text)],
            abstract=str(values.get("abstract") or ""),
            url=str(values.get("url") or ""),
            date=str(values.get("date") or "")[:10],
            language=values.get("language") or declared,
        )


def _rows(stream: IO[bytes]) -> Iterator[dict[str, Any] | str]:
    """Yield the objects of a JSON file, or the reason why a row is none."""
    head = stream.read(1 << 16)
    if _is_one_value(head):
        yield from _whole(head + stream.read(MAX_JSON))
        return
    for line in read_lines(_Prefixed(head, stream)):  # type: ignore[arg-type]
        if line is None:
            yield "line_too_long"
        elif line.strip():
            yield from _objects([_value(line)])


def _is_one_value(head: bytes) -> bool:
    """Tell a JSON array or pretty-printed object from JSON lines by the first line."""
    first = head.lstrip().split(b"\n", 1)[0]
    return first.startswith(b"[") or _value(first) == "malformed_json"


def _whole(data: bytes) -> Iterator[dict[str, Any] | str]:
    value = _value(data)
    if isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values()):
        value = list(value.values())
    yield from _objects(value if isinstance(value, list) else [value])


def _value(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return "malformed_json"


def _objects(values: Iterable[Any]) -> Iterator[dict[str, Any] | str]:
    for value in values:
        if isinstance(value, dict):
            yield value
        else:
            yield value if value == "malformed_json" else "not_an_object"


class _Prefixed:
    """A stream's `readline` with bytes that were already read put back in front."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        self._head = head
        self._stream = stream

    def readline(self, limit: int) -> bytes:
        if not self._head:
            return self._stream.readline(limit)
        line, newline, rest = self._head.partition(b"\n")
        if newline:
            self._head = rest
            return line + newline
        self._head = b""
        return line + self._stream.readline(max(1, limit - len(line)))
