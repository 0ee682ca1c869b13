"""Texts in Arrow memory that are read like a list: no Python object stays per text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import pyarrow as pa

from mining.lists import Ids

_BATCH = 8192


class Texts(Sequence[str]):
    """A sequence of texts over a large_string array."""

    def __init__(self, array: pa.Array) -> None:
        self.array = array

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Return Python strings as `Texts`."""
        return cls(pa.array(texts, pa.large_string()))

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[str]:
        """Yield the texts, a few thousand of them held as Python strings."""
        for start in range(0, len(self), _BATCH):
            yield from self[start : start + _BATCH]

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            found: list[str] = self.array[place].to_pylist()
            return found
        text: str = self.array[place].as_py()
        return text

    def take(self, numbers: Ids) -> list[str]:
        """Return some of the texts."""
        found: list[str] = self.array.take(pa.array(numbers)).to_pylist()
        return found


def flat(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, strings with 64-bit offsets: 2 GB of text are not too much."""
    kind = column.type
    if pa.types.is_string(kind):
        column = column.cast(pa.large_string())
    elif pa.types.is_list(kind):
        inner = pa.large_string() if pa.types.is_string(kind.value_type) else kind.value_type
        column = column.cast(pa.large_list(inner))
    return column.combine_chunks()
