"""Damage of every sort in every kind of row and page: counted, and nothing else is lost."""

from __future__ import annotations

import gzip
import json
import resource
from pathlib import Path
from typing import Any

import pytest

from curation.config import WARC_KINDS, SourceConfig
from curation.records import Reject
from curation.splitting import Split, SplitReader
from tests.builders import PARAGRAPH, conversion_record, news_html, warc_record

BODY = PARAGRAPH.strip()
MAPPED = {"columns": {"title": "title", "text": "text"}}
URL = "https://x.org/"


def line(row: dict[str, Any]) -> bytes:
    return json.dumps(row).encode() + b"\n"


GOOD: dict[str, tuple[bytes, dict[str, Any]]] = {
    "c4": (line({"text": f"A title\n{BODY}", "url": URL}), {}),
    "mc4": (line({"text": f"A title\n{BODY}", "url": URL}), {}),
    "ccnet": (line({"raw_content": BODY, "title": "A title", "language": "en"}), {}),
    "json": (line({"title": "A title", "text": BODY}), MAPPED),
    "csv": (f'A title,"{BODY}"\n'.encode(), MAPPED),
    "s2orc": (line({"corpusid": 1, "title": "A title", "abstract": BODY}), {}),
    "xp3": (line({"inputs": "Tell me about it.", "targets": BODY}), {}),
    "wet": (gzip.compress(conversion_record(URL, f"A title\n{BODY}")), {}),
    "cc-news": (gzip.compress(warc_record(URL, news_html("A title", f"{BODY}\n{BODY}"))), {}),
}
ROWS = [kind for kind in GOOD if kind not in WARC_KINDS]
DAMAGE = {
    "bad utf-8": b'{"text": "\xff\xfe", "title": "\xff"}\n',
    "zeros": b"\0" * 1000 + b"\n",
    "missing fields": b"{}\n",
    "deep nesting": b'{"text": ' + b"[" * 100_000 + b"\n",
    "half a row": b'{"text": "A ti\n',
    "50 megabytes": b'{"text": "' + b"a" * (50 << 20) + b'"}\n',
}


def read(path: Path, kind: str, options: dict[str, Any]) -> list[str]:
    """Return "" for a record, the reason for a reject."""
    source = SourceConfig(kind=kind, path=str(path), language="en", **options)
    reader = SplitReader(Split(0, str(path), path.stat().st_size), source)
    return [record.reason if isinstance(record, Reject) else "" for record in reader]


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_row_costs_itself(kind: str, damage: str, tmp_path: Path) -> None:
    """Three rows around it are read, whatever it is, in bounded memory."""
    row, options = GOOD[kind]
    head = b"title,text\n" if kind == "csv" else b""
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(head + row + row + DAMAGE[damage] + row, 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = read(path, kind, options)
    assert [found[0], found[1], found[-1]] == ["", "", ""]
    assert len(found) == 4
    assert found[2]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10


@pytest.mark.parametrize("kind", GOOD)
def test_a_truncated_file_keeps_its_whole_records(kind: str, tmp_path: Path) -> None:
    """And the cut is counted."""
    row, options = GOOD[kind]
    head = b"title,text\n" if kind == "csv" else b""
    path = tmp_path / "x.gz"
    data = row * 50 if kind in WARC_KINDS else gzip.compress(head + row * 50)
    path.write_bytes(data[: len(data) - 25])
    found = read(path, kind, options)
    assert found[0] == ""
    assert found[-1] in ("truncated_file", "truncated_record", "damaged_warc")
    assert found.count("") + 2 >= (49 if kind in WARC_KINDS else 1)


@pytest.mark.parametrize("kind", WARC_KINDS)
def test_a_page_of_50_megabytes_is_counted(kind: str, tmp_path: Path) -> None:
    """A bomb of one record is read to the limit; the pages around it are whole."""
    row, options = GOOD[kind]
    huge = (
        conversion_record(URL, "A title\n" + "a" * (50 << 20))
        if kind == "wet"
        else warc_record(URL, b"<p>" * (17 << 20))
    )
    path = tmp_path / "x.warc.gz"
    path.write_bytes(row + gzip.compress(huge, 1) + row)
    assert read(path, kind, options) == ["", "page_too_large", ""]


@pytest.mark.parametrize("kind", ROWS)
def test_a_bomb_is_one_reject(kind: str, tmp_path: Path) -> None:
    """Half a megabyte that unpacks to a line of a hundred is passed over."""
    row, options = GOOD[kind]
    head = b"title,text\n" if kind == "csv" else b""
    path = tmp_path / "x.gz"
    zeros = gzip.compress(bytes(25 << 20), 1) * 4
    path.write_bytes(gzip.compress(head + row) + zeros + gzip.compress(b"\n" + row))
    found = read(path, kind, options)
    assert (found[0], found[-1], len(found)) == ("", "", 3)
