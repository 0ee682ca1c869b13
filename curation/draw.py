"""Draws by hash: the same for any order, split or number of workers.

Each purpose has a hash of its own, so that drawing documents for one thing says nothing
about another (documents sampled from a source must not all fall among the held-out ones).
"""

from __future__ import annotations

import xxhash

_SPACE = 2.0**64


def rank(identity: str, purpose: str, seed: int = 0) -> int:
    """Return the place of an id in a draw: a uniform 64-bit number; the smallest are drawn."""
    return xxhash.xxh3_64_intdigest(f"{purpose}\0{identity}".encode("utf-8", "replace"), seed=seed)


def is_drawn(identity: str, purpose: str, share: float, seed: int = 0) -> bool:
    """Tell whether an id is among the share (0..1) that is drawn."""
    return rank(identity, purpose, seed) < share * _SPACE
