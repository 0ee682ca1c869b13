"""The loop of mining: search, choose, and search deeper for the rows that are starved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mining.config import MiningConfig
from mining.lists import Ids, Mask, contained
from mining.negatives import (
    RULES,
    Candidates,
    Counts,
    below_margins,
    in_window,
    needed,
    pick,
    usable_candidates,
)
from mining.pool import Pool, Scores
from mining.sampling import draw_passages, uniform

_CANDIDATES = 1 << 20  # held at once: 150 MB with all masks
_RANDOM = 256  # passages drawn for a row that is filled up; some of them may be its positives


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found for n rows."""

    ids: Ids
    """(n, k) passage numbers, best first; -1 where there are no more."""
    scores: Scores
    """(n, k) the encoder's scores of these."""
    lists: tuple[Ids, ...] = ()
    """(n, j) what each source found, where several were fused."""


class Search(Protocol):
    """Finds candidates."""

    def __call__(self, rows: Ids, depth: int) -> Found:
        """Return the best `depth` passages for rows of the pool, or all there are."""


PairScores = Callable[[Ids, Ids], Scores]
"""Rows (m,) and passages (m,) → scores (m,)."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """What scores pairs of a row and a passage."""

    dense: PairScores
    """The encoder's score, as the search gives it; NaN where nothing is encoded."""
    rescore: PairScores | None = None
    """A better one, which the margins then judge."""


@dataclass(frozen=True, slots=True)
class Mined:
    """The negatives of n rows of a pool; padded with -1 and NaN."""

    ids: Ids
    """(n, w) passage numbers."""
    ranks: Ids
    """(n, w) ranks in the search, -1 of those drawn at random."""
    scores: Scores
    """(n, w) the encoder's scores; NaN where nothing was encoded."""
    teachers: Scores
    """(n, w) the scores of the second scorer; NaN without one."""
    source_ranks: Ids
    """(n, w, sources) ranks in the list of each source; -1 where it did not find the passage."""
    survivors: Ids
    """(n,) candidates that were left to choose from."""
    positive_ranks: Ids
    """(n,) the best rank of a positive in the search; -1 where none was found."""
    depths: Ids
    """(n,) how deep was searched; 0: not at all."""
    exhausted: Mask
    """(n,) whether that was to the end of the pool."""
    removed: Counts
    """(n, R) candidates that each rule removed at that depth."""

    @property
    def counts(self) -> Ids:
        """(n,) how many negatives each row has."""
        return np.asarray((self.ids >= 0).sum(1), np.int64)

    def put(self, rows: Ids, part: Mined) -> None:
        """Write what was found for some of the rows."""
        for item in fields(self):
            getattr(self, item.name)[rows] = getattr(part, item.name)


def nothing(rows: int, config: MiningConfig) -> Mined:
    """Return rows without negatives."""
    shape = (rows, config.negatives)
    return Mined(
        ids=np.full(shape, -1, np.int64),
        ranks=np.full(shape, -1, np.int64),
        scores=np.full(shape, np.nan, np.float32),
        teachers=np.full(shape, np.nan, np.float32),
        source_ranks=np.full((*shape, len(config.sources)), -1, np.int64),
        survivors=np.zeros(rows, np.int64),
        positive_ranks=np.full(rows, -1, np.int64),
        depths=np.zeros(rows, np.int64),
        exhausted=np.zeros(rows, np.bool_),
        removed=np.zeros((rows, len(RULES)), np.int32),
    )


@dataclass(frozen=True, slots=True)
class Work:
    """One piece: so many rows searched at one depth."""

    rows: Ids
    depth: int
    number: int


Piece = Callable[[Work], Mined]
Keep = Callable[[Work, Piece], Mined]
"""Runs a piece, or returns what an interrupted run kept of it."""


def run_at_once(work: Work, piece: Piece) -> Mined:
    """Run a piece and keep nothing."""
    return piece(work)


