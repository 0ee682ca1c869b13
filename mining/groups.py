"""What passages have in common, as integers: equal text, near duplicates, document, title.

Two passages are of one group where they have an equal number; -1 is of no group.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xxhash

from curation.clusters import BAND, candidate_edges, rows_of, sorted_rows
from curation.minhash import NearDuplicateConfig, as_sets, band_hashes, jaccard
from curation.shingles import Shingles
from mining.lists import Ids
from mining.texts import Texts

Keys = npt.NDArray[np.uint64]

_BATCH = 4096  # texts, or pairs of texts, whose n-grams are held at once
_ROWS = ((0.75, 8), (0.6, 6), (0.5, 5), (0.0, 3))
_EMPTY = xxhash.xxh3_64_intdigest(b"")


def folded(text: str) -> str:
    """Return a text after folding case and white space."""
    return " ".join(text.casefold().split())


def text_keys(texts: Texts, *, fold: bool) -> Keys:
    """Return a 64-bit hash of each text; of 5 million distinct ones two collide once in 10^6."""
    keys = np.empty(len(texts), np.uint64)
    for start in range(0, len(texts), _BATCH):
        batch = texts[start : start + _BATCH]
        keys[start : start + len(batch)] = [_key(t, fold=fold) for t in batch]
    return keys


def _key(text: str, *, fold: bool) -> int:
    named = folded(text) if fold else text
    return xxhash.xxh3_64_intdigest(named.encode("utf-8", "surrogatepass"))


def name_keys(names: Texts) -> Keys:
    """Return a hash of each name, equal but for case and white space; 0 for an empty one."""
    keys = text_keys(names, fold=True)
    keys[keys == _EMPTY] = 0
    return keys


def numbered(keys: Keys) -> Ids:
    """Return a number per distinct key, -1 for the key 0."""
    known, numbers = np.unique(keys, return_inverse=True)
    return numbers.reshape(keys.shape).astype(np.int64) - int(0 in known[:1])


def looked_up(keys: Keys, known: Keys, values: Ids) -> Ids:
    """Return the value of each key; `known` is sorted; -1 for a key that is not known."""
    if not len(known):
        return np.full(len(keys), -1, np.int64)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[place] == keys, values[place], -1)


def connected(count: int, left: Ids, right: Ids) -> Ids:
    """Return the smallest member of each node's component, given edges between `count` nodes.

    Labels fall to the smaller of an edge's ends, then along pointers (Shiloach and Vishkin 1982),
    so a chain of n nodes takes about log n rounds.
    """
    labels = np.arange(count)
    while True:
        before = labels.copy()
        low = np.minimum(labels[left], labels[right])
        np.minimum.at(labels, before[left], low)
        np.minimum.at(labels, before[right], low)
        while not np.array_equal(labels, labels[labels]):
            labels = labels[labels]
        if np.array_equal(labels, before):
            return labels


def near_duplicates(texts: Texts, threshold: float, known: Ids) -> Ids:
    """Return a cluster for each text: `known` (N,) groups, joined where texts are near duplicates.

    Candidates share a MinHash band; those of true Jaccard similarity `threshold` are joined. Of
    equal groups one text is compared. Raises `ConfigError` for a threshold outside 0 .. 1.
    """
    config = NearDuplicateConfig(threshold=threshold, rows=_rows_a_band(threshold))
    distinct, first = np.unique(known, return_index=True)
    hashes, keys = _bands(texts, first, config)
    edges = sorted_rows(
        np.concatenate([candidate_edges(rows_of(BAND, band, keys)) for band in hashes.T])
    )
    left, right = edges["low"].astype(np.int64), edges["high"].astype(np.int64)
    alike = _similar(texts, first, left, right, config)
    joined = connected(len(first), left[alike], right[alike])
    return distinct[joined][np.searchsorted(distinct, known)]


def _bands(
    texts: Texts, numbers: Ids, config: NearDuplicateConfig
) -> tuple[npt.NDArray[np.uint32], Keys]:
    """Return (m, bands) hashes of the texts that have n-grams, and places (m,) in `numbers`."""
    hashes, keys = [np.empty((0, config.bands), np.uint32)], [np.empty(0, np.uint64)]
    for start in range(0, len(numbers), _BATCH):
        chosen = texts.take(numbers[start : start + _BATCH])
        found, has_any = band_hashes(config.shingle(chosen), config)
        hashes.append(_short(found))
        keys.append(np.flatnonzero(has_any).astype(np.uint64) + np.uint64(start))
    return np.concatenate(hashes), np.concatenate(keys)


def _rows_a_band(threshold: float) -> int:
    """Return the rows of a MinHash band that find pairs of this similarity (benchmarks)."""
    return next(rows for least, rows in _ROWS if threshold >= least)


def _short(hashes: Keys) -> npt.NDArray[np.uint32]:
    """Return 32 bits of each hash: what collides is told apart by the true similarity."""
    return (hashes >> np.uint64(32)).astype(np.uint32)


def _similar(
    texts: Texts, first: Ids, left: Ids, right: Ids, config: NearDuplicateConfig
) -> npt.NDArray[np.bool_]:
    """Return which candidate pairs reach the threshold, their n-grams held in batches."""
    alike = np.zeros(len(left), np.bool_)
    for start in range(0, len(left), _BATCH):
        pairs = slice(start, start + _BATCH)
        used, places = np.unique(np.concatenate([left[pairs], right[pairs]]), return_inverse=True)
        shingles: Shingles = as_sets(config.shingle(texts.take(first[used])))
        both = places.reshape(2, -1)
        alike[pairs] = jaccard(shingles, both[0], both[1]) >= config.threshold
    return alike
