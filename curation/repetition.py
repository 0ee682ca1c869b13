"""How much of a text it says more than once, after Gopher (Rae et al. 2021, appendix A)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.characters import Hashes
from curation.words import Ints, Words

TOP_SIZES = (2, 3, 4)
DUPLICATE_SIZES = (5, 6, 7, 8, 9, 10)
_SALT = np.uint64(0xA24BAED4963EE407)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Repeats:
    """Rows whose value occurs again in their text: grouped by value, ascending in a group."""

    rows: Ints
    is_first: npt.NDArray[np.bool_]
    """Marks the first row of each group."""

    @property
    def again(self) -> Ints:
        """The rows that repeat an earlier one."""
        return self.rows[~self.is_first]


def find_repeats(hashes: Hashes, texts: Ints) -> Repeats:
    """Return the rows that share their hash with another row of the same text."""
    salted = hashes + texts.astype(np.uint64) * _SALT  # what two texts share is no repeat
    order = np.argsort(salted)
    ranked = salted[order]
    same = ranked[1:] == ranked[:-1]
    member = np.zeros(len(salted), np.bool_)
    member[1:] |= same
    member[:-1] |= same
    rows = np.sort(order[member])
    rows = rows[np.argsort(salted[rows], kind="stable")]
    ranked, owners = salted[rows], texts[rows]
    is_first = np.ones(len(rows), np.bool_)
    is_first[1:] = (ranked[1:] != ranked[:-1]) | (owners[1:] != owners[:-1])
    return Repeats(rows, is_first)


def repeated_shares(words: Words) -> dict[str, Floats]:
    """Return the shares of each text's word characters in its n-grams that occur again.

    `top_Ngram_share`: the n-gram of three or more occurrences that hold most, all together.
    `duplicate_Ngram_share`: characters of all n-grams that stood there before, none twice.
    A longer n-gram occurs again only where a shorter one does: each size sorts what is left.
    """
    lengths = words.ends - words.starts
    before = np.concatenate([[0], np.cumsum(lengths)])
    totals = np.maximum(1, before[words.borders[1:]] - before[words.borders[:-1]])
    rows = np.arange(len(words.starts))
    shares = {}
    for n in range(TOP_SIZES[0], DUPLICATE_SIZES[-1] + 1):
        rows = rows[words.fits(rows, n)]
        repeats = find_repeats(words.ngrams(rows, n), words.texts[rows])
        found = Repeats(rows[repeats.rows], repeats.is_first)
        if n in TOP_SIZES:
            shares[f"top_{n}gram_share"] = np.minimum(1.0, _top(found, n, before, words) / totals)
        else:
            shares[f"duplicate_{n}gram_share"] = _covered(found.again, n, lengths, words) / totals
        rows = np.sort(found.rows)
    return shares


def _top(repeats: Repeats, n: int, before: Ints, words: Words) -> Ints:
    """Return the most characters that all occurrences of one n-gram of a text hold."""
    best = np.zeros(words.count, np.int64)
    starts = np.flatnonzero(repeats.is_first)
    counts = np.diff(np.append(starts, len(repeats.rows)))
    rows = repeats.rows[starts]
    held = (before[rows + n] - before[rows]) * counts
    np.maximum.at(best, words.texts[rows], np.where(counts > 2, held, 0))
    return best


def _covered(rows: Ints, n: int, lengths: Ints, words: Words) -> npt.NDArray[Any]:
    """Return the characters of the words that n-grams beginning at `rows` cover."""
    covered = np.zeros(len(lengths), np.bool_)
    covered[(rows[:, None] + np.arange(n)).ravel()] = True
    found = np.flatnonzero(covered)
    return np.bincount(words.texts[found], lengths[found], words.count)
