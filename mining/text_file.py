"""Texts of any number on disk, mapped: they are read in place and take no memory of their own."""

from __future__ import annotations

import mmap
import tempfile

import numpy as np
import pyarrow as pa

from mining.lists import Ids

_PART = 1 << 26  # bytes of texts that are written at once


class TextFile:
    """A file of texts, written end to end; it has no name and ends with the process.

    A killed run leaves nothing behind. Memory: 8 bytes a text.
    """

    def __init__(self, folder: str | None = None) -> None:
        """Open a file in `folder`, else in the system's temporary one; `OSError` if it cannot."""
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - `close` closes it
        self._size = 0
        self._ends: list[Ids] = [np.zeros(1, np.int64)]

    def add(self, texts: pa.LargeStringArray) -> None:
        """Write texts, none of them null, behind those that are there."""
        if not len(texts):
            return
        _, offsets, data = texts.buffers()
        bounds = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
        start, end = int(bounds[0]), int(bounds[-1])
        for first in range(start, end, _PART):
            self._file.write(data.slice(first, min(_PART, end - first)))
        self._ends.append(bounds[1:] - start + self._size)
        self._size += end - start

    def mapped(self) -> pa.LargeStringArray:
        """Return all texts as one array over the mapped file, which stays when this is closed."""
        self._file.flush()
        ends = np.concatenate(self._ends)
        empty = not self._size  # what has no bytes cannot be mapped
        data = b"" if empty else mmap.mmap(self._file.fileno(), self._size, access=mmap.ACCESS_READ)
        return pa.LargeStringArray.from_buffers(
            len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(data)
        )

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
