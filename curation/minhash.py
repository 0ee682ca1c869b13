"""MinHash signatures and bands of texts, and the true Jaccard similarity of candidates.

Texts whose n-gram sets have Jaccard similarity J share a band of `rows` minima with probability
J**rows, and one of `bands` bands with 1 - (1 - J**rows)**bands (Broder 1997; Leskovec, Rajaraman,
Ullman, Mining of Massive Datasets, section 3.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import xxhash

from curation.errors import check_range
from curation.shingles import U64, Shingles, mix, shingle

U32 = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]

_CHUNK = 1 << 16  # n-grams a pass: 256 KB
_HALF = np.uint64(32)
_FOLD = np.uint64(0x9FB21C651E98DF25)


@dataclass(frozen=True, kw_only=True, slots=True)
class NearDuplicateConfig:
    """The `[curation.near_duplicates]` table."""

    enabled: bool = True
    """Look for near-duplicate documents and keep one of each cluster."""
    threshold: float = 0.75
    """Documents are near duplicates from this Jaccard similarity of their n-gram sets."""
    ngram: int = 5
    """Words an n-gram."""
    character_ngram: int = 5
    """Ideographs or kana an n-gram, in texts without spaces; twice as many letters of Thai."""
    bands: int = 14
    """Bands of a signature; two documents are compared when they share one."""
    rows: int = 8
    """Minima a band."""
    seed: int = 0
    """Of the permutations."""

    def __post_init__(self) -> None:
        check_range("curation.near_duplicates.threshold", self.threshold, 0.0, 1.0)
        check_range("curation.near_duplicates.ngram", self.ngram, 1, 64)
        check_range("curation.near_duplicates.character_ngram", self.character_ngram, 1, 64)
        check_range("curation.near_duplicates.bands", self.bands, 1, 64)
        check_range("curation.near_duplicates.rows", self.rows, 1, 64)
        check_range("curation.near_duplicates.seed", self.seed, 0, 2**63)

    def shingle(self, texts: Sequence[str]) -> Shingles:
        """Return the n-grams of texts."""
        return shingle(texts, self.ngram, self.character_ngram)


def band_hashes(shingles: Shingles, config: NearDuplicateConfig) -> tuple[U64, Mask]:
    """Return one hash a band for each text that has an n-gram, and which texts these are.

    Bands have different hashes for equal minima: a hash belongs to one band.
    """
    has_any = np.diff(shingles.offsets) > 0
    minima = signatures(shingles, config.bands * config.rows, config.seed)
    return fold_bands(minima[has_any], config.bands), has_any


def signatures(shingles: Shingles, permutations: int, seed: int) -> U32:
    """Return the minima of n-grams under permutations, (texts, permutations); no n-gram: all ones.

    A permutation of 32-bit values is x → a·x + b modulo 2**32 with a odd: one vector instruction
    each. On 250-word texts 5x the rate of 64-bit multiply-shift, at the same error (0.03 with 112).
    """
    counts = np.diff(shingles.offsets)
    minima = np.full((permutations, len(counts)), 0xFFFFFFFF, np.uint32)
    values = (shingles.hashes >> _HALF).astype(np.uint32)
    factors, terms = _permutations(permutations, seed)
    filled = np.flatnonzero(counts)
    for texts in _chunks(filled, shingles.offsets):
        low, high = shingles.offsets[texts[0]], shingles.offsets[texts[-1] + 1]
        chunk, starts = values[low:high], shingles.offsets[texts] - low
        hashed = np.empty_like(chunk)
        for number in range(permutations):
            np.multiply(chunk, factors[number], out=hashed)
            np.add(hashed, terms[number], out=hashed)
            minima[number, texts] = np.minimum.reduceat(hashed, starts)
    return np.ascontiguousarray(minima.T)


def _chunks(
    filled: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64]
) -> list[npt.NDArray[np.int64]]:
    """Cut the texts that have n-grams where about every `_CHUNK` n-grams end."""
    chunk = offsets[filled] // _CHUNK
    pieces = np.split(filled, np.flatnonzero(np.diff(chunk)) + 1)
    return [piece for piece in pieces if len(piece)]


@cache
def _permutations(count: int, seed: int) -> tuple[U32, U32]:
    """Return factors (odd) and terms, from a hash so that no library's generator decides."""
    drawn = [xxhash.xxh3_64_intdigest(f"minhash {i}".encode(), seed=seed) for i in range(count)]
    both = np.array(drawn, np.uint64)
    factors = (both >> _HALF).astype(np.uint32) | np.uint32(1)
    return factors, both.astype(np.uint32)


