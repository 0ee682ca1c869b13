"""CCNet's JSON lines to titled pages."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from curation.records import Reject
from curation.sources import ccnet, streams
from curation.sources.raw import RawDocument
from tests.builders import PARAGRAPH

BODY = PARAGRAPH.strip()
OWN = {
    "url": "https://x.org/a",
    "date_download": "2020-03-29T09:04:10Z",
    "title": "The river | Town News",
    "raw_content": f"Menu\nThe river\n{BODY}\nShare",
    "language": "en",
    "bucket": "head",
}
REPUBLISHED = {
    "id": "https://x.org/a",
    "text": OWN["raw_content"],
    "created": "2020-03-29T09:04:10Z",
    "source": "common-crawl",
    "metadata": {"language": "en", "title": OWN["title"], "bucket": "head"},
}


def read(*rows: Any) -> list[RawDocument | Reject]:
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    return list(ccnet.read_pages(io.BytesIO(b"\n".join(lines)), "cc", "de"))


@pytest.mark.parametrize("row", [OWN, REPUBLISHED], ids=["own", "republished"])
def test_both_forms_give_the_same_page(row: dict[str, Any]) -> None:
    """The title is without its site, the text without menus, the row's language wins."""
    (page,) = read(row)
    assert isinstance(page, RawDocument)
    assert (page.title, page.sections[0].text) == ("The river", BODY)
    assert (page.url, page.date, page.language) == ("https://x.org/a", "2020-03-29", "en")


def test_without_a_title_the_first_line_is_one() -> None:
    """As in C4."""
    (page,) = read({"raw_content": f"The river\n{BODY}"})
    assert isinstance(page, RawDocument)
    assert (page.title, page.language) == ("The river", "de")


BAD = {
    "malformed_json": [b"{", b'{"text": "\xff"}', b"\x00"],
    "missing_text": [[], {}, {"raw_content": 1}, {"raw_content": None, "metadata": {"text": "x"}}],
    "empty_text": [{"raw_content": " "}, {"text": ""}],
    "no_title_line": [{"raw_content": "A sentence of its own.\nAnother."}],
}


@pytest.mark.parametrize(("reason", "row"), [(r, row) for r, rows in BAD.items() for row in rows])
def test_a_bad_row_is_rejected_alone(reason: str, row: Any) -> None:
    """The pages before and behind it are read; odd metadata costs nothing."""
    found = read(OWN | {"metadata": [1]}, row, b"", OWN)
    assert [getattr(record, "reason", "") for record in found] == ["", reason, ""]


def test_real_pages(real_data: Path) -> None:
    """All thirty pages have a title in their metadata."""
    for path in sorted((real_data / "webtext").glob("dolma-*.gz")):
        with streams.open_stream(str(path)) as stream:
            found = list(ccnet.read_pages(stream, "cc", None))
        assert len(found) == 10
        assert all(isinstance(page, RawDocument) and page.language == "en" for page in found)
