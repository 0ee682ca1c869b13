"""From shared bands to clusters of near duplicates, by steps that each see one shard of thin keys.

A text is known by its 64-bit key. No step needs all texts, edges or clusters in one place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from curation.minhash import Mask
from curation.shingles import U64

# 14 of them a document: 168 bytes. The bits of a band's hash that chose the shard are not repeated.
BAND = np.dtype([("band", "<u4"), ("key", "<u8")])
EDGE = np.dtype([("low", "<u8"), ("high", "<u8")])
LINK = np.dtype([("node", "<u8"), ("member", "<u8")])

Rows = npt.NDArray[np.void]


def shard_of(values: U64, shards: int) -> npt.NDArray[np.int64]:
    """Return in which of `shards` equal ranges of the 64-bit numbers each value lies."""
    return ((values >> np.uint64(32)) * np.uint64(shards) >> np.uint64(32)).astype(np.int64)


def shard_range(shard: int, shards: int) -> tuple[int, int]:
    """Return the smallest and the largest value of a shard."""
    low, above = (-(-(edge << 32) // shards) << 32 for edge in (shard, shard + 1))
    return low, above - 1


def shard_count(input_bytes: int) -> int:
    """Return how many shards an input of so many (mostly compressed) bytes is decided in.

    The number changes no result. A shard of 16 MB holds the thin keys, edges and candidates'
    n-grams of some 30,000 documents.
    """
    return max(4, min(4096, input_bytes >> 24))


def rows_of(dtype: np.dtype[np.void], *columns: npt.NDArray[np.generic]) -> Rows:
    """Return a structured array of columns."""
    rows = np.empty(len(columns[0]), dtype)
    for name, column in zip(dtype.names or (), columns, strict=True):
        rows[name] = column
    return rows


def sorted_rows(rows: Rows) -> Rows:
    """Return distinct rows of two columns in the order of the first, then the second."""
    first, second = rows.dtype.names or ()
    rows = rows[np.lexsort((rows[second], rows[first]))]
    return rows[_groups(rows[first])[0] | _groups(rows[second])[0]]


def _groups(values: npt.NDArray[Any]) -> tuple[Mask, npt.NDArray[np.int64]]:
    """Mark where a run of equal neighbours begins; return also each row's place of beginning."""
    begins = np.ones(len(values), np.bool_)
    begins[1:] = values[1:] != values[:-1]
    return begins, np.maximum.accumulate(np.where(begins, np.arange(len(values)), 0))


def candidate_edges(rows: Rows) -> Rows:
    """Return the `EDGE`s to verify among `BAND` rows: of each bucket, with its smallest and next.

    Of a bucket of three texts these are all pairs; of a larger one two a text, however large it
    is. Texts of a cluster share several bands, so it stays connected where one pair fails.
    """
    rows = sorted_rows(rows[_repeated(rows["band"])])
    begins, first = _groups(rows["band"])
    later = np.flatnonzero(~begins)
    low = np.concatenate([rows["key"][first[later]], rows["key"][later - 1]])
    high = np.concatenate([rows["key"][later]] * 2)
    return sorted_rows(rows_of(EDGE, low, high))


def _repeated(values: npt.NDArray[np.uint32]) -> Mask:
    """Mark the values that occur more than once: few do, and only these need the slow sort."""
    ordered = np.sort(values)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    place = np.searchsorted(repeated, values)
    return np.append(repeated, 0)[place] == values if len(repeated) else np.zeros(len(values), bool)


def links_of(edges: Rows) -> Rows:
    """Return `LINK`s in both directions."""
    low, high = edges["low"], edges["high"]
    return rows_of(LINK, np.concatenate([low, high]), np.concatenate([high, low]))


def hash_to_min(links: Rows) -> Rows:
    """Do one round of Hash-to-Min (Rastogi et al. 2013): all rows of a node must be in `links`.

    A node with its known members tells the smallest of them about all, and all about the
    smallest. In the end the smallest of each cluster knows all, and each other only the smallest.
    """
    links, smallest, _ = _with_smallest(links)
    pairs = rows_of(LINK, smallest, links["member"])
    nodes = rows_of(LINK, smallest, links["node"])
    both = np.concatenate([pairs, nodes])
    both = both[both["node"] != both["member"]]
    back = rows_of(LINK, both["member"], both["node"])
    return sorted_rows(np.concatenate([both, back]))


def centers(links: Rows) -> tuple[Rows, int]:
    """Return (node, center) for the nodes of a shard, and how many have not settled yet."""
    links, smallest, begins = _with_smallest(links)
    nodes, center = links["node"][begins], smallest[begins]
    counts = np.diff(np.append(np.flatnonzero(begins), len(links)))
    settled = (nodes == center) | (counts == 1)
    return rows_of(LINK, nodes, center), int(np.count_nonzero(~settled))


def _with_smallest(links: Rows) -> tuple[Rows, U64, Mask]:
    """Sort links; return them, each row's smallest of node and members, and where nodes begin."""
    links = sorted_rows(links)
    begins, first = _groups(links["node"])
    return links, np.minimum(links["member"][first], links["node"]), begins
