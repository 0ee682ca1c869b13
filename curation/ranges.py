"""Byte ranges in which several workers read one file.

A range is what one worker reads; which range a record belongs to follows from where it begins,
so the records are the same for any size and number of ranges. Plain files are cut anywhere,
bz2 files where a stream begins (multistream dumps: about every 100 pages), others not at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO

from curation import storage
from curation.sources import streams

_PACKED = (b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_MULTISTREAM = re.compile(r"-multistream(\d*)\.xml")
_MOST_SNIFFED = 1 << 20


def is_index(path: str) -> bool:
    """Tell whether a file is the index of a multistream dump, which a dump's glob may match."""
    return "-multistream-index" in path.rsplit("/", 1)[-1]


def index_of(path: str) -> str:
    """Return the path of a multistream dump's index, "" for other names."""
    folder, slash, name = path.rpartition("/")
    renamed = _MULTISTREAM.sub(r"-multistream-index\1.txt", name)
    return folder + slash + renamed if renamed != name else ""


def ranges(path: str, size: int, unit: str, most: int) -> list[tuple[int, int]]:
    """Return the [start, stop) ranges of a file, each of about `most` bytes.

    `unit` says what the records are: "pages", "lines" (one JSON object each), or "" for a
    file that is read as a whole.
    """
    if not unit or size <= most:
        return [(0, size)]
    with storage.open_read(path) as raw:
        head = raw.read(6)
        if head.startswith((*_PACKED, *_UTF16)):
            return [(0, size)]
        starts = [0]
        if head.startswith(b"BZh"):
            starts += _stream_starts(raw, path, size, most) if unit == "pages" else []
        elif unit == "pages" or _are_objects(raw):
            starts += range(most, size, most)
    return list(zip(starts, [*starts[1:], size], strict=True))


def _stream_starts(raw: IO[bytes], path: str, size: int, most: int) -> list[int]:
    """Return about every `most` bytes the beginning of a bz2 stream.

    The dump's index tells them where it lies beside the dump and fits it; otherwise they are
    looked for from each multiple of `most` on, which reads one stream's length.
    """
    index = index_of(path)
    if index and storage.exists(index):
        chosen = list(_spaced(_index_offsets(index), most))
        if chosen and all(streams.find_bz2_member(raw, at, 10) == at for at in chosen):
            return chosen
    chosen, wanted = [], most
    while wanted < size and (found := streams.find_bz2_member(raw, wanted)) is not None:
        chosen.append(found)
        wanted = max(found + 1, (found // most + 1) * most)
    return chosen


def _index_offsets(path: str) -> Iterator[int]:
    """Yield the distinct offsets of an index, whose lines are `offset:page id:title`."""
    last = b""
    with streams.open_stream(path) as index:
        tail = b""
        while chunk := index.read(streams.CHUNK):
            *lines, tail = (tail + chunk).split(b"\n")
            for line in lines:
                offset = line.partition(b":")[0]
                if offset != last and offset.isdigit():
                    yield int(offset[:15])
                last = offset


def _spaced(offsets: Iterator[int], least: int) -> Iterator[int]:
    """Yield of ascending offsets the first in each multiple of `least`."""
    wanted = least
    for offset in offsets:
        if offset >= wanted:
            yield offset
            wanted = (offset // least + 1) * least


def _are_objects(raw: IO[bytes]) -> bool:
    """Tell whether the first two lines of a file are JSON objects: then it is JSON lines."""
    raw.seek(0)
    for _ in range(2):
        line = raw.readline(_MOST_SNIFFED)
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return False
        if not isinstance(found, dict):
            return False
    return True
