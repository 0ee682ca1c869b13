"""Which of several equal records to keep. Decisions see thin keys only, never text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# One row per document: 28 bytes cross the shuffle.
THIN_KEY = np.dtype([("id", "<u8"), ("key", "<u8"), ("date", "<i4"), ("length", "<i8")])

Array = npt.NDArray[np.void]
Mask = npt.NDArray[np.bool_]


def older_versions(rows: Array) -> Array:
    """Return the rows to drop where one id has several contents: all but the newest.

    Kept is the latest date, then the longest text, then the largest key; the result is sorted by
    key, and rows with the kept key (exact copies, of any date) are left to the comparison of texts.
    """
    rows = np.unique(rows)
    order = np.lexsort((rows["key"], rows["length"], rows["date"], rows["id"]))
    rows = rows[order]
    ids, first = np.unique(rows["id"], return_index=True)
    last = np.append(first[1:], len(rows))[: len(ids)] - 1
    newest = rows["key"][last][np.searchsorted(ids, rows["id"])]
    return np.sort(rows[rows["key"] != newest], order=("key", "id"))


def contains(drops: Array, keys: npt.NDArray[np.uint64], ids: npt.NDArray[np.uint64]) -> Mask:
    """Tell for each (key, id) whether it is among `drops`."""
    pair = np.dtype([("key", "<u8"), ("id", "<u8")])
    wanted = np.empty(len(keys), pair)
    wanted["key"], wanted["id"] = keys, ids
    listed = np.empty(len(drops), pair)
    listed["key"], listed["id"] = drops["key"], drops["id"]
    return np.isin(wanted, listed)


def first_of_equals(
    groups: Sequence[bytes | str], ranks: Sequence[tuple[object, ...]]
) -> tuple[Mask, npt.NDArray[np.int64]]:
    """Choose one row of each run of equal neighbours in `groups`: the one of the smallest rank.

    Returns (kept, winner): a mask, and for each row the index of the row kept in its stead.
    """
    kept = np.ones(len(groups), np.bool_)
    winner = np.arange(len(groups))
    start = 0
    for end in range(1, len(groups) + 1):
        if end < len(groups) and groups[end] == groups[start]:
            continue
        if end - start > 1:
            best = min(range(start, end), key=lambda i: ranks[i])
            kept[start:end] = False
            kept[best] = True
            winner[start:end] = best
        start = end
    return kept, winner
