"""In which order usable candidates are chosen; draws depend on the row and the passage alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curation.shingles import mix
from mining.config import MiningConfig
from mining.lists import Ids

if TYPE_CHECKING:
    from mining.negatives import Candidates
    from mining.pool import Pool

Priorities = npt.NDArray[np.float64]

_STEP = np.uint64(0x9E3779B97F4A7C15)


def priorities(pool: Pool, found: Candidates, config: MiningConfig) -> Priorities:
    """Return the (n, k) priorities of candidates: the smallest are chosen.

    top: the place. random: a uniform number. simans: of weights w = exp(-a (s - s⁺ - b)²) the
    smallest of -log(u) / w are a draw without replacement with probabilities ~ w (Efraimidis and
    Spirakis 2006); taken as logarithms, since w underflows.
    """
    if config.sampling == "top":
        places = np.arange(found.ids.shape[1], dtype=np.float64)
        return np.broadcast_to(places, found.ids.shape)
    drawn = uniform(pool, found.rows, found.ids, config.seed)
    if config.sampling == "random":
        return drawn
    distance = found.scores.astype(np.float64) - found.positive_scores[:, None] - config.simans_b
    found_order: Priorities = np.log(-np.log(drawn)) + config.simans_a * distance**2
    return found_order


def uniform(pool: Pool, rows: Ids, ids: Ids, seed: int) -> Priorities:
    """Return a number in (0, 1) for each row (n,) and passage (n, k), from hashes of both.

    Neither the batch, the order of the pool nor the depth of the search plays a part.
    """
    own = mix(pool.row_keys[rows] + mix(np.array([seed], np.uint64) + _STEP))
    hashed = mix(own[:, None] ^ mix(pool.passage_keys[ids] + _STEP))
    drawn: Priorities = ((hashed >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return drawn


def draw_passages(pool: Pool, rows: Ids, members: Ids, count: int, seed: int) -> Ids:
    """Return (n, count) of the passages `members`, drawn for each row; all where they are fewer."""
    if len(members) <= count:
        return np.broadcast_to(members, (len(rows), len(members)))
    own = mix(pool.row_keys[rows] + mix(np.array([seed], np.uint64) + _STEP))
    hashed = mix(own[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _STEP)
    place = (hashed >> np.uint64(32)) * np.uint64(len(members)) >> np.uint64(32)
    return members[place.astype(np.int64)]
