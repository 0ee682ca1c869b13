"""Members of tar and zip archives as streams: nothing is unpacked, no name becomes a path.

A tar of any compression is read front to back in one pass; a zip needs a file that can seek,
which local files and object stores can. Other entries than plain files are passed over.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import IO, Any

from curation import storage
from curation.sources.streams import CHUNK, DamagedInputError, DecompressedStream

_BLOCK = 512
_MAX_NAME = 1 << 16  # bytes of a header that holds a long name; a hostile one states gigabytes
_FILE_TYPES = (b"0", b"\0", b"7")


class Archive:
    """Iterates over (name, stream) of the members whose name fits a glob, in archive order.

    A stream is read before the next member is asked for. `damage` is "" or `truncated` /
    `corrupt`; `position` counts the archive's own bytes consumed.
    """

    def __init__(self, path: str, pattern: str) -> None:
        self._pattern = pattern
        self._handle = storage.open_read(path)
        self.damage = ""
        self._outer: DecompressedStream | None = None

    @property
    def position(self) -> int:
        """The bytes of the archive read so far."""
        return self._outer.position if self._outer else self._handle.tell()

    def close(self) -> None:
        """Close the archive's file."""
        self._handle.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __iter__(self) -> Iterator[tuple[str, io.RawIOBase]]:
        head = self._handle.read(4)
        self._handle.seek(0)
        members = self._zip() if head.startswith(b"PK") else self._tar()
        for name, stream in members:
            if fnmatchcase(name.removeprefix("./"), self._pattern):
                yield name.removeprefix("./"), stream

    def _zip(self) -> Iterator[tuple[str, io.RawIOBase]]:
        try:
            archive = zipfile.ZipFile(self._handle)
        except (zipfile.BadZipFile, ValueError, OSError):
            self.damage = "corrupt"
            return
        for info in archive.infolist():
            if not info.is_dir():
                yield info.filename, _ZipMember(archive, info)

    def _tar(self) -> Iterator[tuple[str, io.RawIOBase]]:
        self._outer = DecompressedStream(self._handle)
        tar = io.BufferedReader(self._outer, CHUNK)
        long_name = ""
        while (header := tar.read(_BLOCK)).strip(b"\0"):
            size = _size(header)
            if size is None:
                self.damage = self._outer.damage or (
                    "corrupt" if len(header) == _BLOCK else "truncated"
                )
                return
            kind = header[156:157]
            member = _TarMember(tar, size)
            if kind in (b"L", b"x"):
                long_name = _long_name(kind, member.read(_MAX_NAME)) or long_name
            elif kind in _FILE_TYPES:
                yield long_name or _name(header), member
                long_name = ""
            if not member.skip_rest():
                header = b""
                break
        self.damage = self._outer.damage or ("" if header else "truncated")


def _size(header: bytes) -> int | None:
    """Return the size that a header states, None for a block that is no header."""
    if len(header) < _BLOCK or not _checksum_fits(header):
        return None
    field = header[124:136]
    if field[0] & 0x80:  # base 256, for members over 8 GB
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    try:
        return int(digits or b"0", 8)
    except ValueError:
        return None


def _checksum_fits(header: bytes) -> bool:
    try:
        stated = int(header[148:156].strip(b" \0") or b"-1", 8)
    except ValueError:
        return False
    return stated == sum(header[:148]) + 8 * 32 + sum(header[156:])


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:262] == b"ustar" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "replace")


def _long_name(kind: bytes, data: bytes) -> str:
    """Return the name in a GNU long-name header or in the records of a pax header."""
    if kind == b"L":
        return data.split(b"\0", 1)[0].decode("utf-8", "replace")
    start = data.find(b" path=")
    end = data.find(b"\n", start)
    return data[start + 6 : end].decode("utf-8", "replace") if start >= 0 else ""


class _TarMember(io.RawIOBase):
    """The content of one member; `skip_rest` leaves the archive at the next header."""

    def __init__(self, tar: IO[bytes], size: int) -> None:
        self._tar = tar
        self._left = size
        self._padding = -size % _BLOCK

    def readable(self) -> bool:
        """Return True: this is a source."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; raise `DamagedInputError` where the archive ends early."""
        data = self._tar.read(min(len(buffer), self._left))
        if self._left and not data and len(buffer):
            raise DamagedInputError("truncated")
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)

    def skip_rest(self) -> bool:
        """Read over what is left and the padding; False where the archive ends first."""
        rest = self._left + self._padding
        while rest:
            data = self._tar.read(min(rest, CHUNK))
            if not data:
                return False
            rest -= len(data)
        return True


class _ZipMember(io.RawIOBase):
    """The content of one member, opened when it is first read."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self._archive = archive
        self._info = info
        self._stream: IO[bytes] | None = None

    def readable(self) -> bool:
        """Return True: this is a source."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; raise `DamagedInputError` for a member that is damaged."""
        try:
            if self._stream is None:
                self._stream = self._archive.open(self._info)
            data = self._stream.read(len(buffer))
        except EOFError as error:
            raise DamagedInputError("truncated") from error
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
            raise DamagedInputError(
                "corrupt"
            ) from error  # also: encrypted, or of an unknown method
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the member, not the archive."""
        if self._stream is not None:
            self._stream.close()
        super().close()
