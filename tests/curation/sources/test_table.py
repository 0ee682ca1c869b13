"""JSON rows of any layout to documents."""

from __future__ import annotations

import io
import itertools
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.records import Reject
from curation.sources import streams, table
from curation.sources.raw import RawDocument, RawSection

COLUMNS = {"title": "name", "text": "body"}
ROWS = [{"name": f"Title {i}", "body": f"Text of {i}"} for i in range(3)]


def read(data: bytes, columns: dict[str, str] = COLUMNS) -> list[RawDocument | Reject]:
    return list(table.read_documents(table.json_objects(io.BytesIO(data)), "json", "en", columns))


def summary(data: bytes) -> list[str]:
    """Titles of documents and reasons of rejects, in order."""
    return [r.reason if isinstance(r, Reject) else r.title for r in read(data)]


def as_lines(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def by_key(rows: list[Any]) -> dict[str, Any]:
    return {str(number): row for number, row in enumerate(rows)}


LAYOUTS = {
    "lines": as_lines(ROWS),
    "lines without a last end": as_lines(ROWS).rstrip(),
    "lines with windows ends": as_lines(ROWS).replace(b"\n", b"\r\n"),
    "blank lines": b"\n \n" + as_lines(ROWS).replace(b"\n", b"\n\n"),
    "array": json.dumps(ROWS).encode(),
    "pretty array": json.dumps(ROWS, indent=1).encode(),
    "an array over lines": b"[" + as_lines(ROWS).strip().replace(b"\n", b",\n") + b"]\n",
    "object of objects": json.dumps(by_key(ROWS)).encode(),
    "pretty object of objects": json.dumps(by_key(ROWS), indent=2).encode(),
    "objects of objects on lines": as_lines([by_key(ROWS[:2]), by_key(ROWS[2:])]),
}


@pytest.mark.parametrize("data", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_documents(data: bytes) -> None:
    """Lines, arrays and objects of objects hold the same rows."""
    assert summary(data) == ["Title 0", "Title 1", "Title 2"]


def test_one_pretty_object_is_one_row() -> None:
    """A single object over several lines is a row, not lines."""
    assert summary(json.dumps(ROWS[0], indent=2).encode()) == ["Title 0"]


def test_columns_are_mapped() -> None:
    """Every field comes from the column that the config names."""
    row = {"t": "Title", "x": "Text", "a": "Short", "u": "https://x.org", "l": "fr"}
    row |= {"d": "2020-01-02T03:04", "n": "7"}
    columns = dict(
        zip(("title", "text", "abstract", "url", "language", "date", "id"), row, strict=True)
    )
    assert read(as_lines([row]), columns) == [
        RawDocument(
            id="json:en:7",
            title="Title",
            sections=[RawSection("", 0, "Text")],
            abstract="Short",
            url="https://x.org",
            date="2020-01-02",
            language="fr",
        )
    ]


def test_without_an_id_the_content_makes_one() -> None:
    """Equal rows have equal ids, others do not."""
    ids = [record.id for record in read(as_lines([ROWS[0], ROWS[1], ROWS[0]]))]
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"body": "x"}, "missing_title"),
        ({"name": None, "body": "x"}, "missing_title"),
        ({"name": "x"}, "missing_text"),
        ({"name": "x", "body": ["a", 1]}, "missing_text"),
        ({}, "missing_title"),
        ("text", "not_an_object"),
        (1, "not_an_object"),
        (None, "not_an_object"),
    ],
    ids=str,
)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_bad_row_is_rejected_alone(row: Any, reason: str, place: int) -> None:
    """Wherever it stands among lines, the other rows are read."""
    titles = [r["name"] for r in ROWS]
    data = as_lines([*ROWS[:place], row, *ROWS[place:]])
    assert summary(data) == [*titles[:place], reason, *titles[place:]]


def test_an_array_among_lines_gives_its_objects() -> None:
    """A line may hold several rows, or none."""
    assert summary(as_lines([ROWS[0], [], ROWS[1:]])) == ["Title 0", "Title 1", "Title 2"]