def mine(
    pool: Pool,
    search: Search,
    scoring: Scoring,
    bounds: Scores,
    config: MiningConfig,
    keep: Keep = run_at_once,
) -> Mined:
    """Return the negatives of all rows; `bounds` (Q,) are their lowest positive scores.

    All rows are searched at `config.depth`; those for which too few candidates survive, and whose
    search did not come to the end of the pool, again at twice the depth, up to
    `config.max_depth`. Rows with several positives keep below the lowest.
    """
    mined = nothing(len(pool), config)
    pending = by_pool(pool, config)
    depth, number = config.depth, 0
    while len(pending):
        starved = [pending[:0]]
        for rows in pieces(pending, depth):
            work = Work(rows, depth, number)
            part = keep(work, lambda w: _piece(pool, search, scoring, bounds, config, w))
            mined.put(rows, part)
            starved.append(rows[_may_find_more(pool, part, rows, config)])
            number += 1
        depth *= 2
        pending = np.concatenate(starved) if depth <= config.max_depth else pending[:0]
    return mined


def by_pool(pool: Pool, config: MiningConfig) -> Ids:
    """Return all rows, those that search the same passages side by side."""
    return np.argsort(pool_keys(pool, config), kind="stable")


def pool_keys(pool: Pool, config: MiningConfig) -> Ids:
    """Return (Q,) numbers, equal for rows that search the same passages."""
    if config.pool == "mixed":
        return np.zeros(len(pool), np.int64)
    return pool.languages if config.pool == "language" else pool.query_languages


def members(pool: Pool, key: int, config: MiningConfig) -> Ids:
    """Return the numbers of the passages that rows of a key of `pool_keys` search."""
    if config.pool == "mixed":
        return np.arange(len(pool.passages))
    same = pool.groups.language == key
    return np.flatnonzero(same if config.pool == "language" else ~same)


