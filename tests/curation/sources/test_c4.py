"""C4 and mC4 lines to titled pages."""

from __future__ import annotations

import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.records import REJECT, Reject, to_table
from curation.sources import c4, lines, streams
from curation.sources.raw import RawDocument, RawSection
from tests.builders import PARAGRAPH, write_json_lines

GOOD = {
    "text": f"A title\n{PARAGRAPH}",
    "url": "https://x.org/a",
    "timestamp": "2019-04-25T12:57:54Z",
}


def read(data: bytes, declared: str | None = None) -> list[RawDocument | Reject]:
    return list(c4.read_lines_as_pages(io.BytesIO(data), "c4", declared))


def one(row: Any, declared: str | None = None) -> RawDocument | Reject:
    (found,) = read(json.dumps(row).encode() + b"\n", declared)
    return found


def test_a_line_becomes_a_page(tmp_path: Path) -> None:
    """The first line is the title; address and date are kept."""
    path = write_json_lines(tmp_path / "c4-fr.json.gz", [GOOD])
    with streams.open_stream(str(path)) as stream:
        (found,) = c4.read_lines_as_pages(stream, "c4", "fr")
    assert isinstance(found, RawDocument)
    assert found == RawDocument(
        id=found.id,
        title="A title",
        sections=[RawSection("", 0, PARAGRAPH.strip())],
        url="https://x.org/a",
        date="2019-04-25",
        language="fr",
    )


def test_the_id_tells_address_and_text() -> None:
    """The same page has the same id wherever it stands; another text or address another one."""
    rows = [GOOD, GOOD, GOOD | {"url": "https://x.org/b"}, GOOD | {"text": "A title\nelse"}]
    ids = [record.id for record in read(b"".join(json.dumps(r).encode() + b"\n" for r in rows))]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("row", "field", "expected"),
    [
        ({"text": GOOD["text"], "id": "https://y.org"}, "url", "https://y.org"),
        ({"text": GOOD["text"], "created": "2020-01-02T00:00:00"}, "date", "2020-01-02"),
        ({"text": GOOD["text"], "url": None, "timestamp": None}, "url", ""),
        ({"text": GOOD["text"], "timestamp": 1556197074000}, "date", "1556197074"),
        ({"text": GOOD["text"], "language": "de"}, "language", "de"),
        ({"text": GOOD["text"], "language": ""}, "language", "en"),
        ({"text": GOOD["text"]}, "language", "en"),
    ],
    ids=["id", "created", "null", "number", "own language", "empty language", "declared"],
)
def test_fields_and_their_substitutes(row: dict[str, Any], field: str, expected: str) -> None:
    """Dolma's names serve too; a missing field is empty."""
    assert getattr(one(row, "en"), field) == expected


BAD = {
    "malformed_json": [b"{", b'{"text": "a\xff"}', b"\x00\x00", b"[" * 100_000, b"9" * 5000],
    "missing_text": [b"[]", b'"text"', b"1", b"null", b'{"url": "x"}', b'{"text": ["a"]}'],
    "empty_text": [b'{"text": ""}', b'{"text": " \\n "}'],
    "no_title_line": [b'{"text": "One line only"}', b'{"text": "A sentence.\\nmore"}'],
}


@pytest.mark.parametrize(
    ("reason", "line"), [(reason, line) for reason, found in BAD.items() for line in found]
)  # fmt: skip
def test_a_bad_line_is_rejected_alone(reason: str, line: bytes) -> None:
    """The lines before and behind it are read, and empty lines count for nothing."""
    good = json.dumps(GOOD).encode()
    found = read(b"\n".join([good, b"", line, b"\r", good]), "en")
    assert [isinstance(record, Reject) for record in found] == [False, True, False]
    assert isinstance(found[1], Reject)
    assert (found[1].reason, found[1].stage, found[1].source) == (reason, "extract", "c4")


