"""A shuffled order that is computed, not stored: place i of n in constant memory and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_ROUNDS = 6
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Shuffle:
    """A permutation of 0..size-1 that follows from a seed.

    A Feistel network permutes the numbers of an even number of bits; a number beyond `size` is
    permuted again until it is one below (cycle walking), 4 times at most on average. An epoch of
    1.2 billion rows has 25 million batches: their order as an array would take 200 MB.
    """

    size: int
    bits: int
    keys: tuple[int, ...]

    @classmethod
    def of(cls, size: int, seed: Sequence[int]) -> Shuffle:
        """Return the permutation of a seed: a list of integers."""
        bits = max(1, -(-max(1, size - 1).bit_length() // 2))
        keys = np.random.default_rng(list(seed)).integers(0, 1 << 63, _ROUNDS)
        return cls(size, bits, tuple(int(key) for key in keys))

    def __getitem__(self, place: int) -> int:
        if not 0 <= place < self.size:
            raise IndexError(f"place {place} of {self.size}")
        place = self._permuted(place)
        while place >= self.size:
            place = self._permuted(place)
        return place

    def _permuted(self, number: int) -> int:
        half = (1 << self.bits) - 1
        left, right = number >> self.bits, number & half
        for key in self.keys:
            left, right = right, left ^ (mixed(right ^ key) & half)
        return left << self.bits | right


def mixed(number: int) -> int:
    """Return 64 well-mixed bits of a number (the finalizer of SplitMix64)."""
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _MASK
    return number ^ number >> 31
