"""The texts of a batch, and what of them answers which query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash

from curation import storage
from curation.errors import InputError
from curation.tokens import BUCKET_EDGES, bucket_name
from train.streams import Shard


@dataclass(frozen=True, slots=True)
class TextBatch:
    """What one step trains on; a text that occurs twice is listed once."""

    ids: list[str]
    queries: list[str]
    passages: list[str]
    passage_keys: list[int]
    """A hash of each passage."""
    positive_keys: list[list[int]]
    """The hashes of all known positives of each query."""
    targets: list[int]
    """The column of each query's positive in `passages`."""


def shards_of(directory: str, manifest: dict[str, Any], *, by_length: bool = True) -> list[Shard]:
    """Return the shards that a manifest lists (`length=<bucket>/part-*.parquet`).

    Without `by_length` they lie in no folders, as documents do: all are in the first bucket.
    """
    if not by_length:
        parts = manifest["parts"]
        return [Shard(storage.join(directory, part["name"]), 0, part["rows"]) for part in parts]
    buckets = {f"length={bucket_name(i)}": i for i in range(len(BUCKET_EDGES))}
    shards = []
    for part in manifest["parts"]:
        folder = str(part["name"]).partition("/")[0]
        if folder not in buckets:
            raise InputError(f"{directory}/{part['name']} is in no length bucket")
        shards.append(Shard(storage.join(directory, part["name"]), buckets[folder], part["rows"]))
    return shards


def text_key(text: str) -> int:
    """Return a signed 63-bit hash of a text."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "replace")) >> 1


def collate(
    rows: Sequence[dict[str, Any]], negatives: int, generator: np.random.Generator
) -> TextBatch:
    """Return the texts of a batch: of each row one positive, drawn, and its first negatives."""
    columns: dict[int, int] = {}
    passages: list[str] = []

    def column_of(text: str) -> int:
        key = text_key(text)
        if key not in columns:
            columns[key] = len(passages)
            passages.append(text)
        return columns[key]

    targets = []
    for row in rows:
        drawn = int(generator.integers(len(row["positives"])))
        targets.append(column_of(row["positives"][drawn]))
        for text in row["negatives"][:negatives]:
            column_of(text)
    return TextBatch(
        ids=[row["id"] for row in rows],
        queries=[row["query"] for row in rows],
        passages=passages,
        passage_keys=list(columns),
        positive_keys=_positive_keys(rows),
        targets=targets,
    )


def _positive_keys(rows: Sequence[dict[str, Any]]) -> list[list[int]]:
    """Return the keys of each query's positives; rows of one query know each other's."""
    by_query: dict[str, set[int]] = {}
    for row in rows:
        own = by_query.setdefault(row["query"].casefold(), set())
        own.update(map(text_key, row["positives"]))
    return [sorted(by_query[row["query"].casefold()]) for row in rows]


def prefetched(jobs: Iterator[Any], work: Any) -> Iterator[Any]:
    """Yield work(job) for each job, computing the next one while the last is used."""
    with ThreadPoolExecutor(1) as pool:
        pending = None
        for job in jobs:
            following = pool.submit(work, job)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()
