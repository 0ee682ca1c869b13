"""Lines of a byte stream with a bound on their length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any

import xxhash

from curation.records import Reject

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


def read_rows(
    stream: IO[bytes],
    parse: Callable[[bytes | None], dict[str, Any] | str],
    source: str,
    declared: str | None,
) -> Iterator[dict[str, Any] | Reject]:
    """Yield the row that `parse` makes of each line, or a reject of the reason it gives instead.

    Rejects are named by content: a split of a file does not know its lines' numbers.
    """
    for line in read_lines(stream):
        if line == b"":
            continue
        row = parse(line)
        if isinstance(row, str):
            key = xxhash.xxh3_64_hexdigest(line or b"")
            yield Reject(f"{source}:line-{key}", "extract", row, source, declared or "")
        else:
            yield row
