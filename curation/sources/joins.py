"""Joining large files by id in bounded memory: a block of ids at a time, the texts read again.

A judgement or link is two ids; the texts lie in other files, which may be larger than memory.
Per block of `BLOCK` judgements only the texts that it names are held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

BLOCK = 200_000
"""At a kilobyte a text about 0.5 GB; MS MARCO's 532,761 judgements take three readings."""

T = TypeVar("T")


def blocks(items: Iterable[T], size: int = BLOCK) -> Iterator[list[T]]:
    """Yield the items in lists of `size`, the last one shorter."""
    held: list[T] = []
    for item in items:
        held.append(item)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held
