"""Decompressed streams: every format, any split into members, and every kind of damage."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.sources import streams

Compress = Callable[[bytes], bytes]

FORMATS: dict[str, Compress] = {
    "plain": bytes,
    "gz": gzip.compress,
    "bz2": lambda data: bz2.compress(data, 1),  # blocks of 100 kB
    "xz": lambda data: lzma.compress(data, preset=0),
    "zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
}
CODECS = [name for name in FORMATS if name != "plain"]
# Digits: compressible, yet not so much that the file shrinks to a few steps.
DIGITS = "".join(map(str, random.Random(7).choices(range(10), k=600_000))).encode()


def read(data: bytes) -> tuple[bytes, str]:
    stream = streams.DecompressedStream(io.BytesIO(data))
    return stream.read(), stream.damage


@pytest.mark.parametrize("name", FORMATS)
def test_content_comes_back_whole_and_undamaged(name: str) -> None:
    """Each format is told by its first bytes and gives its content."""
    assert read(FORMATS[name](DIGITS)) == (DIGITS, "")


@pytest.mark.parametrize("name", FORMATS)
def test_empty_content_is_no_damage(name: str) -> None:
    """A file without content is empty, not truncated."""
    assert read(FORMATS[name](b"")) == (b"", "")


@pytest.mark.parametrize("name", CODECS)
@given(parts=st.lists(st.binary(max_size=40), min_size=1, max_size=6))
@settings(deadline=None, max_examples=25)
def test_members_are_read_through(name: str, parts: list[bytes]) -> None:
    """However the content is cut into members, it reads as one."""
    data = b"".join(FORMATS[name](part) for part in parts)
    assert read(data) == (b"".join(parts), "")


@pytest.mark.parametrize("name", CODECS)
def test_members_larger_than_a_step_are_read_through(name: str) -> None:
    """A member's end in the middle of a step starts the next member there."""
    halves = DIGITS[:50_000], DIGITS[50_000:]
    assert read(b"".join(map(FORMATS[name], halves))) == (DIGITS, "")


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("zeros", [1, 512, 20_000])
def test_zeros_behind_the_last_member_are_padding(name: str, zeros: int) -> None:
    """Tape and block padding is no damage."""
    assert read(FORMATS[name](b"text") + bytes(zeros)) == (b"text", "")


def test_zeros_between_members_are_padding() -> None:
    """The xz format allows padding between streams; what follows it is read."""
    data = lzma.compress(b"one ") + bytes(8) + lzma.compress(b"two")
    assert read(data) == (b"one two", "")


@pytest.mark.parametrize("name", CODECS)
def test_garbage_behind_a_member_costs_nothing_before_it(name: str) -> None:
    """The member's content comes out and the file counts as corrupt."""
    assert read(FORMATS[name](DIGITS) + b"garbage!" * 9) == (DIGITS, "corrupt")


