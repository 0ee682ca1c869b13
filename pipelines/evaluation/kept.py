"""Vectors of all heads that are kept between evaluations, in the cache that mining uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mining.cache import Say, VectorCache, model_facts, side_facts
from mining.csr import Csr
from mining.encode import Report
from mining.text_parts import texts_digest
from pipelines.evaluation.encoding import Encoded, Encoder, TokenVectors, encode

_ARRAYS = (
    "dense",
    "sparse.indptr",
    "sparse.tokens",
    "sparse.weights",
    "vectors.indptr",
    "vectors.tokens",
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A folder of vectors for one model; queries are cheap and not kept."""

    cache: VectorCache
    say: Say

    @classmethod
    def open(cls, folder: str, encoder: Encoder, say: Say) -> Kept:
        """Return the vectors of a model's documents in a folder."""
        shared = model_facts(encoder.model)
        facts = side_facts(
            encoder.model, shared, is_query=False, dtype=encoder.dtype, store="fp32 and tokens"
        )
        return cls(VectorCache.open(folder, facts, say), say)

    def encode(
        self, encoder: Encoder, texts: Sequence[str], limit: float, report: Report | None = None
    ) -> Encoded:
        """Return what an earlier run kept of these documents, mapped from files, or encode them."""
        name = texts_digest(texts)
        if self.cache.holds(name, _ARRAYS, len(texts), self.say):
            if report:
                report(len(texts), 0)
            return self._opened(name, limit)
        found = encode(encoder, texts, is_query=False, limit=limit, report=report)
        indptr, tokens = found.vectors.packed(len(texts))
        csr = found.sparse
        arrays: list[npt.NDArray[Any]] = [
            found.dense,
            csr.indptr,
            csr.tokens,
            csr.weights,
            indptr,
            tokens,
        ]
        for what, array in zip(_ARRAYS, arrays, strict=True):
            self.cache.store(name, what, array)
        return found

    def _opened(self, name: str, limit: float) -> Encoded:
        dense, indptr, tokens, weights, starts, vectors = (
            # "c": torch takes writable arrays only, and nothing is written
            np.load(self.cache.path(name, what), mmap_mode="c", allow_pickle=False)
            for what in _ARRAYS
        )
        kept = TokenVectors.of(starts, vectors, limit)
        return Encoded(dense, Csr(indptr, tokens, weights), kept)
