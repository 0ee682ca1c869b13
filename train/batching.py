"""Which rows make a batch, and which texts are encoded together.

Rows lie in shards sorted by length inside a bucket. A batch is drawn from a block of
neighbours, so its texts have near-equal lengths, and blocks are shuffled inside, so its rows
change from epoch to epoch. Everything follows from (seed, epoch): a stopped run finds its
place again by counting. No row is dropped: a bucket's rows are dealt out evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Batches per block: neighbours enough to mix, few enough to stay of one length.
BLOCK_BATCHES = 16

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shard:
    """A Parquet file of rows of one length bucket."""

    path: str
    bucket: int
    rows: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one bucket: `rows` index the bucket's shards laid end to end, ascending."""

    bucket: int
    rows: Indices


def plan_epoch(
    shards: Sequence[Shard], batch_sizes: Sequence[int], seed: int, epoch: int
) -> list[Batch]:
    """Return the batches of an epoch in their order; every row is in exactly one."""
    generator = np.random.default_rng([seed, epoch])
    batches: list[Batch] = []
    for bucket, size in enumerate(batch_sizes):
        count = sum(shard.rows for shard in shards if shard.bucket == bucket)
        for block in _blocks(count, size * BLOCK_BATCHES):
            shuffled = generator.permutation(block)
            pieces = np.array_split(shuffled, -(-len(block) // size))
            batches.extend(Batch(bucket, np.sort(piece)) for piece in pieces)
    order = generator.permutation(len(batches))
    return [batches[i] for i in order]


def _blocks(count: int, size: int) -> list[Indices]:
    """Cut 0..count-1 into consecutive blocks of at most `size`, of equal length to one row."""
    if not count:
        return []
    return list(np.array_split(np.arange(count), -(-count // size)))


def token_batches(lengths: Sequence[int], budget: int) -> list[Indices]:
    """Group texts by length so that a group, padded, holds at most `budget` tokens.

    The longest come first, so that running out of memory shows at once. A text longer than the
    budget is a group of its own.
    """
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    groups: list[Indices] = []
    start = 0
    while start < len(order):
        longest = max(1, lengths[order[start]])
        end = start + max(1, budget // longest)
        groups.append(order[start:end])
        start = end
    return groups
