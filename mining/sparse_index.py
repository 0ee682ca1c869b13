"""An inverted index of sparse vectors: exact search by posting lists, in memory or on disk.

Texts lie in blocks of 65,536: the scores of a block are 256 KB, which stay in the processor's
cache while posting lists are added to them, and a block is all that building holds in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from curation import storage
from curation.errors import InputError
from mining.best import best_of, lower_bound, padded
from mining.csr import Csr, Floats, Ints, cut
from train import folders

__all__ = ["BLOCK", "Block", "Csr", "SparseIndex"]

BLOCK = 1 << 16
_FORMAT = 1
_FILE = "sparse.json"

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Block:
    """The posting lists of some texts, by token."""

    size: int
    """How many texts it has."""
    starts: Ints
    """(V + 1,) where each token's postings begin."""
    numbers: Any
    """Tensor (E,) int32: the texts of each token within the block, ascending."""
    weights: Any
    """Tensor (E,) fp32: their weights."""

    @classmethod
    def of(cls, texts: Csr, vocabulary: int) -> Block:
        """Turn the vectors of texts into posting lists."""
        order = np.argsort(texts.tokens, kind="stable")
        rows = np.repeat(np.arange(len(texts), dtype=np.int32), np.diff(texts.indptr))
        starts = np.zeros(vocabulary + 1, np.int64)
        np.cumsum(np.bincount(texts.tokens, minlength=vocabulary), out=starts[1:])
        weights = torch.from_numpy(texts.weights[order])
        return cls(len(texts), starts, torch.from_numpy(rows[order]), weights)

    def scores(self, tokens: Sequence[int], weights: Sequence[float]) -> Floats:
        """Return Σ w_q · w_p over a query's tokens for each text of the block: (size,)."""
        sums = torch.zeros(self.size)
        for token, weight in zip(tokens, weights, strict=True):
            span = slice(int(self.starts[token]), int(self.starts[token + 1]))
            sums.index_add_(0, self.numbers[span], self.weights[span], alpha=weight)
        result: Floats = sums.numpy()
        return result

    def save(self, folder: str, name: str) -> None:
        """Write the block's arrays as .npy files, each complete or not at all."""
        arrays = {
            "starts": self.starts,
            "numbers": self.numbers.numpy(),
            "weights": self.weights.numpy(),
        }
        for part, array in arrays.items():
            with storage.open_write(os.path.join(folder, f"{name}.{part}.npy")) as handle:
                np.save(handle, array)

    @classmethod
    def open(cls, folder: str, name: str, size: int) -> Block:
        """Map the arrays of a block into memory; only what queries touch is read."""
        starts, numbers, weights = (
            # "c": torch takes writable arrays only. Nobody writes; a write would not reach the file
            np.load(os.path.join(folder, f"{name}.{part}.npy"), mmap_mode="c")
            for part in ("starts", "numbers", "weights")
        )
        return cls(size, starts, torch.from_numpy(numbers), torch.from_numpy(weights))


