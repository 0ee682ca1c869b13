"""Candidates → hard negatives: masks and choices on integer ids, every removal counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mining.config import FILTERS, MiningConfig
from mining.lists import Ids, Mask, contained
from mining.pool import Pool, Scores
from mining.sampling import priorities

ALWAYS = ("positive", "same_text", "labelled_negative", "repeated_text")
MARGINS = ("above_max_score", "within_absolute_margin", "too_close_to_positive")
RULES = ("positive", "same_text", *FILTERS, *ALWAYS[2:], *MARGINS)
"""Why a candidate is removed, in the order in which it is asked: the first one counts."""

Counts = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the search found for n of the pool's rows."""

    rows: Ids
    """(n,) their numbers in the pool."""
    ids: Ids
    """(n, k) passage numbers, best first; -1 where there are no more."""
    scores: Scores
    """(n, k) their scores, which the margins judge."""
    positive_scores: Scores
    """(n,) the score of each row's positive; of several the lowest."""
    ranks: Ids | None = None
    """(n, k) their ranks in the search; unset: 0, 1, 2 …"""

    @property
    def found_ranks(self) -> Ids:
        """(n, k) the ranks in the search."""
        if self.ranks is not None:
            return self.ranks
        return np.broadcast_to(np.arange(self.ids.shape[1]), self.ids.shape)

    def at(self, columns: Ids) -> Candidates:
        """Return the candidates of other columns, (n, j)."""
        return replace(
            self,
            ids=np.take_along_axis(self.ids, columns, 1),
            scores=np.take_along_axis(self.scores, columns, 1),
            ranks=np.take_along_axis(self.found_ranks, columns, 1),
        )


@dataclass(frozen=True, slots=True)
class Chosen:
    """The negatives of n rows; rows are padded with -1, scores with NaN."""

    ids: Ids
    """(n, w) passage numbers."""
    ranks: Ids
    """(n, w) ranks in the search; -1 of what was not searched."""
    scores: Scores
    """(n, w) scores."""
    survivors: Ids
    """(n,) how many candidates were left to choose from, in the window."""
    removed: Counts
    """(n, R) candidates removed by each of `RULES`."""

    @property
    def counts(self) -> Ids:
        """(n,) how many negatives each row has."""
        return np.asarray((self.ids >= 0).sum(1), np.int64)


def choose(pool: Pool, found: Candidates, config: MiningConfig) -> Chosen:
    """Choose the negatives that each row still needs among its candidates.

    Rules, then margins, then the window of ranks among the survivors, then the draw.
    """
    usable, removed = usable_candidates(pool, found, config)
    usable = below_margins(found, usable, removed, config)
    return pick(pool, found, in_window(usable, config), removed, config)


def usable_candidates(pool: Pool, found: Candidates, config: MiningConfig) -> tuple[Mask, Counts]:
    """Return the (n, k) mask of candidates that may be negatives, and what each rule removed.

    No score is looked at.
    """
    usable = found.ids >= 0
    removed = np.zeros((len(found.rows), len(RULES)), np.int32)
    for name, hits in _identities(pool, found, config):
        _remove(usable, removed, name, hits)
    return usable, removed


def _remove(usable: Mask, removed: Counts, name: str, hits: Mask) -> None:
    """Take the hits out of what is usable, and count those that were in it."""
    removed[:, RULES.index(name)] = (usable & hits).sum(1)
    usable &= ~hits


