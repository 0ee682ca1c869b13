"""Pairs and questions → the rows to mine for and the passages to search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Pool:
    """Q rows to mine for, and the P distinct passages that are candidates for them."""

    rows: list[dict[str, str]]
    """The pairs, ordered by id."""
    passages: list[str]
    """Distinct texts of all positives."""
    passage_ids: list[str]
    """What a passage is called in the rows: the id of its document, else of its first pair."""
    positive: Ids
    """(Q,) the passage of each row's positive."""
    text_groups: Ids
    document_groups: Ids
    query_groups: Ids
    known: list[frozenset[int]]


def select_rows(
    paths: Sequence[str],
    relations: Iterable[str],
    limits: Mapping[str, int],
    splits: SplitConfig,
) -> list[dict[str, str]]:
    """Return the training pairs of the wanted relations, without held-out documents.

    Where a relation has a limit, the rows of each language with the smallest hash of their id
    are taken: a uniform draw that does not depend on how the parts were cut.
    """
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in _read(paths, sorted(set(relations))):
        if not splits.is_held_out((row["query_document_id"], row["document_id"])):
            groups.setdefault((row["relation"], row["language"]), []).append(row)
    chosen = []
    for (relation, _), rows in groups.items():
        rows.sort(key=lambda row: rank(row["id"], "training"))
        chosen += rows[: limits.get(relation, len(rows))]
    return sorted(chosen, key=lambda row: row["id"])


def _read(paths: Sequence[str], relations: list[str]) -> Iterator[dict[str, str]]:
    for path in paths:
        with storage.open_read(path) as handle:
            table = pq.read_table(handle, columns=COLUMNS)
        wanted = pc.is_in(table["relation"], pa.array(relations, pa.string()))
        yield from table.filter(wanted).to_pylist()


def build_pool(rows: list[dict[str, str]]) -> Pool:
    """Return the pool of rows; raise `InputError` where there is none."""
    if not rows:
        raise InputError("no pair or question has a relation of mining.relations; nothing to mine")
    numbers: dict[str, int] = {}
    passage_ids: list[str] = []
    documents: list[str] = []
    for row in rows:
        if row["positive"] not in numbers:
            numbers[row["positive"]] = len(numbers)
            passage_ids.append(row["document_id"] or row["id"])
            documents.append(row["document_id"])
    positive = np.array([numbers[row["positive"]] for row in rows], np.int64)
    text_groups, group_of = _groups(list(numbers))
    known: dict[str, set[int]] = {}
    for row, number in zip(rows, positive.tolist(), strict=True):
        known.setdefault(_folded(row["query"]), set()).add(int(text_groups[number]))
    return Pool(
        rows=rows,
        passages=list(numbers),
        passage_ids=passage_ids,
        positive=positive,
        text_groups=text_groups,
        document_groups=_group_numbers(documents),
        query_groups=np.array([group_of.get(_folded(r["query"]), -1) for r in rows], np.int64),
        known=[frozenset(known[_folded(row["query"])]) for row in rows],
    )


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
