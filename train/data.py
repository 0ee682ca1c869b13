"""Training rows out of Parquet shards, streamed: memory does not grow with the corpus."""

from __future__ import annotations

import bisect
import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from curation import storage
from curation.errors import InputError
from curation.tokens import BUCKET_EDGES, bucket_name
from train.batching import Batch, Shard
from train.loss_config import TEACHERS

_COLUMNS = ["id", "query", "positives", "negatives", "positive_ids", "negative_ids"]
_SCORE_COLUMNS = [f"{side}_{kind}" for side in ("positive", "negative") for kind in TEACHERS]
_KEPT_GROUPS = 8  # row groups held; a batch touches two or three
_OPEN_FILES = 64  # a corpus has thousands of shards, a process 1,024 descriptors


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


def shards_of(directory: str, manifest: dict[str, Any]) -> list[Shard]:
    """Return the shards that a manifest lists (`length=<bucket>/part-*.parquet`)."""
    buckets = {f"length={bucket_name(i)}": i for i in range(len(BUCKET_EDGES))}
    shards = []
    for part in manifest["parts"]:
        folder = str(part["name"]).partition("/")[0]
        if folder not in buckets:
            raise InputError(f"{directory}/{part['name']} is in no length bucket")
        shards.append(Shard(storage.join(directory, part["name"]), buckets[folder], part["rows"]))
    return shards


@dataclass(slots=True)
class RowReader:
    """Reads rows of a bucket by index, keeping the row groups it used last."""

    shards: Sequence[Shard]
    _files: OrderedDict[str, pq.ParquetFile] = field(default_factory=OrderedDict)
    _groups: OrderedDict[tuple[str, int], pa.Table] = field(default_factory=OrderedDict)

    def read(self, batch: Batch) -> list[dict[str, Any]]:
        """Return the rows of a batch in order of their index."""
        own = [shard for shard in self.shards if shard.bucket == batch.bucket]
        starts = list(itertools.accumulate((shard.rows for shard in own), initial=0))
        rows = []
        for index in batch.rows.tolist():
            number = bisect.bisect_right(starts, index) - 1
            rows.append(self._row(own[number].path, index - starts[number]))
        return rows

    def close(self) -> None:
        """Close the shards that are open."""
        while self._files:
            self._files.popitem()[1].close(force=True)

    def _row(self, path: str, index: int) -> dict[str, Any]:
        file = self._file(path)
        group = 0
        while index >= file.metadata.row_group(group).num_rows:
            index -= file.metadata.row_group(group).num_rows
            group += 1
        row: dict[str, Any] = self._group(path, file, group).slice(index, 1).to_pylist()[0]
        return row

    def _file(self, path: str) -> pq.ParquetFile:
        if path not in self._files:
            self._files[path] = _opened(path)
        self._files.move_to_end(path)
        while len(self._files) > _OPEN_FILES:
            self._files.popitem(last=False)[1].close(force=True)
        return self._files[path]

    def _group(self, path: str, file: pq.ParquetFile, group: int) -> pa.Table:
        key = (path, group)
        if key not in self._groups:
            try:
                self._groups[key] = file.read_row_group(group, columns=_COLUMNS + _SCORE_COLUMNS)
            except (OSError, pa.ArrowException) as error:
                raise _damaged(path, error) from error
        self._groups.move_to_end(key)
        while len(self._groups) > _KEPT_GROUPS:
            self._groups.popitem(last=False)
        return self._groups[key]


def _opened(path: str) -> pq.ParquetFile:
    try:
        with ExitStack() as stack:
            file = pq.ParquetFile(stack.enter_context(storage.open_read(path)))
            stack.pop_all()
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error
    return file


def _damaged(path: str, error: Exception) -> InputError:
    return InputError(f"{path} is missing or damaged ({error}); run: make mine-negatives")


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
    targets, places, scores = [], [], []
    for row in rows:
        drawn = int(generator.integers(len(row["positives"])))
        own = passages.add(row, "positive", slice(drawn, drawn + 1))
        others = passages.add(row, "negative", slice(negatives))
        targets.append(own[0])
        found = _scores(row, drawn, len(others), teacher) if teacher else []
        group: dict[int, float] = {}
        for column, score in zip([*own, *others], found, strict=False):
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


def _scores(row: dict[str, Any], drawn: int, negatives: int, teacher: str) -> list[float]:
    """Return a teacher's scores of the drawn positive and the negatives; [] where one has none."""
    positive, others = (row.get(f"{side}_{teacher}") or [] for side in ("positive", "negative"))
    if drawn >= len(positive) or len(others) < negatives:
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
