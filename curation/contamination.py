"""Evaluation texts in training pairs: n-grams of judged passages and queries, and exact queries.

The n-grams of all evaluation sets are one sorted table of 64-bit hashes, built once and stored;
a text is looked up n-gram by n-gram with a bitmap before the search.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from curation import storage
from curation.errors import InputError, check_range
from curation.shingles import U64, shingle, whole

Table = npt.NDArray[np.void]
Owners = npt.NDArray[np.int64]

# 12 bytes an n-gram: its hash, and the place of the query it belongs to.
ENTRY = np.dtype([("hash", "<u8"), ("owner", "<u4")])
_QRELS, _CORPUS, _QUERIES = ("qrels.tsv", "qrels/test.tsv"), ("corpus.jsonl",), ("queries.jsonl",)
_BATCH = 4096  # texts hashed at once


@dataclass(frozen=True, kw_only=True, slots=True)
class DecontaminationConfig:
    """The `[curation.decontamination]` table."""

    sets: tuple[str, ...] = ()
    """Folders in BEIR layout whose queries and relevant passages no pair may contain."""
    ngram: int = 13
    """A pair is contaminated that shares so many words in a row (GPT-3, appendix C)."""
    character_ngram: int = 30
    """Ideographs or kana in a row, in texts without spaces; twice as many letters of Thai."""

    def __post_init__(self) -> None:
        check_range("curation.decontamination.ngram", self.ngram, 1, 256)
        check_range("curation.decontamination.character_ngram", self.character_ngram, 1, 256)


class Contamination:
    """What the evaluation sets hold: tells for a text whose evaluation query it would give away."""

    def __init__(
        self, config: DecontaminationConfig, ngrams: Table, queries: Table, names: Sequence[str]
    ) -> None:
        self._config = config
        self._ngrams = _Lookup(ngrams)
        self._queries = _Lookup(queries)
        self._names = names

    def find(self, texts: Sequence[str]) -> list[str | None]:
        """Return "set/query id" for each text that shares an n-gram or is a query, else None."""
        owners = np.concatenate(
            [np.zeros(0, np.int64)]
            + [self._owners(texts[i : i + _BATCH]) for i in range(0, len(texts), _BATCH)]
        )
        return [self._names[owner] if owner >= 0 else None for owner in owners.tolist()]

    def _owners(self, texts: Sequence[str]) -> Owners:
        owners = self._queries.owners(whole(texts))
        ngrams = shingle(texts, self._config.ngram, self._config.character_ngram)
        found = self._ngrams.owners(ngrams.hashes)
        places = np.flatnonzero(found >= 0)
        text, first = np.unique(
            np.searchsorted(ngrams.offsets, places, "right") - 1, return_index=True
        )
        unnamed = owners[text] < 0
        owners[text[unnamed]] = found[places[first[unnamed]]]
        return owners

    def save(self, folder: str) -> None:
        """Write the tables under a folder."""
        for name, lookup in (("ngrams", self._ngrams), ("queries", self._queries)):
            with storage.open_write(storage.join(folder, f"{name}.npy")) as handle:
                np.lib.format.write_array(handle, lookup.table, allow_pickle=False)
        storage.write_json(storage.join(folder, "names.json"), list(self._names))

    @classmethod
    def load(cls, config: DecontaminationConfig, folder: str) -> Contamination:
        """Read what `save` wrote."""
        names = storage.read_json(storage.join(folder, "names.json"))
        return cls(config, _read(folder, "ngrams"), _read(folder, "queries"), names)


def _read(folder: str, name: str) -> Table:
    with storage.open_read(storage.join(folder, f"{name}.npy")) as handle:
        table: Table = np.lib.format.read_array(handle, allow_pickle=False)
    return table


class _Lookup:
    """A sorted table of hashes behind a bitmap: of 16 hashes that are not listed 15 stop there."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._hashes = np.ascontiguousarray(table["hash"])
        bits = max(16, (16 * len(table)).bit_length())
        self._shift = np.uint64(64 - bits)
        self._bitmap = np.zeros(1 << bits, np.bool_)
        self._bitmap[self._hashes >> self._shift] = True

    def owners(self, hashes: U64) -> Owners:
        """Return the owner of each hash, -1 where it is not listed."""
        owners = np.full(len(hashes), -1, np.int64)
        maybe = np.flatnonzero(self._bitmap[hashes >> self._shift])
        place = np.searchsorted(self._hashes, hashes[maybe])
        place = np.minimum(place, max(0, len(self._hashes) - 1))
        is_listed = self._hashes[place] == hashes[maybe] if len(maybe) else maybe.astype(np.bool_)
        owners[maybe[is_listed]] = self.table["owner"][place[is_listed]]
        return owners


