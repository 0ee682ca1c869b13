"""Lines of a byte stream with a bound on their length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

MAX_LINE = 32 << 20


def read_lines(stream: IO[bytes], limit: int = MAX_LINE) -> Iterator[bytes | None]:
    """Yield each line without its end; None stands for a line longer than `limit` bytes.

    Memory stays under `limit` whatever the input holds (a bomb of zeros is one endless line).
    """
    while line := stream.readline(limit):
        if line.endswith(b"\n") or len(line) < limit:
            yield line.rstrip(b"\r\n")
            continue
        while (rest := stream.readline(limit)) and not rest.endswith(b"\n"):
            pass
        yield None
