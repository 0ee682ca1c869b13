"""Lines with a bound on their length."""

from __future__ import annotations

import io
import tracemalloc
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.sources.lines import read_lines


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"a\nb", [b"a", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"\na\n\n", [b"", b"a", b""]),
        (b"a\rb\n", [b"a\rb"]),
        (b"\xff\x00\xfe\nb\x00\n", [b"\xff\x00\xfe", b"b\x00"]),
        (b" a \n", [b" a "]),
        ("a\u2028b\x0bc\n".encode(), ["a\u2028b\x0bc".encode()]),
    ],
    ids=[
        "empty", "newline", "no end", "crlf", "blank", "lone cr", "bytes", "spaces", "other breaks"
    ],
)  # fmt: skip
def test_lines_lose_their_ends_only(data: bytes, expected: list[bytes]) -> None:
    """A line ends at a newline and nowhere else; its content is left as it is."""
    assert list(read_lines(io.BytesIO(data))) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"1234567\nab\n", [b"1234567", b"ab"]),
        (b"12345678\nab\n", [None, b"ab"]),
        (b"1" * 100 + b"\nab\n", [None, b"ab"]),
        (b"1" * 16 + b"\n" + b"2" * 24 + b"\nab", [None, None, b"ab"]),
        (b"ab\n" + b"1" * 100, [b"ab", None]),
    ],
    ids=["fits", "one too long", "much too long", "two in a row", "at the end"],
)
def test_a_line_over_the_limit_is_none_and_costs_no_other(
    data: bytes, expected: list[bytes | None]
) -> None:
    """A line is one None however long it is, and the next line is whole."""
    assert list(read_lines(io.BytesIO(data), limit=8)) == expected


@given(data=st.binary(max_size=300), limit=st.integers(1, 40))
@settings(deadline=None, max_examples=100)
def test_one_item_a_line_whatever_the_limit(data: bytes, limit: int) -> None:
    """The items are the lines, except that those over the limit are None."""
    lines = data.replace(b"a", b"\n").split(b"\n")
    joined = b"\n".join(lines) + b"\n"
    expected = [line.rstrip(b"\r") if len(line) < limit else None for line in lines]
    assert list(read_lines(io.BytesIO(joined), limit)) == expected


def test_an_endless_line_takes_bounded_memory() -> None:
    """Twenty megabytes without a newline are held a limit at a time."""

    class Zeros(io.RawIOBase):
        left = 20 << 20

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object) -> int:
            view = cast("memoryview", buffer)
            count = min(len(view), self.left)
            view[:count] = bytes(count)
            self.left -= count
            return count

    stream = io.BufferedReader(Zeros(), 1 << 16)
    tracemalloc.start()
    found = list(read_lines(stream, limit=1 << 20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [None]
    assert peak < 6 << 20