def test_a_line_over_the_limit_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A huge record costs itself only."""
    monkeypatch.setattr(lines, "read_lines", partial(lines.read_lines, limit=1000))
    good = json.dumps(GOOD).encode()
    found = read(b"\n".join([good, b'{"text": "' + b"x" * 5000, good]))
    assert [getattr(record, "reason", "") for record in found] == ["", "line_too_long", ""]


def test_a_lone_surrogate_is_no_error() -> None:
    """JSON can hold half a character; page and reject can be written all the same."""
    page = one({"text": "A title \ud800\nbody \udfff", "url": "\ud800"})
    assert isinstance(page, RawDocument)
    assert page.title == "A title \ufffd"
    reject = one({"text": "one line \ud800"})
    assert to_table([reject], REJECT)["excerpt"].to_pylist() == ["one line ?"]


@given(st.lists(st.binary(max_size=60).map(lambda b: b.replace(b"\n", b"")), max_size=5))
@settings(deadline=None, max_examples=100)
def test_any_lines_cost_no_good_one(noise: list[bytes]) -> None:
    """Whatever stands between two good lines, both are read."""
    good = json.dumps(GOOD).encode()
    found = read(b"\n".join([good, *noise, good]))
    assert isinstance(found[0], RawDocument)
    assert isinstance(found[-1], RawDocument)
    assert len(found) == 2 + sum(line.rstrip(b"\r") != b"" for line in noise)


TITLES = {
    "title": ("A title\nBody", ("A title", "Body")),
    "spaces": ("\n  A \t title  \n\n Body \n", ("A title", "Body")),
    "body of many lines": ("A title\nB\nC", ("A title", "B\nC")),
    "three letters": ("ABC\nBody", ("ABC", "Body")),
    "two letters": ("AB\nBody", ("", "AB\nBody")),
    "no letters": ("123 456\nBody", ("", "123 456\nBody")),
    "longest": ("a" * 120 + "\nBody", ("a" * 120, "Body")),
    "too long": ("a" * 121 + "\nBody", ("", "a" * 121 + "\nBody")),
    "one line": ("A title", ("", "A title")),
    "question": ("Is it one?\nBody", ("Is it one?", "Body")),
    "sentence": ("It is one.\nBody", ("", "It is one.\nBody")),
    "chinese sentence": ("这是一个句子。\n正文", ("", "这是一个句子。\n正文")),
    "hindi sentence": ("यह एक वाक्य है।\nपाठ", ("", "यह एक वाक्य है।\nपाठ")),
    "chinese title": ("灯塔的历史\n正文", ("灯塔的历史", "正文")),
}


@pytest.mark.parametrize(("text", "expected"), TITLES.values(), ids=TITLES)
def test_the_title_is_a_line_that_is_no_sentence(text: str, expected: tuple[str, str]) -> None:
    """Three to a hundred and twenty characters with letters, on a line of its own."""
    assert c4.split_title(text) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/multilingual/c4-bn.tfrecord-00000-of-00100.json.gz", "bn"),
        ("c4-zh-Latn.tfrecord-00000-of-00100.json.gz", "zh-Latn"),
        ("gs://bucket/c4-ceb.tfrecord-00001.json.gz", "ceb"),
        ("en/c4-train.00000-of-01024.json.gz", "en"),
        ("gs://bucket/en.noclean/c4-validation.00000-of-00008.json.gz", "en"),
        ("multilingual/c4-bn-validation.tfrecord-00000-of-00001.json.gz", "bn"),
        ("multilingual/c4-und.tfrecord-00000-of-00001.json.gz", None),
        ("realnewslike/c4-train.00000-of-00512.json.gz", None),
        ("c4-fr.tfrecord/part.json.gz", None),
        ("dolma.json.gz", None),
    ],
)
def test_the_language_in_a_name(path: str, expected: str | None) -> None:
    """Only the names that C4 and mC4 give their files state a language."""
    assert c4.language_in_path(path) == expected


def test_real_web_pages(real_data: Path) -> None:
    """The three Dolma files hold ten pages each; none is malformed."""
    reasons: list[str] = []
    for path in sorted((real_data / "webtext").glob("dolma-*.gz")):
        with streams.open_stream(str(path)) as stream:
            found = list(c4.read_lines_as_pages(stream, "c4", "en"))
        assert len(found) == 10
        reasons += [r.reason for r in found if isinstance(r, Reject)]
    assert set(reasons) <= {"no_title_line"}
    assert len(reasons) < 30