class SparseIndex:
    """Exact top-k over the sparse vectors of N texts."""

    def __init__(self, blocks: Sequence[Block], vocabulary: int) -> None:
        self.blocks = blocks
        self.vocabulary = vocabulary

    def __len__(self) -> int:
        return sum(block.size for block in self.blocks)

    @classmethod
    def build(cls, texts: Csr | Iterable[Csr], vocabulary: int, block: int = BLOCK) -> SparseIndex:
        """Return an index in memory of texts, or of parts of texts one after the other."""
        return cls(list(_blocks(texts, vocabulary, block)), vocabulary)

    @classmethod
    def write(
        cls, folder: str, texts: Csr | Iterable[Csr], vocabulary: int, block: int = BLOCK
    ) -> SparseIndex:
        """Build an index on disk, one block in memory at a time, and return it mapped."""
        with folders.replacing(folder) as staging:
            sizes = []
            for number, made in enumerate(_blocks(texts, vocabulary, block)):
                made.save(str(staging), _name(number))
                sizes.append(made.size)
            _describe(str(staging), sizes, vocabulary)
        return cls.open(folder)

    def save(self, folder: str) -> None:
        """Write the index to a folder that appears complete or not at all."""
        with folders.replacing(folder) as staging:
            for number, block in enumerate(self.blocks):
                block.save(str(staging), _name(number))
            _describe(str(staging), [block.size for block in self.blocks], self.vocabulary)

    @classmethod
    def open(cls, folder: str) -> SparseIndex:
        """Return an index of a folder, memory-mapped; raise `InputError` if there is none."""
        path = Path(folder) / _FILE
        if not path.exists():
            raise InputError(f"{folder} holds no {_FILE}: it is no sparse index")
        listed = storage.read_json(str(path))
        if listed["format"] != _FORMAT:
            raise InputError(
                f"{path} has format {listed['format']}, this program reads {_FORMAT}: build it anew"
            )
        blocks = [Block.open(folder, _name(n), size) for n, size in enumerate(listed["blocks"])]
        return cls(blocks, listed["vocabulary"])

    def scores(self, queries: Csr, row: int) -> Floats:
        """Return all texts' scores for one of the queries: (N,), 0 where nothing is shared."""
        query = self._query(queries, row)
        parts = [block.scores(*query) for block in self.blocks]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def search(self, queries: Csr, depth: int, allowed: Mask | None = None) -> tuple[Floats, Ints]:
        """Return (Q, depth) scores and text numbers, best first, equal scores by number.

        Only texts that share a token with the query are found, and of these only `allowed` (N,)
        ones; what is missing has score -inf and number -1.
        """
        none = (np.zeros(0, np.float32), np.zeros(0, np.int64))
        found = [none] * len(queries)
        first = 0
        for block in self.blocks:
            wanted = None if allowed is None else allowed[first : first + block.size]
            for row in range(len(queries)):
                found[row] = self._merged(found[row], block, first, (queries, row), depth, wanted)
            first += block.size
        return padded(found, depth)

    def _merged(
        self,
        found: tuple[Floats, Ints],
        block: Block,
        first: int,
        query: tuple[Csr, int],
        depth: int,
        wanted: Mask | None,
    ) -> tuple[Floats, Ints]:
        """Return the best of what earlier blocks gave a query and of this block."""
        scores = block.scores(*self._query(*query))
        if wanted is not None:
            scores = np.where(wanted, scores, np.float32(0))
        places = _candidates(scores, found[0], depth)
        values = np.concatenate([found[0], scores[places]])
        return best_of(values, np.concatenate([found[1], places + first]), depth)

    def _query(self, queries: Csr, row: int) -> tuple[list[int], list[float]]:
        span = slice(int(queries.indptr[row]), int(queries.indptr[row + 1]))
        tokens, weights = queries.tokens[span], queries.weights[span]
        known = tokens < self.vocabulary
        return tokens[known].tolist(), weights[known].tolist()


def _candidates(scores: Floats, found: Floats, depth: int) -> Ints:
    """Return the places of scores that may be among the best, given what is found already."""
    bound = lower_bound(scores, depth)
    places = np.flatnonzero(scores >= bound if bound > 0 else scores > 0)
    if len(found) >= depth:  # later numbers lose ties
        places = places[scores[places] > found[depth - 1]]
    return places


def _blocks(texts: Csr | Iterable[Csr], vocabulary: int, size: int) -> Iterator[Block]:
    for part in cut([texts] if isinstance(texts, Csr) else texts, size):
        yield Block.of(part, vocabulary)


def _name(number: int) -> str:
    return f"block-{number:05d}"


def _describe(folder: str, sizes: Sequence[int], vocabulary: int) -> None:
    listed = {"format": _FORMAT, "vocabulary": vocabulary, "blocks": list(sizes)}
    storage.write_json(os.path.join(folder, _FILE), listed)