def fold_bands(minima: U32, bands: int) -> U64:
    """Return one 64-bit hash for each band of consecutive minima, (texts, bands)."""
    texts, count = minima.shape
    cells = minima.reshape(texts, bands, count // bands).astype(np.uint64)
    folded = np.broadcast_to(mix(np.arange(1, bands + 1, dtype=np.uint64)), (texts, bands)).copy()
    for row in range(cells.shape[2]):
        folded = (folded ^ cells[:, :, row]) * _FOLD
        folded ^= folded >> np.uint64(29)
    return mix(folded)


def jaccard(
    shingles: Shingles, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return the Jaccard similarities of the n-gram sets of texts `left[i]` and `right[i]`.

    The texts of `shingles` must be sets: sorted, without repetition (see `as_sets`).
    """
    sizes = np.diff(shingles.offsets)
    similarity = np.zeros(len(left))
    volume = np.cumsum(sizes[left] + sizes[right])
    for pairs in np.split(np.arange(len(left)), np.flatnonzero(np.diff(volume // (1 << 21))) + 1):
        if len(pairs):
            shared = _shared(shingles, left[pairs], right[pairs])
            union = sizes[left[pairs]] + sizes[right[pairs]] - shared
            similarity[pairs] = shared / np.maximum(union, 1)
    return similarity


def _shared(
    shingles: Shingles, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Count the n-grams that the texts of each pair share: they lie twice among both's, sorted."""
    both = np.concatenate([_laid_out(shingles, left), _laid_out(shingles, right)])
    both.sort()  # of packed values, not of places: ten times the rate of an argsort
    pairs = (both[1:][both[1:] == both[:-1]] >> _HALF).astype(np.int64)
    return np.bincount(pairs, minlength=len(left))


def _laid_out(shingles: Shingles, texts: npt.NDArray[np.int64]) -> U64:
    """Return (position in `texts`, n-gram) in one value each, for all n-grams of these texts."""
    sizes = np.diff(shingles.offsets)[texts]
    owner = np.repeat(np.arange(len(texts)), sizes)
    first = np.cumsum(sizes) - sizes
    place = np.arange(len(owner)) + (shingles.offsets[texts] - first)[owner]
    packed: U64 = (owner.astype(np.uint64) << _HALF) | shingles.hashes[place]
    return packed


def as_sets(shingles: Shingles) -> Shingles:
    """Return the n-grams of each text as a sorted set of 32-bit values (held in 64).

    In 32 bits two different n-grams of a pair of texts of n n-grams each coincide n**2 / 2**32
    times: once in 43 pairs of texts of 10,000.
    """
    texts = len(shingles.offsets) - 1
    owner = np.repeat(np.arange(texts, dtype=np.uint64), np.diff(shingles.offsets))
    packed = sorted_unique((owner << _HALF) | (shingles.hashes >> _HALF))
    counts = np.bincount((packed >> _HALF).astype(np.int64), minlength=texts)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Shingles(packed & np.uint64(0xFFFFFFFF), offsets)


def sorted_unique(values: U64) -> U64:
    """Return the distinct values in order; numpy 2.4's hash table took 20 times as long here."""
    values = np.sort(values)
    return values[np.concatenate([[True], values[1:] != values[:-1]])] if len(values) else values