@pytest.mark.parametrize(
    ("name", "block"), [("gz", 5_000), ("bz2", 100_000), ("xz", 5_000), ("zst", 1 << 17)]
)
def test_a_truncated_file_gives_what_lies_before_the_cut(name: str, block: int) -> None:
    """Half of the compressed bytes give half of the content, less a block of the format."""
    data = FORMATS[name](DIGITS)
    found, damage = read(data[: len(data) // 2])
    assert damage == "truncated"
    assert DIGITS.startswith(found)
    assert len(DIGITS) // 2 - block - 5_000 < len(found) < len(DIGITS) // 2 + 5_000


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("missing", [1, 4])
def test_a_missing_last_byte_is_told(name: str, missing: int) -> None:
    """A file that lacks a part of its checksum has its content and says truncated."""
    assert read(FORMATS[name](b"all of it")[:-missing]) == (b"all of it", "truncated")


@pytest.mark.parametrize("name", ["gz", "xz"])
def test_corrupt_bytes_cost_at_most_a_step(name: str) -> None:
    """All content but that of the last step before the corrupt bytes comes out."""
    data = bytearray(FORMATS[name](DIGITS))
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    found, damage = read(bytes(data))
    ratio = len(DIGITS) / len(data)
    assert damage == "corrupt"
    assert len(found) > (middle - 2 * streams.STEP) * ratio * 0.95
    kept = int((middle - streams.STEP) * ratio * 0.9)
    assert found[:kept] == DIGITS[:kept]


@pytest.mark.parametrize("name", CODECS)
def test_a_corrupt_member_leaves_those_before_it(name: str) -> None:
    """The second of three members is broken: the first one is whole, the rest is gone."""
    members = [FORMATS[name](DIGITS[:30_000]) for _ in range(3)]
    broken = bytearray(members[1])
    broken[len(broken) // 2 : len(broken) // 2 + 32] = b"\xff" * 32
    found, damage = read(members[0] + bytes(broken) + members[2])
    assert damage == "corrupt"
    assert found[:30_000] == DIGITS[:30_000]
    assert len(found) <= 60_000


@given(data=st.binary(max_size=200), magic=st.sampled_from([c[0] for c in streams._CODECS]))
@settings(deadline=None, max_examples=100)
def test_bytes_behind_a_magic_number_never_raise(data: bytes, magic: bytes) -> None:
    """Whatever follows the magic number, reading ends with a word for the damage."""
    _, damage = read(magic + data)
    assert damage in ("truncated", "corrupt", "")


@given(data=st.binary(max_size=3000), sizes=st.lists(st.integers(1, 700), min_size=1, max_size=8))
@settings(deadline=None, max_examples=50)
def test_any_read_sizes_give_the_same_bytes(data: bytes, sizes: list[int]) -> None:
    """The content does not depend on how it is asked for."""
    stream = streams.DecompressedStream(io.BytesIO(gzip.compress(data)))
    found = b""
    while piece := stream.read(sizes[len(found) % len(sizes)]):
        found += piece
    assert found == data


@pytest.mark.parametrize("name", CODECS)
def test_a_bomb_takes_time_but_no_memory(name: str) -> None:
    """Thirty-two megabytes of zeros pass through in pieces."""
    data = FORMATS[name](bytes(32 << 20))
    stream = streams.DecompressedStream(io.BytesIO(data))
    buffer, total = bytearray(1 << 16), 0
    tracemalloc.start()
    while count := stream.readinto(buffer):
        total += count
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 32 << 20
    assert peak < 4 * streams.PIECE


def test_position_counts_compressed_bytes(tmp_path: Path) -> None:
    """Progress goes from the first step to the file's size."""
    path = tmp_path / "digits.gz"
    path.write_bytes(gzip.compress(DIGITS))
    stream = streams.open_stream(str(path))
    assert stream.readable()
    assert stream.position == streams.STEP
    stream.read()
    assert stream.position == path.stat().st_size
    stream.close()
    assert stream.closed


def test_reading_errors_of_the_medium_are_not_called_damage() -> None:
    """An unreachable disk must raise: it says nothing about the file."""

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > streams.STEP:
                raise OSError("the disk is gone")
            return super().read(size)

    stream = streams.DecompressedStream(Failing(gzip.compress(DIGITS)))
    with pytest.raises(OSError, match="the disk is gone"):
        stream.read()


TEXT = "Ο φάρος 灯台 \U0001f5fc\nsecond line\r\nthird"


def decoded(data: bytes) -> bytes:
    with streams.transcoded(streams.DecompressedStream(io.BytesIO(data))) as stream:
        return stream.read()


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ],
    ids=["utf-8", "utf-8-mark", "utf-16-le", "utf-16-be"],
)
def test_byte_order_marks_are_honoured_and_dropped(mark: bytes, encoding: str) -> None:
    """Whatever the encoding, the stream is UTF-8 without a mark and with its line ends."""
    assert decoded(gzip.compress(mark + TEXT.encode(encoding))) == TEXT.encode()


@given(cut=st.integers(0, 20), encoding=st.sampled_from(["utf-8-sig", "utf-16"]))
@settings(deadline=None, max_examples=40)
def test_a_mark_cut_by_a_member_is_still_one(cut: int, encoding: str) -> None:
    """A member may end inside the byte-order mark."""
    data = TEXT.encode(encoding)
    assert decoded(gzip.compress(data[:cut]) + gzip.compress(data[cut:])) == TEXT.encode()


@pytest.mark.parametrize(
    ("tail", "expected"),
    [(b"\xac", "ab\ufffd"), (b"\x00\xd8c\x00", "ab\ufffdc")],
    ids=["half a unit", "lone surrogate"],
)
def test_broken_utf_16_is_replaced(tail: bytes, expected: str) -> None:
    """What UTF-16 cannot mean becomes U+FFFD and nothing else is lost."""
    assert decoded(b"\xff\xfea\x00b\x00" + tail) == expected.encode()


def test_invalid_utf_8_passes_through() -> None:
    """Broken bytes are the reader's to judge, line by line."""
    assert decoded(b"good\n\xff\xfe\x00bad\ngood") == b"good\n\xff\xfe\x00bad\ngood"


def test_long_utf_16_is_read_in_pieces() -> None:
    """A text of many buffers arrives whole, however it is read."""
    text = TEXT * 20_000
    stream = streams.transcoded(streams.DecompressedStream(io.BytesIO(text.encode("utf-16"))))
    pieces = list(iter(lambda: stream.read(99_999), b""))
    assert b"".join(pieces) == text.encode()
    assert len(pieces) == -(-len(text.encode()) // 99_999)