def pieces(rows: Ids, depth: int) -> Iterator[Ids]:
    """Yield rows in pieces of bounded memory."""
    size = max(1, _CANDIDATES // depth)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _may_find_more(pool: Pool, part: Mined, rows: Ids, config: MiningConfig) -> Mask:
    """Mark rows with too few negatives whose search was cut off by its depth."""
    return ~part.exhausted & (part.counts < needed(pool, rows, config))


def _piece(
    pool: Pool,
    search: Search,
    scoring: Scoring,
    bounds: Scores,
    config: MiningConfig,
    work: Work,
) -> Mined:
    """Search and choose for some rows."""
    listed = search(work.rows, work.depth)
    found = Candidates(work.rows, listed.ids, listed.scores, bounds[work.rows])
    usable, removed = usable_candidates(pool, found, config)
    if scoring.rescore:
        most = config.rescore.depth * (work.depth // config.depth)
        found, usable = rescored(found, usable, most, scoring.rescore)
    usable = below_margins(found, usable, removed, config)
    chosen = pick(pool, found, in_window(usable, config), removed, config)
    scores, teachers = chosen.scores, np.full_like(chosen.scores, np.nan)
    if scoring.rescore:
        scores, teachers = padded_scores(work.rows, chosen.ids, scoring.dense), scores
    known = contained(listed.ids, pool.known.take(pool.questions[work.rows]))
    return Mined(
        ids=chosen.ids,
        ranks=chosen.ranks,
        scores=scores,
        teachers=teachers,
        source_ranks=_source_ranks(chosen.ids, listed),
        survivors=chosen.survivors,
        positive_ranks=np.where(known.any(1), known.argmax(1), -1),
        depths=np.full(len(work.rows), work.depth),
        exhausted=(listed.ids < 0).any(1) | (listed.ids.shape[1] < work.depth),
        removed=removed,
    )


def rescored(
    found: Candidates, usable: Mask, most: int, score: PairScores
) -> tuple[Candidates, Mask]:
    """Return the `most` best usable candidates in the order of a better score, and their mask."""
    order = np.argsort(~usable, axis=1, kind="stable")[:, :most]
    found, usable = found.at(order), np.take_along_axis(usable, order, 1)
    better = padded_scores(found.rows, np.where(usable, found.ids, -1), score)
    found = replace(found, scores=better, ranks=found.found_ranks)
    order = np.lexsort((found.ids, np.where(usable, -better, np.inf)), axis=1)
    return found.at(order), np.take_along_axis(usable, order, 1)


def padded_scores(rows: Ids, ids: Ids, score: PairScores) -> Scores:
    """Return the (n, w) scores of rows (n,) with passages (n, w); NaN where the id is -1."""
    place, column = np.nonzero(ids >= 0)
    scores = np.full(ids.shape, np.nan, np.float32)
    if len(place):
        scores[place, column] = score(rows[place], ids[place, column])
    return scores


def _source_ranks(chosen: Ids, listed: Found) -> Ids:
    """Return (n, w, sources): where each source listed what was chosen; -1 where it did not."""
    lists = listed.lists or (listed.ids,)
    found = np.full((*chosen.shape, len(lists)), -1, np.int64)
    for number, ids in enumerate(lists):
        for column in range(chosen.shape[1]):
            hits = (ids == chosen[:, column, None]) & (chosen[:, column, None] >= 0)
            found[:, column, number] = np.where(hits.any(1), hits.argmax(1), -1)
    return found


def fill_at_random(
    pool: Pool, mined: Mined, scoring: Scoring, config: MiningConfig
) -> npt.NDArray[np.bool_]:
    """Fill rows up with passages drawn from their pool; return which rows were filled up.

    The rules hold, the margins do not: a random passage that scores high for a bad query is still
    no answer. Where the pool has too few passages, rows stay short.
    """
    lacking = needed(pool, np.arange(len(pool)), config) - mined.counts
    keys = pool_keys(pool, config)
    pending = by_pool(pool, config)
    pending = pending[lacking[pending] > 0]
    for key in np.unique(keys[pending]).tolist():
        own = members(pool, key, config)
        for rows in pieces(pending[keys[pending] == key], _RANDOM):
            _fill(pool, mined, rows, draw_passages(pool, rows, own, _RANDOM, config.seed), config)
    drawn = (mined.ids >= 0) & (mined.ranks < 0)
    place, _ = np.nonzero(drawn)
    mined.scores[drawn] = scoring.dense(place, mined.ids[drawn])
    if scoring.rescore:
        mined.teachers[drawn] = scoring.rescore(place, mined.ids[drawn])
    return np.asarray(drawn.any(1))


def _fill(pool: Pool, mined: Mined, rows: Ids, drawn: Ids, config: MiningConfig) -> None:
    """Put passages drawn (n, k) behind what rows have, as many as they need."""
    count = mined.counts[rows]
    both = np.concatenate([mined.ids[rows], drawn], axis=1)  # so that none is chosen twice
    unscored = np.zeros(both.shape, np.float32)
    found = Candidates(rows, both, unscored, unscored[:, 0])
    usable, _ = usable_candidates(pool, found, config)
    usable[:, : config.negatives] = False
    order = np.where(usable, uniform(pool, rows, both, config.seed), np.inf)
    picked = np.argsort(order, axis=1, kind="stable")[:, : config.negatives]
    chosen = np.where(
        np.take_along_axis(usable, picked, 1), np.take_along_axis(both, picked, 1), -1
    )
    place = np.arange(config.negatives) - count[:, None]
    room = (place >= 0) & (place < (needed(pool, rows, config) - count)[:, None])
    room &= place < chosen.shape[1]
    taken = np.take_along_axis(chosen, np.clip(place, 0, chosen.shape[1] - 1), 1)
    mined.ids[rows] = np.where(room, taken, mined.ids[rows])
