"""The texts to encode, in parts that are read one at a time: a list, or a column of Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from curation import storage
from curation.errors import InputError


class TextParts(Protocol):
    """Texts that are numbered through and read part by part."""

    def __len__(self) -> int:
        """Return how many parts there are."""
        ...

    def rows(self) -> list[int]:
        """Return how many texts each part has."""
        ...

    def part(self, number: int) -> list[str]:
        """Return the texts of a part."""
        ...


@dataclass(frozen=True, slots=True)
class ListedTexts:
    """Texts in memory, `size` a part."""

    texts: Sequence[str]
    size: int

    def __len__(self) -> int:
        return -(-len(self.texts) // self.size)

    def rows(self) -> list[int]:
        """Return how many texts each part has."""
        return [
            min(self.size, len(self.texts) - start)
            for start in range(0, len(self.texts), self.size)
        ]

    def part(self, number: int) -> list[str]:
        """Return the texts of a part."""
        return list(self.texts[number * self.size : (number + 1) * self.size])


@dataclass(slots=True)
class ParquetTexts:
    """A string column of Parquet files, up to `size` rows of one file a part.

    Memory holds a part and one row group. Raises `InputError` for a file that cannot be read, a
    column that is not there or holds no strings, and a row without a text.
    """

    paths: Sequence[str]
    column: str
    size: int
    _spans: list[tuple[str, int, int]] = field(default_factory=list)
    """Path, first row and end of each part."""
    _kept: tuple[str, int, Any] = ("", -1, None)
    """The row group that was read last."""

    def __post_init__(self) -> None:
        for path in self.paths:
            rows = self._metadata(path).num_rows
            self._spans += [
                (path, start, min(start + self.size, rows)) for start in range(0, rows, self.size)
            ]

    def __len__(self) -> int:
        return len(self._spans)

    def rows(self) -> list[int]:
        """Return how many texts each part has."""
        return [end - start for _, start, end in self._spans]

    def part(self, number: int) -> list[str]:
        """Return the texts of a part."""
        path, start, end = self._spans[number]
        texts: list[str] = []
        first = 0
        metadata = self._metadata(path)
        for group in range(metadata.num_row_groups):
            last = first + metadata.row_group(group).num_rows
            if last > start and first < end:
                found = self._group(path, group)
                texts += found[max(start, first) - first : min(end, last) - first].to_pylist()
            first = last
        return texts

    def _metadata(self, path: str) -> Any:
        try:
            with storage.open_read(path) as handle:
                file = pq.ParquetFile(handle)
                self._check(path, file.schema_arrow)
                return file.metadata
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(f"{path} cannot be read as Parquet: {error}") from error

    def _check(self, path: str, schema: pa.Schema) -> None:
        if self.column not in schema.names:
            raise InputError(f"{path} has no column {self.column!r}; it has {schema.names}")
        kind = schema.field(self.column).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise InputError(f"{path}: the column {self.column!r} holds {kind}, not strings")

    def _group(self, path: str, group: int) -> Any:
        if self._kept[:2] != (path, group):
            with storage.open_read(path) as handle:
                table = pq.ParquetFile(handle).read_row_group(group, columns=[self.column])
            texts = table[self.column]
            if texts.null_count:
                raise InputError(f"{path}: {texts.null_count} rows have no {self.column!r}")
            self._kept = path, group, texts
        return self._kept[2]


def texts_digest(texts: Sequence[str]) -> str:
    """Return the xxh3-128 of texts and where they end: equal for equal lists only."""
    digest = xxhash.xxh3_128()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()