def _identities(pool: Pool, found: Candidates, config: MiningConfig) -> Iterator[tuple[str, Mask]]:
    """Yield the rules that compare integers, each with the (n, k) mask of what it removes."""
    rows, ids, groups = found.rows, found.ids, pool.groups
    known = pool.known.take(pool.questions[rows])
    text = groups.text[ids]

    def shared(group: Ids) -> Mask:
        return contained(group[ids], known.map(group))

    def own(group: Ids, values: Ids) -> Mask:
        return np.asarray((group[ids] == values[:, None]) & (values >= 0)[:, None])

    documents = pool.query_documents[rows]
    filters: dict[str, Callable[[], Mask]] = {
        "near_duplicate": lambda: shared(groups.near_duplicate),
        "same_document": lambda: (
            shared(groups.document)
            | own(groups.document, documents[:, 0])
            | own(groups.document, documents[:, 1])
        ),
        "same_title": lambda: shared(groups.title),
        "equals_query": lambda: own(groups.text, pool.query_texts[rows]),
        "translation": lambda: (
            shared(groups.translation) | own(groups.translation, pool.query_translations[rows])
        ),
    }
    yield "positive", contained(ids, known)
    yield "same_text", contained(text, known.map(groups.text))
    for name in FILTERS:
        if name in config.filters:
            yield name, filters[name]()
    yield "labelled_negative", contained(text, pool.negatives.take(rows).map(groups.text))
    alike = groups.near_duplicate if "near_duplicate" in config.filters else groups.text
    yield "repeated_text", repeats(np.where(ids >= 0, alike[ids], -1))


def repeats(groups: Ids) -> Mask:
    """Mark what already stands further left in its row."""
    order = np.argsort(groups, axis=1, kind="stable")
    sorted_groups = np.take_along_axis(groups, order, 1)
    again = np.zeros(groups.shape, np.bool_)
    again[:, 1:] = sorted_groups[:, 1:] == sorted_groups[:, :-1]
    result = np.empty_like(again)
    np.put_along_axis(result, order, again, 1)
    return result


def below_margins(found: Candidates, usable: Mask, removed: Counts, config: MiningConfig) -> Mask:
    """Return what of `usable` keeps the score bounds; count the rest in `removed`.

    The relative bound is s⁺ - (1 - ratio)·|s⁺|: ratio·s⁺ for positive scores, and still below a
    positive that scores negative.
    """
    usable = usable.copy()
    best = found.positive_scores[:, None].astype(np.float64)
    if config.max_score is not None:
        _remove(usable, removed, MARGINS[0], found.scores > config.max_score)
    if config.absolute_margin is not None:
        _remove(usable, removed, MARGINS[1], found.scores > best - config.absolute_margin)
    if config.max_positive_ratio:
        bound = best - (1 - config.max_positive_ratio) * np.abs(best)
        _remove(usable, removed, MARGINS[2], found.scores > bound)
    return usable


def in_window(usable: Mask, config: MiningConfig) -> Mask:
    """Return what of `usable` lies in the window of ranks among the survivors."""
    place = np.cumsum(usable, axis=1) - 1
    window = usable & (place >= config.first_rank)
    if config.last_rank:
        window &= place < config.last_rank
    return np.asarray(window)


def needed(pool: Pool, rows: Ids, config: MiningConfig) -> Ids:
    """Return how many negatives rows still need beside those that their data set names."""
    return np.maximum(0, config.negatives - pool.negatives.counts[rows])


def pick(
    pool: Pool, found: Candidates, usable: Mask, removed: Counts, config: MiningConfig
) -> Chosen:
    """Choose among usable candidates as `config.sampling` says; ranks ascend in the result."""
    width = usable.shape[1]
    order = np.where(usable, priorities(pool, found, config), np.inf)
    picked = np.argsort(order, axis=1, kind="stable")[:, : config.negatives]
    valid = np.take_along_axis(usable, picked, 1)
    valid &= np.arange(picked.shape[1]) < needed(pool, found.rows, config)[:, None]
    picked = np.sort(np.where(valid, picked, width), 1)
    missing = config.negatives - picked.shape[1]
    picked = np.pad(picked, ((0, 0), (0, missing)), constant_values=width)
    valid = picked < width
    chosen = found.at(np.minimum(picked, width - 1))
    return Chosen(
        ids=np.where(valid, chosen.ids, -1),
        ranks=np.where(valid, chosen.found_ranks, -1),
        scores=np.where(valid, chosen.scores, np.nan).astype(np.float32),
        survivors=np.asarray(usable.sum(1), np.int64),
        removed=removed,
    )
