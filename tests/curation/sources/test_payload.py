"""HTTP bodies as crawlers store them, decoded; bombs and lies included."""

from __future__ import annotations

import gzip
import io
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.records import Reject
from curation.sources import cc_news, extraction, html, markup
from curation.sources.payload import decode_payload
from tests.builders import PARAGRAPH, news_html, warc_record

PAGE = news_html("A title", f"{PARAGRAPH}\n{PARAGRAPH}")
LIMIT = 1 << 20


def chunked(data: bytes, size: int = 100) -> bytes:
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def deflated(data: bytes, bits: int) -> bytes:
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(data) + packer.flush()


ENCODED = {
    "plain": (PAGE, "", ""),
    "chunks": (chunked(PAGE), "chunked", ""),
    "chunk extensions": (b"%x;name=value\r\n" % len(PAGE) + PAGE + b"\r\n0\r\n\r\n", "chunked", ""),
    "gzip": (gzip.compress(PAGE), "", "gzip"),
    "gzip in chunks": (chunked(gzip.compress(PAGE)), "Chunked", "GZIP"),
    "deflate": (deflated(PAGE, 15), "", "deflate"),
    "raw deflate": (deflated(PAGE, -15), "", "deflate"),
    "zstd": (zstandard.compress(PAGE), "", "zstd"),
    "twice": (zstandard.compress(gzip.compress(PAGE)), "", "gzip, zstd"),
    "identity": (PAGE, "", "identity"),
    "decoded, headers kept": (PAGE, "chunked", "gzip"),
    "decoded, br kept": (PAGE, "", "br"),
    "decoded, deflate kept": (PAGE, "", "deflate"),
}


@pytest.mark.parametrize(("body", "transfer", "content"), ENCODED.values(), ids=ENCODED)
def test_every_encoding_gives_the_page(body: bytes, transfer: str, content: str) -> None:
    """The headers are believed where the bytes bear them out."""
    assert decode_payload(body, transfer, content, LIMIT) == PAGE


@pytest.mark.parametrize(
    ("body", "content"),
    [(b"\x8b\x03\x80abc", "br"), (b"\x1f\x8bnoise", "gzip"), (b"\x28\xb5\x2f\xfdnoise", "zstd")],
)
def test_what_cannot_be_decoded_is_none(body: bytes, content: str) -> None:
    """Compressed bytes must not pass for a page."""
    assert decode_payload(body, "", content, LIMIT) is None


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate"])
def test_a_bomb_is_cut(encoding: str) -> None:
    """No more than the limit and a byte come out."""
    zeros = bytes(64 << 20)
    pack = {"gzip": gzip.compress, "zstd": zstandard.compress, "deflate": zlib.compress}[encoding]
    assert decode_payload(pack(zeros), "", encoding, 1000) == bytes(1001)


def test_half_of_the_chunks_are_kept() -> None:
    """A body that breaks off gives what there is."""
    body = chunked(PAGE)[: len(PAGE) // 2]
    decoded = decode_payload(body, "chunked", "", LIMIT)
    assert decoded is not None
    assert PAGE.startswith(decoded)
    assert len(decoded) > len(PAGE) // 3


@given(
    st.binary(max_size=200),
    st.sampled_from(["", "chunked"]),
    st.sampled_from(["", "gzip", "deflate", "zstd", "br", "x, y"]),
    st.sampled_from([b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"5\r\n"]),
)
@settings(deadline=None, max_examples=150)
def test_any_body_is_decoded_or_not(body: bytes, transfer: str, content: str, head: bytes) -> None:
    """Nothing raises, and nothing exceeds the limit for a compressed body."""
    decoded = decode_payload(head + body, transfer, content, 50)
    assert decoded is None or len(decoded) <= max(51, len(head + body))


def test_records_of_other_crawlers_are_read() -> None:
    """Chunked, compressed and unknown ones side by side: each is one record."""
    records = [
        warc_record("https://x.org/1", chunked(PAGE), headers="Transfer-Encoding: chunked\r\n"),
        warc_record("https://x.org/2", gzip.compress(PAGE), headers="Content-Encoding: gzip\r\n"),
        warc_record("https://x.org/3", b"\x8b\x03\x80", headers="Content-Encoding: br\r\n"),
        warc_record(
            "https://x.org/4", gzip.compress(bytes(99 << 20)), headers="Content-Encoding: gzip\r\n"
        ),
        warc_record("https://x.org/5", PAGE),
    ]

    def extract(body: bytes, charset: str | None) -> html.Page | str:
        return extraction.read_page(markup.strip_unread(body), charset, html.resiliparse_text)

    found = cc_news.read_pages(io.BytesIO(b"".join(records)), "news", None, extract)
    assert [r.reason if isinstance(r, Reject) else r.title for r in found] == [
        "A title",
        "A title",
        "unknown_encoding",
        "page_too_large",
        "A title",
    ]
