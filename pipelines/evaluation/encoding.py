"""Texts → what all five modes need, each text encoded once, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mining import csr
from mining.csr import Csr
from mining.encode import Report, Vectors, encode_batches
from train.model import M3Model
from train.ragged import Ragged
from train.scoring import ragged

Ints = npt.NDArray[np.int64]


@dataclass(slots=True)
class TokenVectors:
    """Token vectors in fp16 of as many texts as fit in `limit` bytes."""

    limit: float
    used: int = 0
    _pieces: dict[int, Tensor] = field(default_factory=dict)

    def add(self, numbers: Sequence[int], texts: Ragged) -> None:
        """Keep the vectors of a batch, if there is room for them."""
        size = texts.vectors.numel() * 2
        if self.used + size > self.limit:
            return
        self.used += size
        split = torch.split(texts.vectors.half().cpu(), texts.vector_counts.tolist())
        self._pieces.update(zip(numbers, split, strict=True))

    def packed(self, count: int) -> tuple[Ints, npt.NDArray[np.float16]]:
        """Return (count + 1,) where each text's vectors begin, and all of them end to end.

        A text that was not kept has none.
        """
        indptr = np.zeros(count + 1, np.int64)
        for number, vectors in self._pieces.items():
            indptr[number + 1] = len(vectors)
        listed = [self._pieces[number] for number in sorted(self._pieces)]
        joined = torch.cat(listed) if listed else torch.zeros((0, 1), dtype=torch.float16)
        return indptr.cumsum(), joined.numpy()

    @classmethod
    def of(cls, indptr: Ints, tokens: npt.NDArray[np.float16], limit: float) -> TokenVectors:
        """Return what `packed` gave, as views."""
        whole = torch.from_numpy(tokens)
        sizes = np.diff(indptr)
        pieces = {int(n): whole[int(indptr[n]) : int(indptr[n + 1])] for n in np.flatnonzero(sizes)}
        return cls(limit, int(whole.numel() * 2), pieces)

    def __contains__(self, number: int) -> bool:
        return number in self._pieces

    def __getitem__(self, number: int) -> Tensor:
        """Return (L, c) fp16."""
        return self._pieces[number]


@dataclass(frozen=True, slots=True)
class Encoder:
    """A model and how it encodes."""

    model: M3Model
    budget: int
    """Tokens per batch, padding included."""
    dtype: str

    def batches(
        self, texts: Sequence[str], *, is_query: bool, report: Report | None = None
    ) -> Iterator[tuple[Ints, Any]]:
        """Yield (numbers of texts, their embeddings)."""
        return encode_batches(
            self.model,
            texts,
            is_query=is_query,
            budget=self.budget,
            dtype=self.dtype,
            report=report,
        )


@dataclass(frozen=True, slots=True)
class Encoded:
    """N texts as all heads see them."""

    dense: Vectors
    """(N, d) fp32."""
    sparse: Csr
    vectors: TokenVectors


def encode(
    encoder: Encoder,
    texts: Sequence[str],
    *,
    is_query: bool,
    limit: float,
    report: Report | None = None,
) -> Encoded:
    """Encode texts with all heads; token vectors are kept up to `limit` bytes.

    Memory beside these: 4·d bytes and about 8 per distinct token of each text.
    """
    width = int(encoder.model.encoder.config.hidden_size)
    dense = np.empty((len(texts), width), np.float32)
    vectors = TokenVectors(limit)
    sparse = []
    for numbers, found in encoder.batches(texts, is_query=is_query, report=report):
        dense[numbers] = found.dense.float().cpu().numpy()
        sparse.append((numbers, Csr.of(found)))
        if vectors.used < limit:
            vectors.add(numbers.tolist(), ragged(found, ("multi_vector",)))
    return Encoded(dense, csr.in_order(sparse), vectors)
