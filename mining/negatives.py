"""Candidates → hard negatives: masks and choices on integer ids, every removal counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mining.config import MiningConfig
from mining.encode import Vectors
from mining.index import Ids

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the search found for Q queries, and what is known of the passages."""

    ids: Ids
    """(Q, k) passage numbers, best first."""
    scores: Vectors
    """(Q, k) their scores."""
    positive: Ids
    """(Q,) the passage number of each query's positive."""
    positive_scores: Vectors
    """(Q,) its score."""
    text_groups: Ids
    """(P,) equal for passages of equal text."""
    document_groups: Ids
    """(P,) equal for passages of one document; -1 where there is none."""
    query_groups: Ids
    """(Q,) text group of the query's own text, -1 where no passage equals it."""
    known: list[frozenset[int]]
    """Per query the text groups of all positives of the same query text."""
    listed: list[frozenset[int]] = field(default_factory=list)
    """Per query the text groups of the negatives that its row names already; empty: none does."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The negatives of Q queries; rows are padded with -1."""

    ids: Ids
    ranks: Ids
    scores: Vectors
    removed: Counter[str]


def mask_candidates(found: Candidates, max_positive_ratio: float) -> tuple[Mask, Counter[str]]:
    """Return the (Q, k) mask of usable negatives, and how many each rule removed.

    A candidate is removed when it is a positive of this query's text, shares the positive's
    document, equals the query, repeats a better candidate's text, or scores too close to the
    positive: above s⁺ - (1 - ratio)·|s⁺|, which is ratio·s⁺ for positive scores and stays a
    lower bound for negative ones.
    """
    groups = found.text_groups[found.ids]
    documents = found.document_groups[found.ids]
    own_document = found.document_groups[found.positive][:, None]
    margin = (1 - max_positive_ratio) * np.abs(found.positive_scores)
    limit = (found.positive_scores - margin)[:, None]
    rules = {
        "positive": _is_known(groups, found.known),
        "same_document": (documents == own_document) & (own_document >= 0),
        "equals_query": groups == found.query_groups[:, None],
        "repeated_text": _repeats(groups),
        "too_close_to_positive": found.scores > limit,
    }
    if found.listed:
        rules["labelled_negative"] = _is_known(groups, found.listed)
    usable = found.ids >= 0  # an approximate index may find fewer than were asked for
    removed: Counter[str] = Counter()
    for name, hit in rules.items():
        removed[name] = int((usable & hit).sum())
        usable &= ~hit
    return usable, removed


def _is_known(groups: Ids, known: list[frozenset[int]]) -> Mask:
    width = max((len(row) for row in known), default=0)
    padded = np.array([[*row, *[-1] * (width - len(row))] for row in known], np.int64)
    known_group: Mask = (groups[:, :, None] == padded[:, None, :]).any(-1)
    return known_group


def _repeats(groups: Ids) -> Mask:
    """Mark candidates whose text already stands further left in their row."""
    order = np.argsort(groups, axis=1, kind="stable")
    ordered = np.take_along_axis(groups, order, 1)
    again = np.zeros(groups.shape, np.bool_)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    result = np.empty_like(again)
    np.put_along_axis(result, order, again, 1)
    return result


def choose(found: Candidates, config: MiningConfig) -> Chosen:
    """Choose up to `config.negatives` per query among the usable candidates.

    "top" takes the best after skipping `first_rank`; "random" draws among all with a
    generator seeded by the config. Queries with fewer keep what they have, and are counted.
    """
    usable, removed = mask_candidates(found, config.max_positive_ratio)
    position = np.cumsum(usable, axis=1) - 1
    usable &= position >= config.first_rank
    priority = np.broadcast_to(np.arange(usable.shape[1], dtype=np.float64), usable.shape)
    if config.sampling == "random":
        priority = np.random.default_rng(config.seed).random(usable.shape)
    priority = np.where(usable, priority, np.inf)
    picked = np.argsort(priority, axis=1, kind="stable")[:, : config.negatives]
    picked = np.sort(np.where(np.take_along_axis(usable, picked, 1), picked, usable.shape[1]), 1)
    valid = picked < usable.shape[1]
    columns = np.minimum(picked, usable.shape[1] - 1)
    removed["starved"] = int((valid.sum(1) < config.negatives).sum())
    return Chosen(
        ids=np.where(valid, np.take_along_axis(found.ids, columns, 1), -1),
        ranks=np.where(valid, columns, -1),
        scores=np.where(valid, np.take_along_axis(found.scores, columns, 1), np.nan).astype(
            np.float32
        ),
        removed=removed,
    )
