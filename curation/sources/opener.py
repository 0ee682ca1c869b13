"""Opens the files of a source that reads several of them, or one several times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from curation.sources import streams


class Opener:
    """Opens files as decompressed UTF-8 and remembers their damage and how much was read."""

    def __init__(self) -> None:
        self.damage: dict[str, str] = {}
        """truncated / corrupt by path, of files that were read to their end."""
        self._open: list[streams.DecompressedStream] = []
        self._closed_bytes = 0

    @property
    def position(self) -> int:
        """The compressed bytes read so far, out of all files."""
        return self._closed_bytes + sum(stream.position for stream in self._open)

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """Open a file or URL until the block ends."""
        stream = streams.open_stream(path)
        self._open.append(stream)
        try:
            with streams.transcoded(stream) as decoded:
                yield decoded
        finally:
            self._open.remove(stream)
            self._closed_bytes += stream.position
            if stream.damage:
                self.damage[path] = stream.damage
