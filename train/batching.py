"""Which rows make a batch, and which texts are encoded together.

A batch is drawn from a block of neighbours of one stream (train.streams), so its texts have
near-equal lengths, and blocks are shuffled inside, so its rows change from epoch to epoch. All
processes take their share of the same batch, so they have the same bucket and as many steps.
Everything follows from (seed, epoch, processes) and is computed on demand: a stopped run finds its
place by counting, and a plan of any number of rows takes the memory of its shards' names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from train.shuffle import Shuffle
from train.streams import Stream

# Batches per block: neighbours enough to mix, few enough to stay of one length.
BLOCK_BATCHES = 16

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """One process's rows of a batch: `rows` are places in the stream, ascending."""

    epoch: int
    stream: int
    bucket: int
    rows: Indices


@dataclass(frozen=True, slots=True)
class Cut:
    """`rows` cut into `pieces` of equal length to one row, the longer ones first."""

    rows: int
    pieces: int

    def span(self, piece: int) -> tuple[int, int]:
        """Return where a piece begins and ends."""
        length, longer = divmod(self.rows, self.pieces)
        start = piece * length + min(piece, longer)
        return start, start + length + (piece < longer)


@dataclass(frozen=True, slots=True)
class Blocks:
    """A stream cut into blocks, and blocks into batches of at most `size` rows a process.

    No row is left over: batches are of equal length to one row, and each process has one row at
    least (with size 1 some process may then have two).
    """

    rows: int
    size: int
    world: int

    @property
    def cut(self) -> Cut:
        """The blocks."""
        return Cut(self.rows, -(-self.rows // (self.size * self.world * BLOCK_BATCHES)))

    def batches(self, rows: int) -> int:
        """Return how many batches a block of so many rows makes."""
        return max(1, min(-(-rows // (self.size * self.world)), rows // self.world))

    def __len__(self) -> int:
        length, longer = divmod(self.rows, self.cut.pieces)
        return longer * self.batches(length + 1) + (self.cut.pieces - longer) * self.batches(length)

    def place(self, number: int) -> tuple[int, Cut, int]:
        """Return a batch's block, how that is cut into batches, and which of them it is."""
        length, longer = divmod(self.rows, self.cut.pieces)
        each = self.batches(length + 1)
        if number < longer * each:
            return number // each, Cut(length + 1, each), number % each
        number, each = number - longer * each, self.batches(length)
        return longer + number // each, Cut(length, each), number % each


class EpochPlan:
    """The batches of an epoch in their order; every row of every stream is in exactly one."""

    def __init__(
        self,
        streams: Sequence[Stream],
        batch_sizes: Sequence[int],
        seed: int,
        epoch: int,
        world: int = 1,
    ) -> None:
        self.seed, self.epoch = seed, epoch
        self.streams = streams
        self.blocks = [Blocks(s.rows, batch_sizes[s.bucket], world) for s in streams]
        self._ends = np.cumsum([len(blocks) for blocks in self.blocks], dtype=np.int64)
        self._order = Shuffle.of(len(self), [seed, epoch])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def batch(self, step: int, rank: int = 0) -> Batch:
        """Return a process's share of the batch of a step, both counted from 0."""
        number = self._order[step]
        stream = int(np.searchsorted(self._ends, number, side="right"))
        blocks = self.blocks[stream]
        within = number - int(self._ends[stream]) + len(blocks)
        block, cut, piece = blocks.place(within)
        first, _ = blocks.cut.span(block)
        generator = np.random.default_rng([self.seed, self.epoch, stream, block])
        start, end = cut.span(piece)
        rows = np.sort(generator.permutation(cut.rows)[start:end])
        own = first + rows[rank :: blocks.world]  # sorted by length: every process has of all
        return Batch(self.epoch, stream, self.streams[stream].bucket, own)


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
