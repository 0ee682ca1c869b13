"""Lines and rows of a set's files: any compression, any file system, errors with their place."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from curation import storage
from curation.errors import InputError
from curation.sources import streams

Judgements = dict[str, dict[str, int]]
_SUFFIXES = ("", ".gz", ".zst", ".bz2", ".xz")


@dataclass(slots=True)
class Content:
    """What the files of a set say."""

    queries: dict[str, str]
    """id → text."""
    corpus: dict[str, str]
    """id → title, newline, text: as the paper encoded MIRACL."""
    judgements: Judgements = field(default_factory=dict)
    """query id → document id → grade."""
    answers: dict[str, list[str]] = field(default_factory=dict)
    """query id → strings one of which a relevant document contains (MKQA); else empty."""


def find(folder: str, names: Sequence[str]) -> str:
    """Return the first of the files that exists, plain or compressed, or raise `InputError`."""
    base = storage.local_path(folder)
    for name in names:
        for suffix in _SUFFIXES:
            path = storage.join(base, name + suffix)
            if storage.exists(path):
                return path
    raise InputError(
        f"{folder} holds no {' or '.join(names)} (plain or compressed): check the set's `kind`, "
        "`path` and `split`"
    )


def lines(path: str) -> Iterator[str]:
    """Yield the lines of a file that hold anything; a damaged file is an `InputError`."""
    with streams.open_stream(path) as raw, streams.transcoded(raw) as stream:
        for line in stream:
            if not line.endswith(b"\n"):
                _check(raw, path)  # before half a line is read as a whole one
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            if text:
                yield text
        _check(raw, path)


def _check(raw: streams.DecompressedStream, path: str) -> None:
    if raw.damage:
        raise InputError(f"{path} is {raw.damage}: fetch it again")


def rows(path: str, *keys: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a file, each with these keys; name the line where one lacks any."""
    for number, line in enumerate(lines(path), 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: no JSON ({error})") from error
        if not isinstance(row, dict) or any(key not in row for key in keys):
            raise InputError(f"{path}, line {number}: no object with {', '.join(keys)}")
        yield row


def table(path: str, *columns: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file with a header that has these columns."""
    text = io.StringIO("\n".join(lines(path)), newline="")
    reader = csv.DictReader(text)
    missing = set(columns) - set(reader.fieldnames or ())
    if missing:
        raise InputError(f"{path} has no column {', '.join(sorted(missing))}")
    yield from reader


def titled(row: dict[str, Any]) -> str:
    """Return a document's title and text, as the paper joined them: by a newline."""
    return f"{row.get('title') or ''}\n{row.get('text') or ''}".strip()


def add(corpus: dict[str, str], identity: Any, text: str, path: str) -> None:
    """Add a document; raise `InputError` for an id that another text has."""
    if corpus.setdefault(str(identity), text) != text:
        raise InputError(f"{path}: two documents have the id {identity!r}")


def qrels(path: str) -> Judgements:
    """Return judgements: query, document, grade by tabs (BEIR), or TREC's four columns."""
    found: Judgements = {}
    for number, line in enumerate(lines(path), 1):
        cells = line.split("\t") if "\t" in line else line.split()
        if len(cells) == 4:
            cells = [cells[0], *cells[2:]]
        is_grade = len(cells) == 3 and cells[2].strip().lstrip("-").isdigit()
        if is_grade:
            found.setdefault(cells[0], {})[cells[1]] = int(cells[2])
        elif number > 1:
            raise InputError(
                f"{path}, line {number}: {line[:60]!r} is no query, document and whole grade"
            )
    return found
