"""The texts of a batch, and what of them answers which query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
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
    """What is no negative of each query: hashes of its positives' texts and ids, its own."""
    targets: list[int]
    """The column of each query's positive in `passages`."""
    query_keys: list[int] = field(default_factory=list)
    """A hash of each query; queries of one hash know each other's positives. Empty: all differ."""
    passage_documents: list[list[int]] = field(default_factory=list)
    """Hashes of the ids that each passage has in the rows; empty: unknown."""
    teacher_columns: list[list[int]] = field(default_factory=list)
    """Of each query: the columns of its passages that a teacher scored, its positive first."""
    teacher_scores: list[list[float]] = field(default_factory=list)
    """The teacher's scores of these; empty for a row that has none."""


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
    rows: Sequence[dict[str, Any]],
    negatives: int,
    generator: np.random.Generator,
    teacher: str = "",
) -> TextBatch:
    """Return the texts of a batch: of each row one positive, drawn, and its first negatives.

    `teacher` names the columns of scores to learn from (`TEACHERS`); empty: none.
    """
    passages = _Passages()
    salt = int(generator.integers(1 << 62))  # a row's draw depends on no other row of the batch
    targets, places, scores = [], [], []
    for row in rows:
        drawn = text_key(f"{salt} {row['id']}") % len(row["positives"])
        own = passages.add(row, "positive", slice(drawn, drawn + 1))
        others = passages.add(row, "negative", slice(negatives))
        targets.append(own[0])
        found = _scores(row, drawn, len(others), teacher) if teacher else []
        group: dict[int, float] = {}
        for column, score in zip([*own, *others], found, strict=False):
            if score is not None:
                group.setdefault(column, score)  # of equal texts the first
        places.append(list(group))
        scores.append(list(group.values()))
    return TextBatch(
        ids=[row["id"] for row in rows],
        queries=[row["query"] for row in rows],
        passages=passages.texts,
        passage_keys=list(passages.columns),
        positive_keys=_positive_keys(rows),
        targets=targets,
        query_keys=[text_key(row["query"].casefold()) for row in rows],
        passage_documents=[sorted(found) for found in passages.documents],
        teacher_columns=places,
        teacher_scores=scores,
    )


@dataclass(slots=True)
class _Passages:
    """The distinct passages of a batch, in the order in which they are met."""

    texts: list[str] = field(default_factory=list)
    columns: dict[int, int] = field(default_factory=dict)
    documents: list[set[int]] = field(default_factory=list)

    def add(self, row: dict[str, Any], side: str, part: slice) -> list[int]:
        """Return the columns of some passages of a row, new ones added."""
        found = row[f"{side}s"][part]
        return [
            self._column(text, name)
            for text, name in zip(found, _ids(row, side)[part], strict=True)
        ]

    def _column(self, text: str, name: str) -> int:
        key = text_key(text)
        if key not in self.columns:
            self.columns[key] = len(self.texts)
            self.texts.append(text)
            self.documents.append(set())
        column = self.columns[key]
        if name:
            self.documents[column].add(_document_key(name))
        return column


def _ids(row: dict[str, Any], side: str) -> list[str]:
    """Return the ids of a row's positives or negatives, empty where it has none."""
    return row.get(f"{side}_ids") or [""] * len(row[f"{side}s"])


def _document_key(name: str) -> int:
    return text_key(f"\x00{name}")  # no text begins like this: an id is no text


def _scores(row: dict[str, Any], drawn: int, negatives: int, teacher: str) -> list[float | None]:
    """Return a teacher's scores of the drawn positive and the negatives, None of unscored ones.

    [] where the positive or the lists lack scores: nothing can be compared then.
    """
    positive, others = (row.get(f"{side}_{teacher}") or [] for side in ("positive", "negative"))
    if drawn >= len(positive) or positive[drawn] is None or len(others) < negatives:
        return []
    return [positive[drawn], *others[:negatives]]


def _positive_keys(rows: Sequence[dict[str, Any]]) -> list[list[int]]:
    """Return what is no negative of each query; rows of one query know each other's positives."""
    by_query: dict[str, set[int]] = {}
    for row in rows:
        own = by_query.setdefault(row["query"].casefold(), set())
        own.update(map(text_key, [row["query"], *row["positives"]]))
        own.update(_document_key(name) for name in _ids(row, "positive") if name)
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
