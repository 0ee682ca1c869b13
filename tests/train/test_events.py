"""TensorBoard's event files, read back by an own reader of the format."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from train.events import EventFile, crc32c


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
    ids=["empty", "digits", "zeros", "ones"],
)
def test_checksum_is_castagnolis(data: bytes, expected: int) -> None:
    """The check values of RFC 3720 and of the algorithm's definition."""
    assert crc32c(data) == expected


def fields(data: bytes) -> dict[int, list[Any]]:
    """Return the fields of a protocol buffer message by number."""
    found: dict[int, list[Any]] = {}
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(data):
        number, kind = divmod(varint(), 8)
        value: Any
        if kind == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(kind) or varint()
            value = data[place : place + size]
            place += size
        found.setdefault(number, []).append(value)
    return found


def records(data: bytes) -> list[dict[int, list[Any]]]:
    """Return the events of a file; checksums must fit."""

    def masked(part: bytes) -> int:
        crc = crc32c(part)
        return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

    found = []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12])[0] == masked(data[:8])
        event = data[12 : 12 + length]
        assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked(event)
        found.append(fields(event))
        data = data[16 + length :]
    return found


def test_values_come_back(tmp_path: Path) -> None:
    """A version, a start from which later steps are replaced, then each step's tags and values."""
    with EventFile(str(tmp_path / "events"), done=300) as file:
        file.add(301, {"loss/total": 0.25, "loss/dense": -1.5})
        file.add(302, {"Verlust ü": 3.0})
    (path,) = (tmp_path / "events").iterdir()
    assert path.name.startswith("events.out.tfevents.")
    version, start, *steps = records(path.read_bytes())
    assert version[3] == [b"brain.Event:2"]
    assert (start[2], fields(start[7][0])) == ([301], {1: [1]})
    shown = []
    for event in steps:
        for value in map(fields, fields(event[5][0])[1]):
            shown.append((event[2][0], value[1][0].decode(), struct.unpack("<f", value[2][0])[0]))
    assert shown == [
        (301, "loss/total", 0.25),
        (301, "loss/dense", -1.5),
        (302, "Verlust ü", 3.0),
    ]