@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.parametrize(
    "line", [b"{", b'{"name": "cut', b'{"name": }', b"\xff\xfe", b"\x00", b'{"a":' * 90_000],
    ids=["brace", "cut", "no value", "bytes", "nul", "deep"],
)  # fmt: skip
def test_a_damaged_line_is_rejected_alone(line: bytes, place: int) -> None:
    """Also as the first line of the file, where the layout is told."""
    lines = as_lines(ROWS).splitlines()
    titles = [r["name"] for r in ROWS]
    data = b"\n".join([*lines[:place], line, *lines[place:]])
    assert summary(data) == [*titles[:place], "malformed_json", *titles[place:]]


@pytest.mark.parametrize("size", [1 << 16, 200_000, 3_000_000])
def test_a_long_first_line_is_a_line(size: int) -> None:
    """A first text of any length does not make the file one value."""
    rows = [{"name": "Long", "body": "x" * size}, *ROWS]
    assert summary(as_lines(rows)) == ["Long", "Title 0", "Title 1", "Title 2"]


def test_a_line_over_the_limit_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A huge record costs itself only."""
    monkeypatch.setattr(table, "read_lines", lambda stream: iter([None, as_lines(ROWS[2:])]))
    assert summary(as_lines(ROWS[:2])) == ["Title 0", "Title 1", "line_too_long", "Title 2"]


def test_a_damaged_array_is_one_reject() -> None:
    """A cut array has no rows to trust."""
    assert summary(json.dumps(ROWS).encode()[:-9]) == ["malformed_json"]


def test_an_array_keeps_its_good_items() -> None:
    """What is no object in it is rejected alone."""
    assert summary(json.dumps([ROWS[0], 1, ROWS[1]]).encode()) == [
        "Title 0",
        "not_an_object",
        "Title 1",
    ]


@pytest.mark.parametrize("data", [b"", b"\n \n", b"[]"], ids=["empty", "blank", "no items"])
def test_no_rows(data: bytes) -> None:
    """An empty file or array has no documents."""
    assert summary(data) == []


def test_a_list_of_sentences_is_a_text() -> None:
    """Abstracts come as lists of sentences too."""
    (found,) = read(as_lines([{"name": "x", "body": ["One.", "Two."]}]))
    assert isinstance(found, RawDocument)
    assert found.sections[0].text == "One. Two."


def test_a_lone_surrogate_is_no_error() -> None:
    """A row with half a character gets an id as any other."""
    (found,) = read(as_lines([{"name": "a\ud800", "body": "b\udfff"}]))
    assert isinstance(found, RawDocument)
    assert len(found.id) == len("json:en:") + 16


def test_a_value_without_end_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file that is one endless value only so much is read."""
    monkeypatch.setattr(table, "MAX_JSON", 1 << 20)
    stream = io.BytesIO(b"[" + b" " * (16 << 20))
    tracemalloc.start()
    found = list(table.read_documents(table.json_objects(stream), "json", "en", COLUMNS))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [getattr(record, "reason", "") for record in found] == ["malformed_json"]
    assert peak < 6 << 20


VALUES = st.text(max_size=20) | st.none() | st.integers() | st.lists(st.integers(), max_size=2)


@given(st.lists(st.fixed_dictionaries({"name": VALUES, "body": VALUES}), min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_layouts_agree_on_any_rows(rows: list[dict[str, Any]]) -> None:
    """As lines, as an array and as an object of objects the records are equal."""
    lines = read(as_lines(rows))
    assert len(lines) == len(rows)
    assert read(json.dumps(rows).encode()) == lines
    assert read(json.dumps(by_key(rows), indent=1).encode()) == lines


@given(st.lists(st.binary(max_size=50), max_size=6).map(b"\n".join))
@settings(deadline=None, max_examples=100)
def test_any_bytes_give_records(data: bytes) -> None:
    """Nothing raises, and every record says where it is from."""
    assert all(record.id.startswith("json:") for record in read(data))


def test_a_real_table_of_papers(real_data: Path) -> None:
    """Of the first 200 S2ORC rows those without abstract are rejected by name."""
    columns = {"title": "title", "text": "abstract", "id": "paper_id"}
    path = str(real_data / "scientific" / "s2orc-metadata-sample.jsonl.gz")
    with streams.transcoded(streams.open_stream(path)) as stream:
        found = list(
            itertools.islice(
                table.read_documents(table.json_objects(stream), "s2orc", "en", columns), 1000
            )
        )
    rejects = [r.reason for r in found if isinstance(r, Reject)]
    assert (len(found), len(rejects), set(rejects)) == (1000, 512, {"missing_text"})
