"""C4 / mC4 JSON lines (text, timestamp, url) → web pages titled by their first line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO, Any

import xxhash

from curation.records import Reject
from curation.sources.lines import read_rows
from curation.sources.raw import RawDocument, RawSection
from curation.text import one_line

_LANGUAGE_IN_NAME = re.compile(r"c4-([a-z]{2,3}(?:-[A-Za-z]{4})?)(?:-validation)?\.")
_LANGUAGE_IN_FOLDER = re.compile(
    r"(?:^|/)(en)(?:\.noclean|\.noblocklist)?/c4-(?:train|validation)\."
)
_MAX_TITLE = 120
_SENTENCE_END = tuple(".,;:!…。，、；：！।؟")


def language_in_path(path: str) -> str | None:
    """Return the language that a path states: mC4's `c4-bn.tfrecord-00000…`, C4's `en/c4-train.…`.

    "und", mC4's folder of undetermined pages, states none.
    """
    match = _LANGUAGE_IN_NAME.search(path.rsplit("/", 1)[-1]) or _LANGUAGE_IN_FOLDER.search(path)
    return match[1] if match and match[1] != "und" else None


def read_lines_as_pages(
    stream: IO[bytes], source: str, declared: str | None
) -> Iterator[RawDocument | Reject]:
    """Yield a document per JSON line; a field `language` overrides `declared`."""
    for row in read_rows(stream, parsed, source, declared):
        if isinstance(row, Reject):
            yield row
            continue
        text, url = row["text"], str(row.get("url") or row.get("id") or "")
        key = xxhash.xxh3_64_hexdigest(f"{url}\n{text}".encode("utf-8", "replace"))
        title, body = split_title(text)
        if not title:
            excerpt = text[:200]
            yield Reject(f"{source}:{key}", "extract", "no_title_line", source, excerpt=excerpt)
            continue
        yield RawDocument(
            id=f"{source}:{key}",
            title=title,
            sections=[RawSection("", 0, body)],
            url=url,
            date=str(row.get("timestamp") or row.get("created") or "")[:10],
            language=row.get("language") or declared,
        )


def parsed(line: bytes | None, field: str = "text") -> dict[str, Any] | str:
    """Return the row of a line whose `field` holds text, or the reason why there is none."""
    if line is None:
        return "line_too_long"
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return "malformed_json"
    if not isinstance(row, dict) or not isinstance(row.get(field), str):
        return "missing_text"
    return row if row[field].strip() else "empty_text"


def split_title(text: str) -> tuple[str, str]:
    """Return (title, body) when the first line reads like a title, ("", text) otherwise.

    A title is a line of 3 to 120 characters with letters, of its own, no sentence.
    """
    first, newline, rest = text.strip().partition("\n")
    title = one_line(first)
    fits = 3 <= len(title) <= _MAX_TITLE and any(c.isalpha() for c in title)
    if newline and fits and not title.endswith(_SENTENCE_END):
        return title, rest.strip()
    return "", text
