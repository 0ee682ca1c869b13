"""Vectors of many texts as parts on disk, of which only what is read is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Part = str | npt.NDArray[Any]
"""A `.npy` file of (n, d) fp16 or fp32 numbers, or such an array."""

_SPAN = 1 << 22  # numbers of a file that are mapped at a time: 8 MB in fp16
_PAIRS = 4096  # rows of 384 numbers gathered at once: 6 MB a side, which stays in a cache


class Shards:
    """(N, d) vectors in parts, numbered through; what is read of them is fp32.

    A file is mapped while it is read and no longer, and a stretch of it at a time: its pages then
    leave the process again, and any number of parts takes no more file handles than one.
    """

    def __init__(self, parts: Sequence[Part], width: int | None = None) -> None:
        self.parts = tuple(parts)
        shapes = [_opened(part).shape for part in self.parts]
        self.width = int(shapes[0][1]) if width is None else width
        if {self.width} != {self.width, *(columns for _, columns in shapes)}:
            raise ValueError(f"parts of different widths: {sorted({c for _, c in shapes})}")
        rows = max(1, _SPAN // max(1, self.width))
        self._spans = [
            (part, first, min(first + rows, count))
            for part, (count, _) in zip(self.parts, shapes, strict=True)
            for first in range(0, count, rows)
        ]
        sizes = [end - first for _, first, end in self._spans]
        self._starts = np.cumsum([0, *sizes], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def shape(self) -> tuple[int, int]:
        """Return (N, d), as an array has it."""
        return len(self), self.width

    def __getitem__(self, rows: int | slice | Ids | Sequence[int]) -> Vectors:
        """Return rows as an array would: (d,) for a number, else (n, d); fp32."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            return self.block(start, stop) if step == 1 else self.take(np.arange(start, stop, step))
        found = self.take(np.atleast_1d(np.asarray(rows, np.int64)))
        return found[0] if np.ndim(rows) == 0 else found

    def block(self, start: int, stop: int) -> Vectors:
        """Return rows start..stop - 1."""
        stop = min(stop, len(self))
        rows = np.empty((max(0, stop - start), self.width), np.float32)
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        for number in range(first, len(self._spans)):
            low, high = (int(edge) for edge in self._starts[number : number + 2])
            if low >= stop:
                break
            here = slice(max(start, low), min(stop, high))
            rows[here.start - start : here.stop - start] = self._span(number)[
                here.start - low : here.stop - low
            ]
        return rows

    def blocks(self, rows: int) -> Iterator[tuple[int, Vectors]]:
        """Yield (number of the first row, up to `rows` of them) until the end."""
        for start in range(0, len(self), rows):
            yield start, self.block(start, start + rows)

    def take(self, numbers: Ids) -> Vectors:
        """Return the rows of the numbers (n,), in their order."""
        numbers = np.where(numbers < 0, numbers + len(self), numbers)
        rows = np.empty((len(numbers), self.width), np.float32)
        for span, low, places in self.by_span(numbers):
            rows[places] = span[numbers[places] - low]
        return rows

    def by_span(self, numbers: Ids) -> Iterator[tuple[npt.NDArray[Any], int, Ids]]:
        """Yield (a stretch of rows, the first one's number, places in `numbers` that lie in it)."""
        owner = np.searchsorted(self._starts, numbers, side="right") - 1
        order = np.argsort(owner, kind="stable")
        edges = np.flatnonzero(np.diff(owner[order])) + 1
        for places in np.split(order, edges) if len(order) else ():
            number = int(owner[places[0]])
            yield self._span(number), int(self._starts[number]), places

    def _span(self, number: int) -> npt.NDArray[Any]:
        part, first, end = self._spans[number]
        return _opened(part)[first:end]


def as_shards(vectors: Shards | npt.NDArray[Any]) -> Shards:
    """Return an array as shards of one part; shards as they are."""
    return vectors if isinstance(vectors, Shards) else Shards([vectors])


def score_pairs(
    queries: Shards | npt.NDArray[Any],
    passages: Shards | npt.NDArray[Any],
    query_numbers: Ids,
    passage_numbers: Ids,
) -> Vectors:
    """Return the (n,) inner products of pairs of a query and a passage, given by number.

    The products of a pair are summed in one order, in fp32: its score depends on its two vectors
    alone, not on what else is asked, how the vectors are cut, or which index found it.
    """
    queries, passages = as_shards(queries), as_shards(passages)
    scores = np.empty(len(passage_numbers), np.float32)
    for span, low, places in passages.by_span(passage_numbers):
        if len(places) > len(span):  # each row is widened once, not once a pair
            span = np.asarray(span, np.float32)
        for start in range(0, len(places), _PAIRS):
            here = places[start : start + _PAIRS]
            rows = span[passage_numbers[here] - low].astype(np.float32, copy=False)
            scores[here] = np.einsum("nd,nd->n", rows, queries.take(query_numbers[here]))
    return scores


def _opened(part: Part) -> npt.NDArray[Any]:
    if isinstance(part, str):
        mapped: npt.NDArray[Any] = np.load(part, mmap_mode="r", allow_pickle=False)
        return mapped
    return part
