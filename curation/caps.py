"""Limits that take counting over a whole corpus: generic titles, pairs of one host.

Both decide on thin keys, 24 bytes each, wherever these come from.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import xxhash

from curation.text import one_line

# One row per document: its title in its source, its text, its id.
TITLE_KEY = np.dtype([("title", "<u8"), ("text", "<u8"), ("id", "<u8")])
# One row per pair of a document with an address.
HOST_KEY = np.dtype([("host", "<u8"), ("pair", "<u8"), ("document", "<u8")])

Array = npt.NDArray[np.void]
Hashes = npt.NDArray[np.uint64]


def hash64(*texts: str) -> int:
    """Return the 64-bit hash of texts."""
    return xxhash.xxh3_64_intdigest("\x00".join(texts).encode("utf-8", "replace"))


def title_hash(source: str, title: str) -> int:
    """Return the hash under which a title meets its like in one source, case folded."""
    return hash64(source, one_line(title).casefold())


def host_of(url: str) -> str:
    """Return the host of an address without `www.`, "" where there is none."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # data may hold anything
        return ""
    return host.removeprefix("www.")


def generic_titles(rows: Array, limit: int) -> Hashes:
    """Return the titles of more than `limit` documents with different texts, sorted.

    Copies of one text count once, and so do versions of one document: the smaller of both counts.
    """
    titles = [np.unique(rows[["title", name]])["title"] for name in ("text", "id")]
    found, counts = np.unique(titles[0], return_counts=True)
    _, documents = np.unique(titles[1], return_counts=True)
    return found[np.minimum(counts, documents) > limit]


def over_cap(rows: Array, cap: int) -> Array:
    """Return the rows of pairs beyond the first `cap` of each host, in the order of their hash.

    A pair's hash is a digest of its texts, so the choice is a fair draw and always the same.
    """
    pairs = np.unique(rows[["host", "pair"]])
    _, first, counts = np.unique(pairs["host"], return_index=True, return_counts=True)
    rank = np.arange(len(pairs)) - np.repeat(first, counts)
    dropped = pairs[rank >= cap]
    return np.unique(rows[np.isin(rows[["host", "pair"]], dropped)])


def contains(rows: Array, pairs: Hashes, documents: Hashes) -> npt.NDArray[np.bool_]:
    """Tell for each (pair, document) whether it is among `rows`."""
    wanted = np.empty(len(pairs), [("pair", "<u8"), ("document", "<u8")])
    wanted["pair"], wanted["document"] = pairs, documents
    listed = np.empty(len(rows), wanted.dtype)
    listed["pair"], listed["document"] = rows["pair"], rows["document"]
    return np.isin(wanted, listed)
