"""A set of keys with a number each, in 24 bytes a key: what is known of millions of requests."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_RECENT = 1 << 15  # keys in a dict (3 MB) before they are merged into the arrays


def digest(key: str) -> bytes:
    """Return the 16 bytes that stand for a key: two of 10^9 keys meet with p = 10^-21."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class KeyIndex:
    """Digest → number (0 or more); the last number of a digest counts."""

    def __init__(self) -> None:
        self._recent: dict[bytes, int] = {}
        self._high: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._low: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._numbers: NDArray[np.int64] = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._numbers) + len(self._recent)

    def add(self, key: bytes, number: int) -> None:
        """Set the number of a digest."""
        place = self._place(key)
        if place >= 0:
            self._numbers[place] = number
            return
        self._recent[key] = number
        if len(self._recent) >= _RECENT:
            self._merge()

    def get(self, key: bytes) -> int:
        """Return the number of a digest, -1 where it is unknown."""
        number = self._recent.get(key, -1)
        if number >= 0:
            return number
        place = self._place(key)
        return int(self._numbers[place]) if place >= 0 else -1

    def _place(self, key: bytes) -> int:
        """Return where the arrays hold a digest, -1 for nowhere."""
        if not len(self._numbers):
            return -1
        high = np.uint64(int.from_bytes(key[:8], "big"))
        low = int.from_bytes(key[8:], "big")
        place = int(self._high.searchsorted(high))
        while place < len(self._high) and self._high[place] == high:
            if int(self._low[place]) == low:
                return place
            place += 1
        return -1

    def _merge(self) -> None:
        """Move what is recent into the arrays, one after the other: memory peaks at one more."""
        words = np.frombuffer(b"".join(self._recent), ">u8").astype(np.uint64).reshape(-1, 2)
        numbers = np.fromiter(self._recent.values(), np.int64, len(self._recent))
        order = np.argsort(words[:, 0])
        words, numbers = words[order], numbers[order]
        places = self._high.searchsorted(words[:, 0])
        self._high = np.insert(self._high, places, words[:, 0])
        self._low = np.insert(self._low, places, words[:, 1])
        self._numbers = np.insert(self._numbers, places, numbers)
        self._recent = {}
