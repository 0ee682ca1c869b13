"""Reading HTTP/1.1 responses as their bytes come in (RFC 9112), with bounds on what is held."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_BYTES = 64 << 20  # of a body; an answer is a few kB
_MOST_HEAD_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete response; names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool = False


class BrokenReplyError(Exception):
    """What came is no HTTP response, or ended before it was complete."""


@dataclass(slots=True)
class Parser:
    """Takes the bytes of one response in any pieces."""

    _buffer: bytearray = field(default_factory=bytearray)
    _head: tuple[int, dict[str, str], bool] | None = None
    _body: bytearray = field(default_factory=bytearray)
    _chunk_left: int = 0
    _in_trailer: bool = False

    def feed(self, data: bytes) -> Reply | None:
        """Return the response once it is complete; raise `BrokenReplyError` for what is none."""
        self._buffer += data
        if self._head is None:
            self._head = self._read_head()
            if self._head is None:
                return None
        headers = self._head[1]
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._reply(bytes(self._body)) if self._read_chunks() else None
        if "content-length" not in headers:
            _check_size(len(self._buffer))
            return None
        length = _number(headers["content-length"], 10)
        return self._reply(bytes(self._buffer[:length])) if len(self._buffer) >= length else None

    def end(self) -> Reply:
        """Return a response that the end of the connection completes."""
        is_framed = self._head is None or self._head[1].keys() & _FRAMING
        if self._head is None or is_framed:
            raise BrokenReplyError("the connection was closed before the answer was complete")
        return self._reply(bytes(self._buffer))

    def _reply(self, body: bytes) -> Reply:
        assert self._head
        status, headers, keep_alive = self._head
        if headers.get("content-encoding", "").strip().lower() in ("gzip", "x-gzip"):
            body = _unzipped(body)
        return Reply(status, headers, body, keep_alive and bool(headers.keys() & _FRAMING))

    def _read_head(self) -> tuple[int, dict[str, str], bool] | None:
        """Return status, headers and whether the connection stays, once all of them are there."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MOST_HEAD_BYTES or not _may_begin(self._buffer):
                raise BrokenReplyError("the answer is no HTTP")
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
            raise BrokenReplyError("the answer is no HTTP/1.1")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        status = int(rest[:3])
        if status < 200:  # 100 Continue, 103 Early Hints: the answer comes after it
            return self._read_head()
        connection = headers.get("connection", "").lower()
        is_new = version != "HTTP/1.0"
        return status, headers, "close" not in connection and (is_new or "keep" in connection)

    def _read_chunks(self) -> bool:
        """Move complete pieces of chunks to the body; tell whether the last one is there."""
        while True:
            if self._chunk_left:
                self._take_chunk()
                if self._chunk_left:
                    return False
            line = self._line()
            if line is None:
                return False
            if self._in_trailer:
                if not line:
                    return True
            elif line:  # empty: the end of the chunk before
                self._chunk_left = _number(line.partition(";")[0].strip(), 16)
                self._in_trailer = not self._chunk_left

    def _take_chunk(self) -> None:
        piece = self._buffer[: self._chunk_left]
        self._body += piece
        self._chunk_left -= len(piece)
        del self._buffer[: len(piece)]
        _check_size(len(self._body))

    def _line(self) -> str | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > _MOST_HEAD_BYTES:
                raise BrokenReplyError("a chunk of the answer has no size")
            return None
        line = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 2]
        return line


_FRAMING = frozenset({"content-length", "transfer-encoding"})


def _may_begin(data: bytearray) -> bool:
    return data[:7] == b"HTTP/1."[: len(data)]


def _number(text: str, base: int) -> int:
    """Return a size; raise `BrokenReplyError` for none, and for one that is not to be held."""
    try:
        size = int(text, base) if text[:1].isalnum() else -1
    except ValueError:
        size = -1
    if size < 0:
        raise BrokenReplyError("the answer has no valid length")
    _check_size(size)
    return size


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise BrokenReplyError(f"the answer is longer than {MOST_BYTES >> 20} MB")


def _unzipped(body: bytes) -> bytes:
    decompressor = zlib.decompressobj(31)
    try:
        data = decompressor.decompress(body, MOST_BYTES)
    except zlib.error as error:
        raise BrokenReplyError("the answer is no valid gzip") from error
    if not decompressor.eof:
        raise BrokenReplyError("the answer's gzip is cut short or too long")
    return data
