"""The merges of curation: what happens to a sorted range of rows before it becomes a part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from curation import dedup, storage
from curation.config import CurationConfig
from curation.pairs import PairConfig, document_pairs
from curation.records import Pair, Reject, documents_from
from curation.redirects import alternative_titles, rejected
from curation.runs import KEY
from curation.tokens import TokenCounter
from pipelines.redirects import Alternatives
from pipelines.spill import count_tokens
from pipelines.work import Workspace

Merged = tuple[pa.Table, Iterable[tuple[str, Any, int]]]


def id_hash(identity: str) -> int:
    """Return the 64-bit hash under which a document's id meets others."""
    return xxhash.xxh3_64_intdigest(identity.encode("utf-8", "replace"))


def save_array(path: str, array: npt.NDArray[Any]) -> None:
    """Write an array atomically."""
    with storage.open_write(path) as handle:
        np.lib.format.write_array(handle, array, allow_pickle=False)


def load_array(path: str) -> npt.NDArray[Any]:
    """Read an array; never a pickle."""
    with storage.open_read(path) as handle:
        return np.lib.format.read_array(handle, allow_pickle=False)


@dataclass(frozen=True)
class DocumentMergeSetup:
    """Builds the document merge in a worker."""

    config: CurationConfig
    tokenizer: str
    workspace: Workspace

    def __call__(self) -> Callable[[pa.Table], Merged]:
        """Load the tokenizer now, and the drops with the first part, when they are complete."""
        counter = TokenCounter(self.tokenizer)
        drops = cache(lambda: load_drops(self.workspace))
        return lambda table: merge_documents(
            table, drops(), self.config, counter, self._alternatives(table)
        )

    def _alternatives(self, table: pa.Table) -> Alternatives | None:
        """Return the redirects to the documents of a sorted range."""
        if not table.num_rows or not self.config.pairs.uses_redirects:
            return None
        keys = table[KEY].to_numpy()
        return Alternatives(self.workspace, int(keys[0]), int(keys[-1]))


def load_drops(workspace: Workspace) -> dedup.Array:
    """Return all stored decisions."""
    paths = storage.list_files(workspace.path("drops"), ".npy")
    return np.concatenate([np.empty(0, dedup.THIN_KEY), *map(load_array, paths)])


def merge_documents(
    table: pa.Table,
    drops: dedup.Array,
    config: CurationConfig,
    counter: TokenCounter,
    alternatives: Alternatives | None = None,
) -> Merged:
    """Drop older versions and exact duplicates of a sorted range; give pairs of the rest."""
    extras: list[tuple[str, Any, int]] = []
    ids = np.array([id_hash(i) for i in table["id"].to_pylist()], np.uint64)
    is_older = dedup.contains(drops, table[KEY].to_numpy(), ids)
    extras += _rejected(table.filter(pa.array(is_older)), "older_version", None)
    table = table.filter(pa.array(~is_older))

    hashes = table["text_hash"].to_pylist()
    kept, winner = dedup.first_of_equals(hashes, _ranks(table, config, "id"))
    winners = np.array(table["id"].to_pylist(), object)[winner]
    extras += _rejected(table.filter(pa.array(~kept)), "duplicate_text", winners[~kept])
    table = table.filter(pa.array(kept))

    pairs = []
    for item in _pairs_of(table, config.pairs, alternatives):
        if isinstance(item, Reject):
            extras.append(("rejects", item, len(item.excerpt)))
        else:
            pairs.append(item)
    count_tokens(pairs, counter)
    extras += [("pairs", pair, len(pair.positive)) for pair in pairs]
    return table.drop_columns([KEY]), extras


def _pairs_of(
    table: pa.Table, config: PairConfig, alternatives: Alternatives | None
) -> Iterator[Pair | Reject]:
    """Yield the pairs of documents and of the redirects to them, and rejects of both."""
    for key, document in zip(table[KEY].to_pylist(), documents_from(table), strict=True):
        titles = []
        redirects = alternatives.take(key, document) if alternatives else []
        for title in alternative_titles(document, redirects, config.redirects_per_document):
            if isinstance(title, Reject):
                yield title
            else:
                titles.append(title)
        yield from document_pairs(document, config, titles)
    for redirect in alternatives.left() if alternatives else ():
        yield rejected(redirect, "write", "redirect_to_dropped")


def _ranks(table: pa.Table, config: CurationConfig, identity: str) -> list[tuple[object, ...]]:
    """Return what decides among equals: the source's priority, then the id."""
    priority = {source.label: -source.priority for source in config.sources}
    sources, ids = table["source"].to_pylist(), table[identity].to_pylist()
    return [(priority.get(s, 0), s, i) for s, i in zip(sources, ids, strict=True)]


def _rejected(
    table: pa.Table, reason: str, winners: npt.NDArray[Any] | None
) -> list[tuple[str, Any, int]]:
    rows = table.select(["id", "source", "language"]).to_pylist()
    values = [""] * len(rows) if winners is None else list(winners)
    return [
        ("rejects", Reject(r["id"], "write", reason, r["source"], r["language"], value), 0)
        for r, value in zip(rows, values, strict=True)
    ]


@dataclass(frozen=True)
class PairMergeSetup:
    """Builds the pair merge in a worker."""

    config: CurationConfig

    def __call__(self) -> Callable[[pa.Table], Merged]:
        """Return the merge; it needs no model."""
        return lambda table: merge_pairs(table, self.config)


def merge_pairs(table: pa.Table, config: CurationConfig) -> Merged:
    """Drop exact duplicates of a sorted range of pairs."""
    ids = table["id"].to_pylist()
    kept, winner = dedup.first_of_equals(ids, _ranks(table, config, "document_id"))
    winners = np.array(table["document_id"].to_pylist(), object)[winner]
    rejects = _rejected(table.filter(pa.array(~kept)), "duplicate_pair", winners[~kept])
    return table.filter(pa.array(kept)).drop_columns([KEY]), rejects


def keep_all() -> Callable[[pa.Table], Merged]:
    """Return the merge that keeps every row."""
    return lambda table: (table.drop_columns([KEY]), [])