def build(config: DecontaminationConfig) -> Contamination:
    """Read the evaluation sets and return their tables; of equal n-grams the first query's stays.

    An unreadable folder or line raises `InputError` with its place.
    """
    names: list[str] = []
    texts: list[str] = []
    owners: list[int] = []
    queries: list[tuple[str, int]] = []
    for folder in config.sets:
        label = folder.rstrip("/").rsplit("/", 1)[-1]
        for query, query_text, passages in read_beir(folder):
            queries.append((query_text, len(names)))
            texts += [query_text, *passages]
            owners += [len(names)] * (1 + len(passages))
            names.append(f"{label}/{query}")
    ngrams = shingle(texts, config.ngram, config.character_ngram)
    ngram_owners = np.repeat(np.array(owners, np.int64), np.diff(ngrams.offsets))
    wholes = whole([text for text, _ in queries])
    query_owners = np.array([owner for _, owner in queries], np.int64)
    has_token = wholes != 0
    return Contamination(
        config,
        _table(ngrams.hashes, ngram_owners),
        _table(wholes[has_token], query_owners[has_token]),
        names,
    )


def _table(hashes: U64, owners: Owners) -> Table:
    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    first = np.concatenate([[True], hashes[1:] != hashes[:-1]])[: len(hashes)]
    table = np.empty(int(np.count_nonzero(first)), ENTRY)
    table["hash"], table["owner"] = hashes[first], owners[first]
    return table


def read_beir(folder: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (query id, query, passages judged relevant) of a BEIR folder.

    A passage that is relevant to several queries comes with the first of them.
    """
    relevant: dict[str, str] = {}
    for _, line in _lines(folder, _QRELS):
        cells = line.decode("utf-8", "replace").split("\t")
        if len(cells) == 3 and cells[2].strip().isdigit() and int(cells[2]) > 0:
            relevant.setdefault(cells[1], cells[0])
    passages: dict[str, list[str]] = {}
    for row in _rows(folder, _CORPUS):
        if row["_id"] in relevant:
            passages.setdefault(relevant[row["_id"]], []).append(row["text"])
    for row in _rows(folder, _QUERIES):
        yield row["_id"], row["text"], passages.pop(row["_id"], [])
    for query, texts in passages.items():  # judged, but without a text of its own
        yield query, "", texts


def _rows(folder: str, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    name = names[0]
    for number, line in _lines(folder, names):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{folder}/{name}, line {number}: no JSON ({error})") from error
        if not isinstance(row, dict) or not all(
            isinstance(row.get(key), str) for key in ("_id", "text")
        ):
            raise InputError(f"{folder}/{name}, line {number}: `_id` and `text` must be strings")
        yield row


def files_of(folder: str) -> list[str]:
    """Return the three files of a BEIR folder; raise `InputError` where one is missing."""
    return [_existing(folder, *names) for names in (_QRELS, _CORPUS, _QUERIES)]


def _lines(folder: str, names: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    """Yield the numbered lines of the file that exists."""
    path = _existing(folder, *names)
    with storage.open_read(path) as raw:
        lines = gzip.GzipFile(fileobj=raw) if path.endswith(".gz") else raw
        yield from enumerate(lines, 1)


def _existing(folder: str, *names: str) -> str:
    for name in names:
        for suffix in ("", ".gz"):
            path = storage.join(storage.local_path(folder), name + suffix)
            if storage.exists(path):
                return path
    raise InputError(
        f"curation.decontamination.sets: {folder} holds no {' or '.join(names)} (plain or .gz)"
    )
