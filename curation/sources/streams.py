"""Byte streams out of compressed files that may be damaged.

The standard file objects raise at a truncated end and lose what they had buffered. Here
everything before the damage comes out (before corrupt bytes: all but the last `STEP` of
compressed ones), then the stream ends, or goes on with the next bz2 member, and says why.
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import zstandard

from curation import storage

CHUNK = 1 << 18
STEP = 1 << 12  # compressed bytes a step: decompressors drop the output of a step that fails
PIECE = 1 << 22  # most bytes decompressed in one step: a bomb costs time, never memory
_ZSTD_SLICE = 64  # compressed bytes a step: a zstd block of 4 bytes may stand for 128 KiB


@dataclass(slots=True)
class Bounds:
    """Where a split of a stream ends and where bytes were lost, in bytes of its content."""

    limit: int | None = None
    """What begins here or later belongs to the next split; None until the stream gets there."""
    breaks: list[int] = field(default_factory=list)
    """Bytes before and behind these offsets do not belong together."""

    def is_past(self, offset: int) -> bool:
        """Tell whether what begins at `offset` is another split's."""
        return self.limit is not None and offset >= self.limit

    def first_break(self, begin: int, end: int) -> int:
        """Return the first break inside the range, 0 if there is none."""
        return next((offset for offset in self.breaks if begin < offset < end), 0)


Pieces = Callable[[Any, bytes], Iterator[bytes]]


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


class DamagedInputError(Exception):
    """What a raw stream raises that ends in damage; its argument is `truncated` or `corrupt`."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A member that is `truncated` or `corrupt`, by its offset in the file."""

    offset: int
    kind: str


class DecompressedStream(io.RawIOBase):
    """A readable stream of the content of a plain, gz, bz2, xz or zst file, or of a part of it.

    The format is told by the first bytes, not by the name. Concatenated members (multistream
    dumps) are read through; behind a corrupt bz2 member the next one is looked for. The stream
    begins at byte `start` of the file, where a member must begin, and goes on to the file's end;
    `bounds` tells where the content of byte `stop` begins. `damages` lists damaged members that
    begin before `stop`; `position` counts the bytes of the file consumed, for progress.
    """

    def __init__(
        self, raw: IO[bytes] | io.RawIOBase, start: int = 0, stop: int | None = None
    ) -> None:
        self._raw = raw
        self._pending = memoryview(b"")
        self._stop = stop
        self._produced = 0
        self.bounds = Bounds()
        self.damages: list[Damage] = []
        self.position = 0
        head = self._read_raw(STEP)
        codec = next((codec for codec in _CODECS if head.startswith(codec[0])), None)
        if start:
            raw.seek(start)
            self.position = start
            head = self._read_raw(STEP)
        self._chunks = self._plain(head) if codec is None else self._members(head, *codec[1:])
        if codec is None and stop is not None:
            self.bounds.limit = stop - start

    @property
    def damage(self) -> str:
        """The kind of the first damage, "" where there is none."""
        return self.damages[0].kind if self.damages else ""

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
                self._produced += len(chunk)
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
            self.damages.append(Damage(self.position, str(error)))
            return b""
        self.position += len(data)
        return data

    def _plain(self, data: bytes) -> Iterator[bytes]:
        while data:
            yield data
            data = self._read_raw(CHUNK)

    def _members(self, data: bytes, factory: Callable[[], Any], pieces: Pieces) -> Iterator[bytes]:
        while data:
            begin = self.position - len(data)
            if self._stop is not None and begin >= self._stop and self.bounds.limit is None:
                self.bounds.limit = self._produced
            member = factory()
            try:
                # Steps are counted from the member's beginning: what comes out of a damaged one
                # must not depend on where reading began.
                data += self._read_raw(STEP - len(data)) if len(data) < STEP else b""
                while data:
                    step, data = data[:STEP], data[STEP:]
                    yield from pieces(member, step)
                    if member.eof:
                        data = member.unused_data + data
                        break
                    data = data or self._read_raw(STEP)
                damage = "" if member.eof else "truncated"
            except (zlib.error, OSError, lzma.LZMAError, zstandard.ZstdError):
                damage = "corrupt"
            if damage:
                data = self._after_damage(begin, damage, factory)
            data = data.lstrip(b"\0") or self._unpadded()  # zeros pad members

    def _unpadded(self) -> bytes:
        """Return the next bytes of the file behind any zeros."""
        while data := self._read_raw(STEP):
            if data := data.lstrip(b"\0"):
                return data
        return b""

    def _after_damage(self, begin: int, kind: str, factory: Callable[[], Any]) -> bytes:
        """Note a damage; return the bytes from the next bz2 member on, b"" if there is none."""
        if self._stop is None or begin < self._stop:
            self.damages.append(Damage(begin, kind))
        self.bounds.breaks.append(self._produced)
        if factory is not bz2.BZ2Decompressor or kind == "truncated" or not self._raw.seekable():
            return b""
        found = find_bz2_member(self._raw, begin + 1)
        if found is None:
            return b""
        self._raw.seek(found)
        self.position = found
        return self._read_raw(STEP)


class LineWindow(io.RawIOBase):
    """The lines of a plain file that begin in the bytes [start, stop)."""

    def __init__(self, raw: IO[bytes], start: int, stop: int) -> None:
        self._raw = raw
        self._last = stop - 1  # the first newline from here on ends the window
        self._pending = b""
        self.position = max(0, start - 1)
        raw.seek(self.position)
        while start and (chunk := raw.readline(CHUNK)):
            self.position += len(chunk)
            if chunk.endswith(b"\n"):
                break
        self._done = start > 0 and self.position >= stop

    def readable(self) -> bool:
        """Return True: this is a source."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with the next bytes; 0 behind the last line."""
        if self._done:
            return 0
        data = self._raw.read(len(buffer))
        end = data.find(b"\n", max(0, self._last - self.position))
        if end >= 0 and self.position + end >= self._last:
            data, self._done = data[: end + 1], True
        self.position += len(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the underlying file too."""
        self._raw.close()
        super().close()


_BZ2_MEMBER = re.compile(rb"BZh[1-9]\x31\x41\x59\x26\x53\x59")


def find_bz2_member(
    raw: IO[bytes] | io.RawIOBase, offset: int, within: int = 1 << 62
) -> int | None:
    """Return where the next bz2 member begins at or behind a file offset, None if there is none.

    It must lie wholly `within` so many bytes.
    Told by the 10 bytes of its header and first block; that they stand in compressed data by
    chance happens once in 2^76 bytes.
    """
    raw.seek(offset)
    tail = b""
    end = offset + within
    while chunk := raw.read(min(CHUNK, end - offset)):
        window = tail + chunk
        if match := _BZ2_MEMBER.search(window):
            return offset - len(tail) + match.start()
        offset += len(chunk)
        tail = window[-9:]
    return None


def open_stream(path: str, start: int = 0, stop: int | None = None) -> DecompressedStream:
    """Open a file or URL, from a member's beginning on, as decompressed bytes."""
    return DecompressedStream(storage.open_read(path), start, stop)


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
