"""Which passage is which column of the scores, and which are no negatives of a query.

Each process tells the others hashes of what it has; from them all build the same columns. A text
that several processes have is one column, encoded by the first of them, as in one process.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import torch
from torch import Tensor

from train.data import TextBatch
from train.losses import Teaching


@dataclass(frozen=True, slots=True)
class Share:
    """What a process tells of its batch, as hashes."""

    passages: list[int]
    """The text of each passage."""
    documents: list[list[int]]
    """The documents that each passage is known as."""
    queries: list[int]
    """The text of each query."""
    known: list[list[int]]
    """Of each query: texts and documents that answer it."""
    taught: int
    """Queries with teacher scores."""

    @classmethod
    def of(cls, batch: TextBatch) -> Share:
        """Return the share of a batch."""
        return cls(
            batch.passage_keys,
            batch.passage_documents or [[] for _ in batch.passages],
            batch.query_keys or list(range(len(batch.queries))),
            batch.positive_keys,
            sum(1 for scores in batch.teacher_scores if len(scores) > 1),
        )

    def to_numbers(self) -> list[int]:
        """Return everything as one list of integers."""
        lists = [self.passages, self.queries, [self.taught], *self.documents, *self.known]
        return [len(self.passages), len(self.queries), *map(len, lists), *chain(*lists)]

    @classmethod
    def from_numbers(cls, numbers: Sequence[int]) -> Share:
        """Return what `to_numbers` wrote."""
        stream: Iterator[int] = iter(numbers)
        passages, queries = next(stream), next(stream)
        sizes = list(islice(stream, 3 + passages + queries))
        lists = [list(islice(stream, size)) for size in sizes]
        rest = lists[3:]
        return cls(lists[0], rest[:passages], lists[1], rest[passages:], lists[2][0])


@dataclass(frozen=True, slots=True)
class Columns:
    """The passages of all processes, each text once, and one process's place among them."""

    owned: list[int]
    """The own passages that this process encodes for all, in the order of their columns."""
    keys: list[set[int]]
    """Of each column: its text and its documents."""
    column_of: list[int]
    """The column of each own passage."""
    known: list[set[int]]
    """Of each own query: texts and documents that are no negatives of it."""
    queries: int
    """Queries of all processes."""
    taught: int
    """Those with teacher scores."""


def columns(shares: Sequence[Share], rank: int) -> Columns:
    """Return the columns of all shares, seen from one; ranks come one after the other."""
    places: dict[int, int] = {}
    keys: list[set[int]] = []
    owned = []
    answers: dict[int, set[int]] = {}
    for number, share in enumerate(shares):
        for local, (text, documents) in enumerate(
            zip(share.passages, share.documents, strict=True)
        ):
            if text not in places:
                places[text] = len(keys)
                keys.append({text})
                if number == rank:
                    owned.append(local)
            keys[places[text]].update(documents)
        for query, known in zip(share.queries, share.known, strict=True):
            answers.setdefault(query, set()).update(known)
    own = shares[rank]
    return Columns(
        owned,
        keys,
        [places[text] for text in own.passages],
        [answers[query] for query in own.queries],
        sum(len(share.queries) for share in shares),
        sum(share.taught for share in shares),
    )


def false_negatives(
    passages: Sequence[Collection[int]], known: Sequence[Collection[int]], targets: Sequence[int]
) -> Tensor:
    """Return the (Q, P) mask of passages of which a query knows a key; not its own target."""
    places: dict[int, list[int]] = {}
    for column, keys in enumerate(passages):
        for key in keys:
            places.setdefault(key, []).append(column)
    mask = torch.zeros(len(known), len(passages), dtype=torch.bool)
    for row, keys in enumerate(known):
        mask[row, list(chain(*(places.get(key, ()) for key in keys)))] = True
        mask[row, targets[row]] = False
    return mask


def teaching(batch: TextBatch, column_of: Sequence[int]) -> Teaching | None:
    """Return the teacher's scores of a batch as tensors; None where no row has any."""
    width = max(map(len, batch.teacher_scores), default=0)
    if width < 2:
        return None
    places = torch.tensor([column_of[i] for i in batch.targets])[:, None].repeat(1, width)
    scores = torch.zeros(len(places), width)
    real = torch.zeros(len(places), width, dtype=torch.bool)
    for row, (own, found) in enumerate(
        zip(batch.teacher_columns, batch.teacher_scores, strict=True)
    ):
        places[row, : len(own)] = torch.tensor([column_of[i] for i in own], dtype=torch.long)
        scores[row, : len(found)] = torch.tensor(found)
        real[row, : len(found)] = True
    return Teaching(places, scores, real)
