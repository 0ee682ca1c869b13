"""Rows of any layout → documents, by a column mapping from the config.

Reads JSON lines, a JSON array of objects, or an object of objects.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import xxhash

from curation.records import Reject
from curation.sources.lines import read_lines
from curation.sources.raw import RawDocument, RawSection

MAX_JSON = 256 << 20  # one JSON value is parsed in memory


@dataclass(frozen=True, slots=True)
class BadRow:
    """What stands where a row should, and why it is none.

    Rejects are named by content, not by number: a split of a file does not know its rows' numbers.
    """

    reason: str
    data: bytes = b""

    def reject(self, source: str, language: str) -> Reject:
        """Return the reject of this row."""
        identity = f"{source}:row-{_key(self.data)}"
        excerpt = self.data[:200].decode("utf-8", "replace")
        return Reject(identity, "extract", self.reason, source, language, excerpt=excerpt)


def _key(data: bytes) -> str:
    return xxhash.xxh3_64_hexdigest(data)


def read_documents(
    rows: Iterable[dict[str, Any] | BadRow],
    source: str,
    declared: str | None,
    columns: Mapping[str, str],
) -> Iterator[RawDocument | Reject]:
    """Yield a document per row.

    `columns` maps title, text, and optionally abstract, url, date, id and language to the row's
    own field names.
    """
    for row in rows:
        if isinstance(row, BadRow):
            yield row.reject(source, declared or "")
            continue
        values = {name: _joined(row.get(column)) for name, column in columns.items()}
        title, text = values.get("title"), values.get("text")
        if not isinstance(title, str) or not isinstance(text, str):
            missing = "missing_title" if not isinstance(title, str) else "missing_text"
            value = ", ".join(map(str, row))[:200]
            identity = f"{source}:row-{_key(json.dumps(row).encode())}"
            yield Reject(identity, "extract", missing, source, value=value)
            continue
        content = f"{title}\n{text}".encode("utf-8", "replace")
        key = str(values.get("id") or _key(content))
        yield RawDocument(
            id=f"{source}:{declared or 'und'}:{key}",
            title=title,
            sections=[RawSection("", 0, text)],
            abstract=str(values.get("abstract") or ""),
            url=str(values.get("url") or ""),
            date=str(values.get("date") or "")[:10],
            language=values.get("language") or declared,
        )


def _joined(value: Any) -> Any:
    """Return a list of sentences as one text, anything else as it is."""
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return " ".join(value)
    return value


def json_objects(stream: IO[bytes], *, lines: bool = False) -> Iterator[dict[str, Any] | BadRow]:
    """Yield the objects of a JSON file, or the reason why a row is none.

    `lines`: the stream is a part of a file of JSON lines.
    """
    if lines:
        yield from _line_rows(read_lines(stream))
        return
    first = _line(stream, MAX_JSON)
    if not first:
        return
    second = _line(stream, MAX_JSON - len(first))
    if _is_one_value(first, second):
        yield from _objects(first + second + stream.read(MAX_JSON - len(first) - len(second)))
        return
    yield from _line_rows(itertools.chain((first, second), read_lines(stream)))


def _line_rows(lines: Iterable[bytes | None]) -> Iterator[dict[str, Any] | BadRow]:
    for line in lines:
        if line is None:
            yield BadRow("line_too_long")
        elif line.strip():
            yield from _objects(line)


def _line(stream: IO[bytes], limit: int) -> bytes:
    """Return the next line that is not blank."""
    while (line := stream.readline(limit)) and not line.strip():
        pass
    return line


def _is_one_value(first: bytes, second: bytes) -> bool:
    """Tell an array or pretty-printed object from JSON lines, of which one may be damaged."""
    if first.lstrip().startswith(b"["):
        return True
    return _value(first) == "malformed_json" and not isinstance(_value(second), dict)


def _value(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return "malformed_json"


def _objects(data: bytes) -> Iterator[dict[str, Any] | BadRow]:
    """Yield the objects of one JSON value: itself, or those in an array or object of objects."""
    value = _value(data)
    if isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values()):
        value = list(value.values())
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield item
        else:
            yield BadRow("malformed_json" if item == "malformed_json" else "not_an_object", data)
