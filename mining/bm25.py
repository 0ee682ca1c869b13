"""BM25 over terms: Lucene's formula on the inverted index of sparse vectors.

A text's weight of a term is computed once, so that a search is the sparse index's: exact, with
memory-mapped posting lists and equal scores by number. The peers' indexes leave ties to chance.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curation import storage
from curation.errors import InputError, check_range
from mining.analysis import Analyser, Hashes, Terms
from mining.csr import Csr, Floats, Ints
from mining.sparse_index import Mask, SparseIndex
from train import folders

_FILE = "bm25.json"
_FORMAT = 1
_AT_ONCE = 8192  # texts analysed together


@dataclass(frozen=True, kw_only=True, slots=True)
class Bm25Config:
    """The parameters of BM25."""

    k1: float = 0.9
    """How much a repeated term counts (Lucene: 1.2; Anserini and its published tables: 0.9)."""
    b: float = 0.4
    """How much long texts are held against them (Lucene: 0.75; Anserini: 0.4)."""

    def __post_init__(self) -> None:
        check_range("bm25.k1", self.k1, 0.0, 100.0)
        check_range("bm25.b", self.b, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What BM25 knows of a corpus."""

    terms: Hashes
    """(V,) all terms, ascending."""
    documents: Ints
    """(V,) in how many texts each occurs."""
    texts: int
    """How many texts there are."""
    length: float
    """Their mean number of terms."""

    def idf(self) -> Floats:
        """Return ln(1 + (N - df + 0.5) / (df + 0.5)) of each term, which is never negative."""
        df = self.documents.astype(np.float64)
        return np.log1p((self.texts - df + 0.5) / (df + 0.5)).astype(np.float32)

    def tokens(self, hashes: Hashes) -> tuple[Ints, Mask]:
        """Return the number of each hash among the terms, and whether it is one of them."""
        places = np.searchsorted(self.terms, hashes)
        known = places < len(self.terms)
        known[known] = self.terms[places[known]] == hashes[known]
        return places, known


class Bm25Index:
    """Exact BM25 top-k over N texts."""

    def __init__(self, index: SparseIndex, terms: Hashes, analyse: Analyser) -> None:
        self.index = index
        self.terms = terms
        self.analyse = analyse

    def __len__(self) -> int:
        return len(self.index)

    @classmethod
    def build(
        cls,
        texts: Iterable[str],
        analyse: Analyser,
        config: Bm25Config | None = None,
        folder: str = "",
    ) -> Bm25Index:
        """Return an index of texts: in memory, or mapped from a `folder` that is written.

        Texts are read once and analysed by batches; their counts wait in temporary files for the
        corpus's statistics, so memory holds one block of postings and the distinct terms.
        """
        with tempfile.TemporaryDirectory() as spool:
            count, statistics = _spooled(spool, texts, analyse)
            parts = _weights(spool, count, statistics, config or Bm25Config())
            vocabulary = len(statistics.terms)
            if not folder:
                return cls(SparseIndex.build(parts, vocabulary), statistics.terms, analyse)
            with folders.replacing(folder) as staging:
                SparseIndex.write(str(staging / "postings"), parts, vocabulary)
                np.save(staging / "terms.npy", statistics.terms)
                told = {"format": _FORMAT, "analyser": analyse.name}
                storage.write_json(str(staging / _FILE), told | asdict(config or Bm25Config()))
        return cls.open(folder, analyse)

    @classmethod
    def open(cls, folder: str, analyse: Analyser) -> Bm25Index:
        """Return the index of a folder, memory-mapped.

        Raises `InputError` where there is none, or where another analyser made it.
        """
        path = Path(folder) / _FILE
        if not path.exists():
            raise InputError(f"{folder} holds no {_FILE}: it is no BM25 index")
        told: dict[str, Any] = storage.read_json(str(path))
        for key, wanted in (("format", _FORMAT), ("analyser", analyse.name)):
            if told[key] != wanted:
                raise InputError(f"{path} has {key} {told[key]!r}, not {wanted!r}: build it anew")
        terms = np.load(Path(folder) / "terms.npy", mmap_mode="r")
        return cls(SparseIndex.open(os.path.join(folder, "postings")), terms, analyse)

    def search(
        self, queries: Sequence[str], depth: int, allowed: Mask | None = None
    ) -> tuple[Floats, Ints]:
        """Return (Q, depth) scores and text numbers as `SparseIndex.search` does.

        A term that a query repeats counts as often, as in Lucene.
        """
        found = self.analyse(queries)
        empty = np.zeros(0, np.int64)
        places, known = Statistics(self.terms, empty, 0, 0.0).tokens(found.hashes)
        rows = np.repeat(np.arange(len(found)), np.diff(found.borders))
        ones = np.ones(int(known.sum()), np.float32)
        vectors = Csr.from_entries(rows[known], places[known], ones, len(found), "sum")
        return self.index.search(vectors, depth, allowed)


def _spooled(spool: str, texts: Iterable[str], analyse: Analyser) -> tuple[int, Statistics]:
    """Write the term counts of texts in numbered parts; return their number and the statistics."""
    terms, documents = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    number = size = length = 0
    for number, batch in enumerate(_batches(texts), 1):
        found = analyse(batch)
        rows, hashes, counts = _counts(found)
        np.savez(
            os.path.join(spool, f"{number}.npz"),
            rows=rows,
            hashes=hashes,
            counts=counts,
            lengths=np.diff(found.borders),
        )
        terms, documents = _with_terms(terms, documents, hashes)
        size += len(found)
        length += len(found.hashes)
    return number, Statistics(terms, documents, size, length / max(1, size))


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _counts(found: Terms) -> tuple[Ints, Hashes, Ints]:
    """Return (text, term, how often) of each distinct term of each text."""
    rows = np.repeat(np.arange(len(found)), np.diff(found.borders))
    order = np.lexsort((found.hashes, rows))
    rows, hashes = rows[order], found.hashes[order]
    first = np.ones(len(rows), np.bool_)
    first[1:] = (rows[1:] != rows[:-1]) | (hashes[1:] != hashes[:-1])
    starts = np.flatnonzero(first)
    return rows[starts], hashes[starts], np.diff(np.append(starts, len(rows)))


def _with_terms(terms: Hashes, documents: Ints, hashes: Hashes) -> tuple[Hashes, Ints]:
    """Return sorted terms and document counts with those of a further part."""
    new, counts = np.unique(hashes, return_counts=True)
    merged = np.union1d(terms, new)
    total = np.zeros(len(merged), np.int64)
    total[np.searchsorted(merged, terms)] += documents
    total[np.searchsorted(merged, new)] += counts
    return merged, total


def _weights(spool: str, parts: int, statistics: Statistics, config: Bm25Config) -> Iterator[Csr]:
    """Yield the weights idf · tf / (tf + k1 · (1 - b + b · length / mean length)) of each part."""
    idf, mean = statistics.idf(), statistics.length or 1.0
    for number in range(1, parts + 1):
        with np.load(os.path.join(spool, f"{number}.npz")) as part:
            rows, counts, lengths = part["rows"], part["counts"], part["lengths"]
            tokens, _ = statistics.tokens(part["hashes"])
        penalty = config.k1 * (1 - config.b + config.b * lengths / mean)
        values = idf[tokens] * counts / (counts + penalty[rows])
        yield Csr.from_entries(rows, tokens, values.astype(np.float32), len(lengths), "sum")
