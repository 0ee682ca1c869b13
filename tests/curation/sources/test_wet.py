"""Common Crawl's text of pages, whole and damaged."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from curation.records import Reject
from curation.sources import warc, wet
from curation.sources.raw import RawDocument
from tests.builders import PARAGRAPH, conversion_record, news_html, warc_record

BODY = PARAGRAPH.strip()
URL = "https://x.org/"


def read(data: bytes) -> list[RawDocument | Reject]:
    return list(wet.read_pages(io.BytesIO(data), "wet", None))


def summary(data: bytes) -> list[str]:
    return [r.reason if isinstance(r, Reject) else r.title for r in read(data)]


def record(number: int) -> bytes:
    return conversion_record(
        f"{URL}{number}", f"Page {number} - The Site\nHome\nPage {number}\n{BODY}"
    )


def test_a_record_becomes_a_page() -> None:
    """The first line is the title; menus and the repeated title are no text."""
    (page,) = read(gzip.compress(record(1)))
    assert isinstance(page, RawDocument)
    assert (page.title, page.sections[0].text) == ("Page 1", BODY)
    assert (page.url, page.date, page.language) == (f"{URL}1", "2024-05-03", None)


REJECTED = {
    "empty_page": conversion_record(URL, " \n "),
    "no_title_line": conversion_record(URL, "One line that is a sentence.\nAnother."),
}


@pytest.mark.parametrize("reason", REJECTED)
@pytest.mark.parametrize("compress", [gzip.compress, bytes], ids=["gz", "plain"])
def test_an_unusable_page_is_rejected_alone(reason: str, compress: type[bytes]) -> None:
    """The pages before and behind it are read."""
    data = b"".join(map(compress, (record(1), REJECTED[reason], record(2))))
    assert summary(data) == ["Page 1", reason, "Page 2"]


def test_a_page_over_the_limit_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A huge page costs itself only."""
    monkeypatch.setattr(warc, "MAX_PAGE", 1000)
    huge = conversion_record(URL, "Huge\n" + BODY * 20)
    data = b"".join(map(gzip.compress, (record(1), huge, record(2))))
    assert summary(data) == ["Page 1", "page_too_large", "Page 2"]


def test_a_cut_file_keeps_its_whole_pages() -> None:
    """The cut record is a reject."""
    data = gzip.compress(record(1)) + gzip.compress(record(2)[:-100])
    assert summary(data) == ["Page 1", "truncated_record"]


def test_bad_bytes_are_replaced() -> None:
    """A page in another charset is not lost, and NULs are no end."""
    data = record(1).replace(b"museums", b"mus\xffum\x00")
    (page,) = read(data)
    assert isinstance(page, RawDocument)
    assert "mus\ufffdum\x00" in page.sections[0].text


def test_html_is_no_text() -> None:
    """The responses of a WARC are not read as pages of a WET."""
    assert read(warc_record(URL, news_html("A", BODY))) == []


def test_a_real_page(real_data: Path) -> None:
    """Its title is without the name of its site, which is longer than it; the crawl's guess of
    the language, a wrong one, is not taken over."""
    with (real_data / "warc" / "whirlwind.warc.wet.gz").open("rb") as stream:
        (page,) = wet.read_pages(stream, "wet", None)
    assert isinstance(page, RawDocument)
    assert (page.title, page.language) == ("Escopete", None)
