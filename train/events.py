"""Scalars in TensorBoard's event files, written without TensorBoard.

An event file is a list of records: length (uint64), its checksum, data, its checksum. The data is
an `Event` message of protocol buffers, of which four fields are needed.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import time
from collections.abc import Mapping
from types import TracebackType

_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
_MASK = 0xA282EAD8
_TABLE: list[int] = []


class EventFile:
    """A new event file in a folder; what earlier files have after step `done` is forgotten."""

    def __init__(self, folder: str, done: int = 0) -> None:
        os.makedirs(folder, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
        self._file = io.FileIO(os.path.join(folder, name), "w")
        self._write(_text(3, "brain.Event:2"))
        started = _message(7, _integer(1, 1))  # SessionLog START: forget this step and later ones
        self._write(_integer(2, done + 1) + started)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of a step under their tags."""
        summary = b"".join(
            _message(1, _text(1, tag) + _field(2, 5) + struct.pack("<f", value))
            for tag, value in values.items()
        )
        self._write(_integer(2, step) + _message(5, summary))

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def __enter__(self) -> EventFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, event: bytes) -> None:
        event = _field(1, 1) + struct.pack("<d", time.time()) + event
        length = struct.pack("<Q", len(event))
        record = length + _checksum(length) + event + _checksum(event)
        while record:
            record = record[self._file.write(record) :]


def _checksum(data: bytes) -> bytes:
    """Return the masked CRC-32C of a record's part."""
    crc = crc32c(data)
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + _MASK) & 0xFFFFFFFF)


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of some bytes."""
    if not _TABLE:
        _TABLE.extend(map(_table_entry, range(256)))
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _table_entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _field(number: int, kind: int) -> bytes:
    """Return a field's key; kinds: 0 integer, 1 double, 2 bytes, 5 float."""
    return _varint(number << 3 | kind)


def _integer(number: int, value: int) -> bytes:
    return _field(number, 0) + _varint(value)


def _message(number: int, data: bytes) -> bytes:
    return _field(number, 2) + _varint(len(data)) + data


def _text(number: int, value: str) -> bytes:
    return _message(number, value.encode())
