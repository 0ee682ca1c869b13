"""What a part tells the report: counts in fixed bins, and a few rows to read.

Facts are taken from the table that is being written anyway, in the worker that writes it, and
the facts of parts add up: the sum depends neither on the cut into parts nor on their order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.draw import rank
from pipelines.report import bins

SAMPLES = 3
"""Rows kept of each group: those with the smallest hash of their id."""
EXCERPT = 400
"""Characters kept of a text in a sample."""

# What a sample is drawn for, and what it shows.
_GROUPS = {
    "documents": ("source",),
    "pairs": ("relation", "source"),
    "rejects": ("reason", "source"),
}
_SHOWN = {
    "documents": ("id", "source", "language", "language_score", "title", "text"),
    "pairs": ("id", "source", "relation", "query_language", "language", "query", "positive"),
    "rejects": ("id", "source", "stage", "reason", "language", "value", "excerpt"),
}
_BY = {"documents": ("language",), "pairs": ("language", "relation"), "rejects": ()}
# Measures that are also counted by language; all of a pair's are also counted by relation.
_BY_LANGUAGE = ("characters", "positive_tokens")

_BLANK_LINES = re.compile(r"\n\s*\n")

Codes = npt.NDArray[np.int64]


@dataclass(slots=True)
class Facts:
    """Mergeable counts and samples; the last part of a key may hold any text."""

    counts: dict[str, Counter[int]] = field(default_factory=dict)
    """`kind|measure|column|value` → rows by bin; column and value are empty for all rows."""
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """`kind|first group|second group` → rows with their place in the draw under `rank`."""

    def add(self, other: Facts) -> None:
        """Take in the facts of another part."""
        for key, counted in other.counts.items():
            self.counts.setdefault(key, Counter()).update(counted)
        for key, rows in other.samples.items():
            both = [*self.samples.get(key, ()), *rows]
            self.samples[key] = sorted(both, key=_order)[:SAMPLES]

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON-like values."""
        counts = {
            key: {str(b): counted[b] for b in sorted(counted)}
            for key, counted in self.counts.items()
        }
        return {"counts": counts, "samples": self.samples}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Facts:
        """Return the facts that `to_json` gave."""
        counts = {
            key: Counter({int(b): n for b, n in counted.items()})
            for key, counted in value["counts"].items()
        }
        return cls(counts, value["samples"])


def total(parts: Iterable[dict[str, Any]]) -> Facts:
    """Return the sum of the facts of parts."""
    facts = Facts()
    for part in parts:
        facts.add(Facts.from_json(part))
    return facts


def table_facts(kind: str, table: pa.Table) -> Facts:
    """Return the facts of a table of documents, pairs or rejects."""
    facts = Facts()
    if not table.num_rows:
        return facts
    groups = {name: _codes(table[name]) for name in _BY[kind]}
    for measure, values in _measures(kind, table):
        found = ~np.isnan(values)
        if not found.any():
            continue
        counted = bins.bins_of(values[found], bins.scale_of(measure))
        facts.counts[f"{kind}|{measure}||"] = bins.count(counted)
        for column, (codes, names) in groups.items():
            if column != "language" or measure in _BY_LANGUAGE:
                for code, part in _count_by(counted, codes[found]):
                    facts.counts[f"{kind}|{measure}|{column}|{names[code]}"] = part
    facts.samples = _samples(kind, table)
    return facts


def _measures(kind: str, table: pa.Table) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """Yield every column of numbers, and the lengths of texts, as float64 with NaN for null."""
    if kind == "rejects":
        return
    columns = dict(zip(table.column_names, table.columns, strict=True))
    if "quality" in columns:
        quality = columns.pop("quality").combine_chunks()
        columns |= {f.name: quality.field(f.name) for f in quality.type}
    if "positive" in columns:
        columns["positive_characters"] = pc.utf8_length(columns["positive"])
    for name, column in columns.items():
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            yield name, column.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _codes(column: pa.ChunkedArray) -> tuple[Codes, list[str]]:
    """Return a number per row and the name of each number."""
    encoded = pc.dictionary_encode(pc.fill_null(column, "")).combine_chunks()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def _count_by(counted: bins.Bins, codes: Codes) -> Iterator[tuple[int, Counter[int]]]:
    """Yield (code, rows by bin) in one pass over all rows."""
    order = np.lexsort((counted, codes))
    codes, counted = codes[order], counted[order]
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    for code, piece in zip(codes[starts], np.split(counted, starts[1:]), strict=True):
        yield int(code), bins.count(piece)


def _samples(kind: str, table: pa.Table) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each group with the smallest hash of their id."""
    first, second = (*_GROUPS[kind], None)[:2]
    ranks = np.array([rank(i, "sample") for i in table["id"].to_pylist()], np.uint64)
    codes, names = _codes(table[first])
    labels = [f"{kind}|{name}|" for name in names]
    if second:
        inner, inner_names = _codes(table[second])
        codes = codes * len(inner_names) + inner
        labels = [label + name for label in labels for name in inner_names]
    order = np.lexsort((ranks, codes))
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return {
        labels[int(codes[rows[0]])]: _excerpts(kind, table, _smallest(rows, ranks), ranks)
        for rows in np.split(order, starts[1:])
    }


def _smallest(rows: Codes, ranks: npt.NDArray[np.uint64]) -> Codes:
    """Return the first rows of a group, and all that tie with the last of them."""
    last = ranks[rows[min(SAMPLES, len(rows)) - 1]]
    return rows[: np.searchsorted(ranks[rows], last, side="right")][: 4 * SAMPLES]


def _excerpts(
    kind: str, table: pa.Table, rows: Codes, ranks: npt.NDArray[np.uint64]
) -> list[dict[str, Any]]:
    shown = [name for name in _SHOWN[kind] if name in table.column_names]
    found = table.select(shown).take(pa.array(rows)).to_pylist()
    listed: Sequence[dict[str, Any]] = [
        {name: _cut(v) if isinstance(v, str) else v for name, v in row.items()} for row in found
    ]
    drawn = zip(listed, ranks[rows].tolist(), strict=True)
    return sorted(({**row, "rank": place} for row, place in drawn), key=_order)[:SAMPLES]


def _cut(text: str) -> str:
    """Return a text without blank lines, cut with an ellipsis."""
    text = _BLANK_LINES.sub("\n", text[: 2 * EXCERPT])
    return text if len(text) <= EXCERPT else text[:EXCERPT].rstrip() + "…"


def _order(row: dict[str, Any]) -> tuple[int, list[str]]:
    """Return the place in the draw; rows of one id (rejects) are told apart by what they say."""
    return row["rank"], [str(value) for value in row.values()]
