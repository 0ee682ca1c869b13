"""WARC files to news pages, whole, cut, corrupt and of other kinds."""

from __future__ import annotations

import gzip
import io
import itertools
from pathlib import Path

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.records import Reject
from curation.sources import cc_news, extraction, html, markup, warc
from curation.sources.raw import RawDocument, RawSection
from tests.builders import PARAGRAPH, news_html, warc_record, write_warc

URL = "https://news.example/a"
BODY = f"{PARAGRAPH}\n{PARAGRAPH}"


def in_process(body: bytes, charset: str | None) -> html.Page | str:
    return extraction.read_page(markup.strip_unread(body), charset, html.resiliparse_text)


def read(data: bytes) -> list[RawDocument | Reject]:
    return list(cc_news.read_pages(io.BytesIO(data), "news", None, in_process))


def summary(data: bytes) -> list[str]:
    """Titles of documents and reasons of rejects, in order."""
    return [r.reason if isinstance(r, Reject) else r.title for r in read(data)]


def record(number: int, **options: str) -> bytes:
    return warc_record(f"{URL}{number}", news_html(f"Story number {number}", BODY), **options)


def test_a_page_becomes_a_document(tmp_path: Path) -> None:
    """Address, date, title, description and text come from the record."""
    head = "<meta property='og:description' content='In short'>"
    page = news_html("The lighthouse reopens", BODY, head)
    path = write_warc(tmp_path / "a.warc.gz", [warc_record(URL, page)])
    with path.open("rb") as stream:
        (found,) = cc_news.read_file(stream, "news", "en", "resiliparse")
    line = PARAGRAPH.strip()
    assert found == RawDocument(
        id=f"news:{xxhash.xxh3_64_hexdigest(URL.encode())}",
        title="The lighthouse reopens",
        sections=[RawSection("", 0, f"{line}\n\n{line}")],
        abstract="In short",
        url=URL,
        date="2024-05-03",
        language="en",
    )


def test_the_id_depends_on_source_and_address_only() -> None:
    """The same address has the same id in every crawl; another one has another."""
    first, second, third = (
        read(warc_record(url, news_html(title, BODY)))[0].id
        for url, title in ((URL, "One story"), (URL, "Another story"), (URL + "b", "One story"))
    )
    assert first == second != third


REJECTED = {
    "http_status": warc_record(URL, news_html("B", BODY), status="404 Not Found"),
    "not_html": warc_record(URL, b"\x89PNG", kind="image/png"),
    "empty_page": warc_record(URL, b" \r\n "),
    "no_text": warc_record(URL, b"<html><body></body></html>"),
    "page_too_deep": warc_record(URL, b"<div>" * (markup.MAX_DEPTH + 1) + b"text"),
    "not_http": (
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: dns:example\r\n"
        b"Content-Type: text/dns\r\nContent-Length: 5\r\n\r\nhello\r\n\r\n"
    ),
}


@pytest.mark.parametrize("reason", REJECTED)
@pytest.mark.parametrize("compress", [gzip.compress, bytes], ids=["gz", "plain"])
def test_an_unusable_page_is_rejected_alone(reason: str, compress: type[bytes]) -> None:
    """The pages before and behind it are read, and the reject names its address."""
    data = b"".join(map(compress, (record(1), REJECTED[reason], record(2))))
    assert summary(data) == ["Story number 1", reason, "Story number 2"]
    reject = read(data)[1]
    assert isinstance(reject, Reject)
    assert reject.value == ("dns:example" if reason == "not_http" else URL)


