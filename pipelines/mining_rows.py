"""A pool and what was mined for it → training rows, as Arrow tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.labelled import NOT_MINED
from curation.records import TRAINING_ROW
from curation.tokens import TokenCounter
from mining.lists import Ids, Lists, starts_of
from mining.miner import Mined
from mining.pool import Pool, Scores
from train.config import ModelConfig

Mask = npt.NDArray[np.bool_]

LABELLED, RANDOM = "labelled", "random"
"""Where a negative is from that no search found."""


@dataclass(frozen=True, slots=True)
class PositiveScores:
    """Scores of what rows name themselves; NaN where nothing scored it."""

    positives: Scores
    """Of `pool.positives.values`."""
    negatives: Scores
    """Of `pool.negatives.values`."""


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that training rows are made of."""

    pool: Pool
    mined: Mined
    scores: PositiveScores
    """The encoder's."""
    teachers: PositiveScores
    """The second scorer's, or the data set's own."""
    sources: tuple[str, ...]
    """Names of `mined.source_ranks`."""


def negatives_of(result: Result, rows: Ids) -> tuple[Lists, Mask]:
    """Return the negatives of rows, labelled ones first, and which of all values are mined."""
    labelled = result.pool.negatives.take(rows)
    ids = result.mined.ids[rows]
    real = ids >= 0
    counts = labelled.counts + real.sum(1)
    starts = starts_of(counts)
    is_mined = np.ones(int(starts[-1]), np.bool_)
    within = np.arange(len(labelled.values)) - np.repeat(labelled.starts[:-1], labelled.counts)
    is_mined[np.repeat(starts[:-1], labelled.counts) + within] = False
    values = np.empty(len(is_mined), np.int64)
    values[~is_mined], values[is_mined] = labelled.values, ids[real]
    return Lists(starts, values), is_mined


def table_of(result: Result, rows: Ids, lengths: Ids) -> pa.Table:
    """Return rows (n,) as a `TRAINING_ROW` table; `lengths` (n,) are in tokens."""
    pool, mined = result.pool, result.mined
    negatives, is_mined = negatives_of(result, rows)
    positives = pool.positives.take(rows)
    real = mined.ids[rows] >= 0
    places = _places(pool.positives, rows), _places(pool.negatives, rows)

    def both(of_labelled: npt.NDArray[Any], of_mined: npt.NDArray[Any]) -> npt.NDArray[Any]:
        merged = np.empty(len(is_mined), of_mined.dtype)
        merged[~is_mined], merged[is_mined] = of_labelled, of_mined[rows][real]
        return merged

    teachers = both(result.teachers.negatives[places[1]], mined.teachers)
    positive_teachers = result.teachers.positives[places[0]]
    taught = _taught(positives, positive_teachers)
    own = pool.rows.take(pa.array(rows))
    columns: dict[str, Any] = {
        **{name: own[name] for name in own.column_names},
        "positives": _listed(positives, pool.passages.array.take(pa.array(positives.values))),
        "negatives": _listed(negatives, pool.passages.array.take(pa.array(negatives.values))),
        "length": pa.array(lengths, pa.int32()),
        "positive_ids": _listed(positives, pool.passage_ids.take(pa.array(positives.values))),
        "negative_ids": _listed(negatives, pool.passage_ids.take(pa.array(negatives.values))),
        "negative_ranks": _listed(negatives, both(np.array(NOT_MINED), mined.ranks)),
        "negative_sources": _listed(negatives, _origins(result, rows, is_mined)),
        "positive_scores": _scored(positives, result.scores.positives[places[0]]),
        "negative_scores": _scored(
            negatives, both(result.scores.negatives[places[1]], mined.scores)
        ),
        "positive_teacher_scores": _taught_lists(positives, positive_teachers, taught),
        "negative_teacher_scores": _taught_lists(negatives, teachers, taught),
    }
    return pa.table([columns[f.name].cast(f.type) for f in TRAINING_ROW], schema=TRAINING_ROW)


def _places(lists: Lists, rows: Ids) -> Ids:
    """Return where the values of some of the lists stand among all values."""
    return Lists(lists.starts, np.arange(len(lists.values))).take(rows).values


def _taught(lists: Lists, scores: Scores) -> Mask:
    """Mark the lists of which a value has a score."""
    return np.bincount(lists.owners, ~np.isnan(scores), minlength=len(lists)) > 0


def _listed(lists: Lists, values: Any) -> pa.Array:
    """Return the values as Arrow lists."""
    flat = values if isinstance(values, pa.Array) else pa.array(values)
    return pa.LargeListArray.from_arrays(pa.array(lists.starts), flat)


def _taught_lists(lists: Lists, scores: Scores, valid: Mask) -> pa.Array:
    """Return scores as Arrow lists, NaN as null; null instead of a list that is not valid."""
    kept = valid[lists.owners]
    lists, scores = lists.where(kept), scores[kept]
    starts = pa.array(lists.starts, mask=np.append(~valid, False))
    return pa.LargeListArray.from_arrays(starts, pa.array(scores, mask=np.isnan(scores)))


def _scored(lists: Lists, scores: Scores) -> pa.Array:
    """Return the scores of lists; an empty list where nothing was scored."""
    known = ~np.isnan(scores)
    return _listed(lists.where(known), scores[known])


def _origins(result: Result, rows: Ids, is_mined: Mask) -> list[str]:
    """Return for each negative where it is from: labelled, random, or sources with their ranks.

    "dense:3+bm25:17" stood at rank 3 of the dense list and at rank 17 of BM25's, from 0.
    """
    found = np.full(len(is_mined), LABELLED, object)
    real = result.mined.ids[rows] >= 0
    ranks = result.mined.source_ranks[rows][real].tolist()
    found[is_mined] = [_origin(result.sources, row) for row in ranks]
    names: list[str] = found.tolist()
    return names


def _origin(sources: Sequence[str], ranks: Sequence[int]) -> str:
    named = [f"{name}:{rank}" for name, rank in zip(sources, ranks, strict=True) if rank >= 0]
    return "+".join(named) or RANDOM


class Lengths:
    """Lengths of texts in tokens, as the model will cut them; each passage is counted once."""

    def __init__(self, pool: Pool, counter: TokenCounter, model: ModelConfig) -> None:
        self._pool, self._counter, self._model = pool, counter, model
        self._passages = np.full(len(pool.passages), -1, np.int32)

    def of(self, rows: Ids, negatives: Lists) -> Ids:
        """Return (n,) the longest text of each row."""
        model, pool = self._model, self._pool
        positives = pool.positives.take(rows)
        self._count(np.unique(np.concatenate([positives.values, negatives.values])))
        longest = np.zeros(len(rows), np.int64)
        for lists in (positives, negatives):
            np.maximum.at(longest, lists.owners, self._passages[lists.values])
        queries = [model.query_prompt + text for text in pool.queries.take(rows)]
        own = np.array(self._counter.lengths(queries), np.int64)
        return np.maximum(
            np.minimum(own, model.max_query_tokens), np.minimum(longest, model.max_passage_tokens)
        )

    def _count(self, passages: Ids) -> None:
        fresh = passages[self._passages[passages] < 0]
        prompt = self._model.passage_prompt
        texts = [prompt + text for text in self._pool.passages.take(fresh)]
        self._passages[fresh] = self._counter.lengths(texts)
