"""Byte streams out of compressed files that may be damaged.

The standard file objects raise at a truncated end and lose what they had buffered. Here
everything before the damage comes out (before corrupt bytes: all but the last `STEP` of
compressed ones), then the stream ends and `damage` says why.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import zstandard

from curation import storage

CHUNK = 1 << 18
STEP = 1 << 12  # compressed bytes a step: decompressors drop the output of a step that fails
PIECE = 1 << 22  # most bytes decompressed in one step: a bomb costs time, never memory
_ZSTD_SLICE = 64  # compressed bytes a step: a zstd block of 4 bytes may stand for 128 KiB

Pieces = Callable[[Any, bytes], Iterator[bytes]]


class DamagedInputError(Exception):
    """What a raw stream raises when it ends in damage; its argument is `truncated` or `corrupt`."""


def _inflate(member: Any, data: bytes) -> Iterator[bytes]:
    yield member.decompress(data, PIECE)
    while member.unconsumed_tail:
        yield member.decompress(member.unconsumed_tail, PIECE)


def _bounded(member: Any, data: bytes) -> Iterator[bytes]:
    yield member.decompress(data, PIECE)
    while not (member.eof or member.needs_input):
        yield member.decompress(b"", PIECE)


def _zstd_slices(member: Any, data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), _ZSTD_SLICE):
        if member.eof:
            member.rest = data[start:]
            return
        yield member.decompress(data[start : start + _ZSTD_SLICE])


class _Zstd:
    """A zstd decompressor with the attributes of the standard ones."""

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor().decompressobj()
        self.rest = b""

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data + self.rest

    def decompress(self, data: bytes) -> bytes:
        return self._inner.decompress(data)


_CODECS: tuple[tuple[bytes, Callable[[], Any], Pieces], ...] = (
    (b"\x1f\x8b", lambda: zlib.decompressobj(wbits=31), _inflate),
    (b"BZh", bz2.BZ2Decompressor, _bounded),
    (b"\xfd7zXZ\x00", lzma.LZMADecompressor, _bounded),
    (b"\x28\xb5\x2f\xfd", _Zstd, _zstd_slices),
)


class DecompressedStream(io.RawIOBase):
    """A readable stream of the content of a plain, gz, bz2, xz or zst file.

    The format is told by the first bytes, not by the name. Concatenated members (multistream
    dumps) are read through. `damage` is "" or `truncated` / `corrupt`; `position` counts the
    compressed bytes consumed, for progress.
    """

    def __init__(self, raw: IO[bytes] | io.RawIOBase) -> None:
        self._raw = raw
        self._pending = memoryview(b"")
        self.damage = ""
        self.position = 0
        head = self._read_raw(STEP)
        codec = next((codec for codec in _CODECS if head.startswith(codec[0])), None)
        self._chunks = self._plain(head) if codec is None else self._members(head, *codec[1:])

    def readable(self) -> bool:
        """Return True: this is a source."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with the next bytes; 0 at the end or at damage."""
        filled = 0
        while filled < len(buffer):
            if not self._pending:
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._pending = memoryview(chunk)
            count = min(len(buffer) - filled, len(self._pending))
            buffer[filled : filled + count] = self._pending[:count]
            self._pending = self._pending[count:]
            filled += count
        return filled

    def close(self) -> None:
        """Close the underlying file too."""
        self._raw.close()
        super().close()

    def _read_raw(self, size: int) -> bytes:
        try:
            data = self._raw.read(size) or b""
        except DamagedInputError as error:
            self.damage = str(error)
            return b""
        self.position += len(data)
        return data

    def _plain(self, data: bytes) -> Iterator[bytes]:
        while data:
            yield data
            data = self._read_raw(CHUNK)

    def _members(self, data: bytes, factory: Callable[[], Any], pieces: Pieces) -> Iterator[bytes]:
        member = factory()
        while data:
            try:
                yield from pieces(member, data)
            except (zlib.error, OSError, lzma.LZMAError, zstandard.ZstdError):
                self.damage = "corrupt"
                return
            if not member.eof:
                data = self._read_raw(STEP)
                continue
            data = (member.unused_data or self._read_raw(STEP)).lstrip(b"\0")  # zeros pad members
            if data:
                member = factory()
        self.damage = self.damage or ("" if member.eof else "truncated")


def open_stream(path: str) -> DecompressedStream:
    """Open a file or URL as decompressed bytes."""
    return DecompressedStream(storage.open_read(path))


def transcoded(stream: DecompressedStream) -> IO[bytes]:
    """Return the stream as UTF-8: a UTF-16 byte-order mark is honoured, UTF-8's is dropped."""
    buffered = io.BufferedReader(stream, CHUNK)
    head = buffered.peek(3)[:3]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = io.TextIOWrapper(buffered, encoding="utf-16", errors="replace", newline="\n")
        return io.BufferedReader(_Utf8(text), CHUNK)
    if head == b"\xef\xbb\xbf":
        buffered.read(3)
    return buffered


class _Utf8(io.RawIOBase):
    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._pending = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._pending:
            self._pending = memoryview(self._text.read(CHUNK // 4).encode("utf-8", "replace"))
        count = min(len(buffer), len(self._pending))
        buffer[:count] = self._pending[:count]
        self._pending = self._pending[count:]
        return count
