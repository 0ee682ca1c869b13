"""Pairs, questions and labelled rows → the rows to mine for and the passages to search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import storage
from curation.draw import rank
from curation.errors import InputError
from curation.splits import SplitConfig
from mining.index import Ids

COLUMNS = [
    "id",
    "query",
    "positive",
    "relation",
    "query_language",
    "language",
    "source",
    "query_document_id",
    "document_id",
]
LABELLED_COLUMNS = [
    "id",
    "query",
    "positives",
    "negatives",
    "relation",
    "query_language",
    "language",
    "source",
    "positive_ids",
    "negative_ids",
]

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pool:
    """Q rows to mine for, and the P distinct passages that are candidates for them."""

    rows: list[Row]
    """The pairs and labelled rows, ordered by id."""
    passages: Sequence[str]
    """Distinct texts of all positives and of labelled negatives."""
    passage_ids: Sequence[str]
    """What a passage is called in the rows: the id of its document, else of its first pair."""
    positive: Ids
    """(Q,) the passage of each row's first positive."""
    positives: list[list[int]]
    """The passages of all positives of each row; a pair has one."""
    negatives: list[list[int]]
    """The passages of the negatives that a row's data set names, none of them a known positive."""
    text_groups: Ids
    document_groups: Ids
    query_groups: Ids
    known: list[frozenset[int]]


def select_rows(
    paths: Sequence[str],
    relations: Iterable[str],
    limits: Mapping[str, int],
    splits: SplitConfig,
) -> list[Row]:
    """Return the training pairs of the wanted relations, without held-out documents.

    Where a relation has a limit, the rows of each language with the smallest hash of their id
    are taken: a uniform draw that does not depend on how the parts were cut.
    """
    rows = (
        row
        for row in _read(paths, sorted(set(relations)))
        if not splits.is_held_out((row["query_document_id"], row["document_id"]))
    )
    return sorted(_drawn(rows, limits), key=lambda row: row["id"])


def select_labelled(paths: Sequence[str], limits: Mapping[str, int]) -> list[Row]:
    """Return the labelled rows, drawn as pairs are; the first positive is their `positive`."""
    rows = []
    for path in paths:
        with storage.open_read(path) as handle:
            rows += pq.read_table(handle, columns=LABELLED_COLUMNS).to_pylist()
    for row in rows:
        row |= {"positive": row["positives"][0], "document_id": ""}
    return _drawn(rows, limits)


def _drawn(rows: Iterable[Row], limits: Mapping[str, int]) -> list[Row]:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["relation"], row["language"]), []).append(row)
    chosen = []
    for (relation, _), found in groups.items():
        found.sort(key=lambda row: rank(row["id"], "training"))
        chosen += found[: limits.get(relation, len(found))]
    return chosen


def _read(paths: Sequence[str], relations: list[str]) -> Iterator[Row]:
    for path in paths:
        with storage.open_read(path) as handle:
            table = pq.read_table(handle, columns=COLUMNS)
        wanted = pc.is_in(table["relation"], pa.array(relations, pa.string()))
        yield from table.filter(wanted).to_pylist()


def build_pool(rows: list[Row], most_negatives: int = 0) -> Pool:
    """Return the pool of rows; raise `InputError` where there is none.

    Of a labelled row up to `most_negatives` negatives join the pool, without those that are
    positives of the same question elsewhere.
    """
    if not rows:
        raise InputError("no pair or question has a relation of mining.relations; nothing to mine")
    answers: dict[str, set[str]] = {}
    for row in rows:
        own = answers.setdefault(_folded(row["query"]), set())
        own.update(map(_folded, _positives(row)))
    passages = _Passages({}, [], [])
    positives = [_add_positives(passages, row) for row in rows]
    negatives = [
        _add_negatives(passages, row, answers[_folded(row["query"])], most_negatives)
        for row in rows
    ]
    numbers, documents = passages.numbers, passages.documents
    text_groups, group_of = _groups(list(numbers))
    known: dict[str, set[int]] = {}
    for row, found in zip(rows, positives, strict=True):
        known.setdefault(_folded(row["query"]), set()).update(text_groups[found].tolist())
    return Pool(
        rows=rows,
        passages=list(numbers),
        passage_ids=passages.ids,
        positive=np.array([found[0] for found in positives], np.int64),
        positives=positives,
        negatives=negatives,
        text_groups=text_groups,
        document_groups=_group_numbers(documents),
        query_groups=np.array([group_of.get(_folded(r["query"]), -1) for r in rows], np.int64),
        known=[frozenset(known[_folded(row["query"])]) for row in rows],
    )


@dataclass(frozen=True, slots=True)
class _Passages:
    """The distinct texts with their numbers, what they are called, and their documents."""

    numbers: dict[str, int]
    ids: list[str]
    documents: list[str]

    def add(self, text: str, identity: str, document: str = "") -> int:
        """Return the number of a text, which the first to bring it names."""
        if text not in self.numbers:
            self.numbers[text] = len(self.numbers)
            self.ids.append(identity)
            self.documents.append(document)
        return self.numbers[text]


def _positives(row: Row) -> list[str]:
    return row.get("positives") or [row["positive"]]


def _add_positives(passages: _Passages, row: Row) -> list[int]:
    if "positives" not in row:
        document = row["document_id"]
        return [passages.add(row["positive"], document or row["id"], document)]
    named = zip(row["positives"], row["positive_ids"], strict=True)
    return [passages.add(text, identity) for text, identity in named]


def _add_negatives(passages: _Passages, row: Row, answers: set[str], most: int) -> list[int]:
    named = zip(row.get("negatives", ()), row.get("negative_ids", ()), strict=True)
    kept = [(text, identity) for text, identity in named if _folded(text) not in answers]
    return [passages.add(text, identity) for text, identity in kept[:most]]


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _groups(texts: Sequence[str]) -> tuple[Ids, dict[str, int]]:
    """Return a group number per text, equal where texts fold to the same."""
    numbers: dict[str, int] = {}
    groups = [numbers.setdefault(_folded(text), len(numbers)) for text in texts]
    return np.array(groups, np.int64), numbers


def _group_numbers(names: Sequence[str]) -> Ids:
    """Return a number per name, -1 for the empty one."""
    numbers: dict[str, int] = {}
    found = [numbers.setdefault(name, len(numbers)) if name else -1 for name in names]
    return np.array(found, np.int64)
