"""CSV and TSV tables with a header line → rows by column name.

Quoted fields may hold line ends. A quote that is never closed would swallow the rest of a file:
a field that passes the limit costs its first line only, and reading goes on behind that line.
"""

from __future__ import annotations

import ast
import csv
import re
from collections import deque
from collections.abc import Iterator
from typing import IO, Any

from curation.sources.lines import read_lines
from curation.sources.table import BadRow

MAX_FIELD = 1 << 20
_MAX_RESTARTS = 100  # each costs up to MAX_FIELD of reading again
_DELIMITERS = "\t,;"
_STRING = r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
_PRINTED_LIST = re.compile(rf"\[\s*{_STRING}(?:[\s,]+{_STRING})*\s*\]", re.DOTALL)
_PRINTED_STRING = re.compile(_STRING, re.DOTALL)


class _Lines:
    """The lines of a table as text, which can be given back."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._lines = read_lines(stream)
        self._returned: deque[str | None] = deque()
        self.taken: list[str | None] = []
        self.undecodable = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._returned:
            line = self._returned.popleft()
        else:
            raw = next(self._lines)
            line = None if raw is None else self._decoded(raw)
        self.taken.append(line)
        if line is None:
            raise _LineTooLongError
        return line

    def _decoded(self, raw: bytes) -> str:
        try:
            text = raw.decode()
        except UnicodeDecodeError:  # another charset than UTF-8
            text, self.undecodable = raw.decode("utf-8", "replace"), True
        return text.replace("\r", " ") + "\n"

    def give_back(self) -> None:
        """Let all lines since the last row be read again, except the first."""
        self._returned.extendleft(reversed(self.taken[1:]))
        self.taken.clear()


class _LineTooLongError(Exception):
    pass


def read_rows(stream: IO[bytes]) -> Iterator[dict[str, Any] | BadRow]:
    """Yield each row as a dict by the header's names, or the reason why it is none.

    The delimiter is the one of tab, comma and semicolon that the header holds most of. Rows with
    fewer or more fields than the header are rejected: their columns cannot be told apart.
    """
    lines = _Lines(stream)
    try:
        header_line = next(lines)
    except StopIteration:
        return
    except _LineTooLongError:
        yield BadRow("line_too_long")
        return
    delimiter = max(_DELIMITERS, key=header_line.count)
    header = next(csv.reader([header_line], delimiter=delimiter), [])
    lines.taken.clear()
    for row in _rows(lines, delimiter):
        if isinstance(row, BadRow):
            yield row
        elif row and len(row) != len(header):
            yield BadRow("wrong_number_of_fields", delimiter.join(row).encode("utf-8", "replace"))
        elif row:
            yield {name: listed(value) for name, value in zip(header, row, strict=True)}


def _rows(lines: _Lines, delimiter: str) -> Iterator[list[str] | BadRow]:
    csv.field_size_limit(MAX_FIELD)
    restarts = 0
    while restarts <= _MAX_RESTARTS:
        try:
            for row in csv.reader(lines, delimiter=delimiter):
                lines.taken.clear()
                data = delimiter.join(row).encode("utf-8", "replace") if lines.undecodable else b""
                yield BadRow("undecodable", data) if lines.undecodable else row
                lines.undecodable = False
            return
        except _LineTooLongError:
            yield BadRow("line_too_long")
            lines.taken.clear()
        except csv.Error:
            yield BadRow("field_too_long", (lines.taken[0] or "").encode("utf-8", "replace"))
            lines.give_back()
            restarts += 1
    yield BadRow("too_many_damaged_rows")


def listed(value: str) -> str:
    """Return the sentences of a printed list (`['One.' "Two."]`) as one text, other values as is.

    Exports of array columns print them so, with or without commas.
    """
    if not (value.startswith("[") and value.endswith("]") and _PRINTED_LIST.fullmatch(value)):
        return value
    return " ".join(_literal(match[0]) for match in _PRINTED_STRING.finditer(value))


def _literal(quoted: str) -> str:
    try:
        return str(ast.literal_eval(quoted.replace("\n", "\\n")))
    except (ValueError, SyntaxError):  # an escape that is none
        return quoted[1:-1]