def test_a_page_over_the_limit_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A huge page is rejected without being parsed; the next one is read."""
    monkeypatch.setattr(warc, "MAX_PAGE", 2_000)
    huge = warc_record(URL, news_html("Huge", PARAGRAPH * 20))
    data = b"".join(map(gzip.compress, (record(1), huge, record(2))))
    assert summary(data) == ["Story number 1", "page_too_large", "Story number 2"]


def test_records_of_other_types_are_passed_over() -> None:
    """Requests and metadata are neither documents nor rejects."""
    request = record(1).replace(b"WARC-Type: response", b"WARC-Type: request")
    assert summary(gzip.compress(request) + gzip.compress(record(2))) == ["Story number 2"]


@pytest.mark.parametrize("charset", ["koi8-r", "utf-8"])
def test_the_header_decides_the_charset(charset: str) -> None:
    """A Cyrillic page is read in the charset that HTTP states."""
    text = "Маяк был построен в тысяча девятисотом году. " * 5
    body = f"<title>Маяк</title><article><p>{text}</p></article>".encode(charset)
    (found,) = read(warc_record(URL, body, kind=f"text/html; charset={charset}"))
    assert isinstance(found, RawDocument)
    assert (found.title, found.sections[0].text) == ("Маяк", text.strip())


MEMBERS = [gzip.compress(record(i)) for i in range(5)]
ENDS = list(itertools.accumulate(map(len, MEMBERS)))


@given(st.integers(0, ENDS[-1]))
@settings(deadline=None, max_examples=60)
def test_a_cut_file_keeps_every_whole_page(cut: int) -> None:
    """At any cut, whole records are documents; of the cut one there is a reject at most."""
    found = read(b"".join(MEMBERS)[:cut])
    whole = sum(end <= cut for end in ENDS)
    titles = [r.title for r in found if isinstance(r, RawDocument)]
    assert titles[:whole] == [f"Story number {i}" for i in range(whole)]
    assert titles[whole:] in ([], [f"Story number {whole}"])  # cut in the trailer of its member
    assert len(found) <= whole + 1


@pytest.mark.parametrize("compress", [gzip.compress, bytes], ids=["gz", "plain"])
def test_a_page_cut_in_half_is_no_document(compress: type[bytes]) -> None:
    """Half a page must not pass for a page."""
    half = record(2)[: -len(record(2)) // 3]
    data = compress(record(1)) + compress(half)
    assert summary(data) == ["Story number 1", "truncated_record"]


@pytest.mark.parametrize("at", [0, 20, 200], ids=["its beginning", "its head", "its middle"])
def test_corrupt_bytes_cost_their_record_only(at: int) -> None:
    """Each damage is counted once, and reading goes on with the next member."""
    data = bytearray(b"".join(MEMBERS))
    for number in (1, 3):
        start = ENDS[number - 1] + at
        data[start : start + 40] = b"\xff" * 40
    expected = [
        "Story number 0",
        "damaged_warc",
        "Story number 2",
        "damaged_warc",
        "Story number 4",
    ]
    assert summary(bytes(data)) == expected


def test_noise_between_members_costs_none() -> None:
    """The next member is found behind megabytes that are none."""
    noise = b"\x1f\x8b\x08" * 70_001 + bytes(1 << 20)
    assert summary(MEMBERS[0] + noise + MEMBERS[1]) == [
        "Story number 0",
        "damaged_warc",
        "Story number 1",
    ]


@pytest.mark.parametrize("data", [b"garbage\n" * 99, b"{}\n", b"\x00" * 500], ids=str)
def test_a_file_of_another_kind_is_one_reject(data: bytes) -> None:
    """What is no WARC is said to be damaged."""
    assert summary(data) == ["damaged_warc"]


@given(st.binary(max_size=300), st.booleans())
@settings(deadline=None, max_examples=100)
def test_any_bytes_behind_a_record_cost_no_record(tail: bytes, compressed: bool) -> None:
    """The record before the noise is whole; the noise is a reject at most."""
    first = gzip.compress(record(1)) if compressed else record(1)
    found = summary(first + tail)
    assert found[0] == "Story number 1"
    assert found[1:] in ([], ["damaged_warc"])


def test_real_news_pages(real_data: Path) -> None:
    """Of the first 40 pages of the real file every one has a text, an address and a date."""
    with (real_data / "warc" / "fundus-news.warc.gz").open("rb") as stream:
        found = list(itertools.islice(cc_news.read_file(stream, "news", None, "resiliparse"), 40))
    documents = [r for r in found if isinstance(r, RawDocument)]
    assert len(documents) >= 39
    assert all(d.url.startswith("http") and d.date[:2] == "20" for d in documents)
    assert sum(bool(d.title) for d in documents) >= 38
    assert all("\ufffd" not in d.title for d in documents)


def test_a_real_crawl_page(real_data: Path) -> None:
    """Among warcinfo, request and metadata there is one response, from the Aragonese Wikipedia."""
    with (real_data / "warc" / "whirlwind.warc.gz").open("rb") as stream:
        (found,) = cc_news.read_file(stream, "news", None, "resiliparse")
    assert isinstance(found, RawDocument)
    assert found.url == "https://an.wikipedia.org/wiki/Escopete"
    assert found.date == "2024-05-18"
