"""CSV and TSV tables to rows."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.config import SourceConfig
from curation.records import Reject
from curation.sources import delimited
from curation.sources.table import BadRow
from curation.splitting import Split, SplitReader


def rows(data: str | bytes) -> list[Any]:
    raw = data.encode() if isinstance(data, str) else data
    found = delimited.read_rows(io.BytesIO(raw))
    return [row.reason if isinstance(row, BadRow) else row for row in found]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_the_header_tells_the_delimiter(delimiter: str) -> None:
    """Comma, tab or semicolon; fields may hold the others, quotes and line ends."""
    text = 'a,b,c\n1,"x, ""y""\nz",3\n\n4,5,6'.replace(",", delimiter)
    expected = {"a": "1", "b": f'x{delimiter} "y"\nz', "c": "3"}
    assert rows(text) == [expected, {"a": "4", "b": "5", "c": "6"}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [("1,2,3", "wrong_number_of_fields"), ("1", "wrong_number_of_fields")],
    ids=["more", "fewer"],
)
def test_a_bad_row_is_rejected_alone(line: str, reason: str) -> None:
    """The rows around it are read."""
    good = {"a": "1", "b": "2"}
    assert rows(f"a,b\n1,2\n{line}\n1,2\n") == [good, reason, good]


@pytest.mark.parametrize(
    "data",
    [b"", b"a,b", b"a,b\n", b"\xff\xfe,\x00\n", b'"'],
    ids=["empty", "head", "end", "bytes", "quote"],
)
def test_no_rows(data: bytes) -> None:
    """A header alone has no rows."""
    assert rows(data) == []


def test_bad_bytes_and_zeros_stay_in_their_row() -> None:
    """A row that is no UTF-8 is rejected; a NUL is a character."""
    assert rows(b"a,b\n\xff,1\n\x00,2\n") == ["undecodable", {"a": "\0", "b": "2"}]


def test_a_quote_never_closed_costs_its_line_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading goes on behind the line that opened it."""
    monkeypatch.setattr(delimited, "MAX_FIELD", 2000)
    good = "".join(f"{i},text\n" for i in range(1000))
    found = rows(f'a,b\n0,"open\n{good}')
    assert found[0] == "field_too_long"
    assert [row["a"] for row in found[1:]] == [str(i) for i in range(1000)]


def test_many_open_quotes_end_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading again has a bound."""
    monkeypatch.setattr(delimited, "MAX_FIELD", 500)
    monkeypatch.setattr(delimited, "_MAX_RESTARTS", 3)
    hostile = ('x,"' + "y" * 600 + "\n") * 50
    found = rows("a,b\n" + hostile)
    assert found[-1] == "too_many_damaged_rows"
    assert len(found) <= 6


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0[\ufffd"))


@given(st.lists(st.lists(FIELD, min_size=2, max_size=2), max_size=6))
@settings(deadline=None, max_examples=100)
def test_what_is_written_is_read(table: list[list[str]]) -> None:
    """Rows that the standard writer wrote come back."""
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *table])
    assert rows(buffer.getvalue()) == [{"a": a, "b": b} for a, b in table]


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=100)
def test_any_bytes_are_rows_or_reasons(data: bytes) -> None:
    """No input raises."""
    assert all(isinstance(row, dict | str) for row in rows(data))


LISTS = {
    "numpy": ("['One.' \"It's two.\"\n 'Three.']", "One. It's two. Three."),
    "python": ("['One.', 'Two.']", "One. Two."),
    "escapes": (r"['a\xa0b' 'it\'s']", "a\xa0b it's"),
    "one": ("['One.']", "One."),
    "no escape": (r"['a\x' 'b']", r"a\x b"),
    "no list": ("[1, 2]",) * 2,
    "brackets in prose": ("[Note] It's 'so'.",) * 2,
    "cut": ("['One.' 'Tw",) * 2,
    "code": ("[__import__('os')]",) * 2,
}


@pytest.mark.parametrize(("value", "expected"), LISTS.values(), ids=LISTS)
def test_printed_lists_are_texts(value: str, expected: str) -> None:
    """Only what is a list of strings throughout; nothing is evaluated."""
    assert delimited.listed(value) == expected


def test_real_papers(real_data: Path) -> None:
    """SciFact's export, inside its zip: 5,183 papers with a title and a text of sentences."""
    path = real_data / "scientific" / "scifact" / "scifact.zip"
    source = SourceConfig(
        kind="csv",
        path=str(path),
        members="corpus_train.csv",
        columns={"title": "title", "text": "abstract", "id": "doc_id"},
    )
    found = list(SplitReader(Split(0, str(path), path.stat().st_size), source))
    assert len(found) == 5183
    assert not any(isinstance(record, Reject) for record in found)
    assert not any(record.sections[0].text.startswith("['") for record in found)
