"""The reader of HTTP/1.1: any pieces, any framing, bounded, and nothing but HTTP."""

import gzip
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.synthesis import http1
from curation.synthesis.http1 import BrokenReplyError, Parser, Reply


def message(*headers: str, body: bytes = b"", first: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([first, *headers, "", ""]).encode("latin-1") + body


def read(pieces: list[bytes]) -> Reply | None:
    """Feed pieces; return the reply, which only the last may complete."""
    parser = Parser()
    replies = [parser.feed(piece) for piece in pieces]
    assert all(reply is None for reply in replies[:-1])
    return replies[-1]


LENGTH = message("Content-Length: 5", "X-A: b:c", body=b"hello")
CHUNKED = message(
    "Transfer-Encoding: chunked", body=b"3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: z\r\n\r\n"
)
EARLY = message(first="HTTP/1.1 103 Early Hints") + LENGTH
GZIP = gzip.compress(b"hello")
ZIPPED = message("Content-Encoding: gzip", f"Content-Length: {len(GZIP)}", body=GZIP)


@given(whole=st.sampled_from([LENGTH, CHUNKED, EARLY, ZIPPED]), cuts=st.lists(st.integers(1, 80)))
def test_pieces_do_not_matter(whole: bytes, cuts: list[int]) -> None:
    """However the bytes come in, the reply is the same."""
    at = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    reply = read([whole[a:b] for a, b in itertools.pairwise(at)])
    assert reply is not None
    assert (reply.status, reply.body, reply.keep_alive) == (200, b"hello", True)


def test_headers_are_lower_case_and_values_whole() -> None:
    reply = read([LENGTH])
    assert reply is not None
    assert reply.headers == {"content-length": "5", "x-a": "b:c"}


@pytest.mark.parametrize(
    ("data", "keep"),
    [
        (message("Content-Length: 0"), True),
        (message("Content-Length: 0", "Connection: close"), False),
        (message("Content-Length: 0", first="HTTP/1.0 200 OK"), False),
        (message("Content-Length: 0", "Connection: keep-alive", first="HTTP/1.0 200 OK"), True),
    ],
    ids=["default", "close", "old", "old-keep"],
)
def test_whether_the_connection_stays(data: bytes, keep: bool) -> None:
    reply = read([data])
    assert reply is not None
    assert reply.keep_alive is keep


def test_the_end_of_the_connection_completes_an_unframed_body() -> None:
    parser = Parser()
    assert parser.feed(message(body=b"hel")) is None
    assert parser.feed(b"lo") is None
    reply = parser.end()
    assert (reply.body, reply.keep_alive) == (b"hello", False)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200", LENGTH[:-1], CHUNKED[:-3]])
def test_a_cut_reply_is_broken(data: bytes) -> None:
    parser = Parser()
    assert parser.feed(data) is None
    with pytest.raises(BrokenReplyError, match="closed before the answer was complete"):
        parser.end()


@pytest.mark.parametrize(
    "data",
    [
        b"<html>",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        message("Content-Length: -5"),
        message("Content-Length: five"),
        message("Content-Length: 99999999999"),
        message("Transfer-Encoding: chunked", body=b"zz\r\n"),
        message("Transfer-Encoding: chunked", body=b"-1\r\n"),
        message("Transfer-Encoding: chunked", body=b"fffffffff\r\n"),
        message("Content-Encoding: gzip", "Content-Length: 5", body=b"hello"),
        message("Content-Encoding: gzip", "Content-Length: 9", body=GZIP[:9]),
    ],
    ids=["html", "http2", "status", "negative", "word", "huge", "chunk-word", "chunk-negative",
         "chunk-huge", "no-gzip", "cut-gzip"],
)  # fmt: skip
def test_what_is_no_reply_is_told_at_once(data: bytes) -> None:
    with pytest.raises(BrokenReplyError):
        Parser().feed(data)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 1000),
        (message(), b"x" * 1000),
        (message("Transfer-Encoding: chunked"), b"3e8\r\n" + b"x" * 1000 + b"\r\n"),
        (message("Transfer-Encoding: chunked"), b"0" * 1000),
    ],
    ids=["head", "unframed", "chunks", "chunk-size"],
)
def test_memory_is_bounded(start: bytes, piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never stops is stopped."""
    monkeypatch.setattr(http1, "MOST_BYTES", 50_000)
    monkeypatch.setattr(http1, "_MOST_HEAD_BYTES", 50_000)
    parser = Parser()
    parser.feed(start)
    with pytest.raises(BrokenReplyError):
        _ = [parser.feed(piece) for _ in range(60)]


def test_a_zip_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "MOST_BYTES", 100_000)
    bomb = gzip.compress(b"0" * 1_000_000)
    data = message("Content-Encoding: gzip", f"Content-Length: {len(bomb)}", body=bomb)
    with pytest.raises(BrokenReplyError, match="gzip is cut short or too long"):
        Parser().feed(data)
