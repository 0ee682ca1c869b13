"""The merges of curation: what happens to a sorted range of rows before it becomes a part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation import caps, dedup, storage
from curation.citations import cited
from curation.config import CurationConfig
from curation.filters import Decider, Decisions
from curation.pairs import PairConfig, document_pairs
from curation.records import Document, HostKey, Pair, Reject, documents_from
from curation.redirects import alternative_titles, rejected
from curation.runs import KEY
from curation.tokens import TokenCounter, shared_counter
from pipelines.redirects import Alternatives
from pipelines.spill import count_tokens, pair_digests
from pipelines.work import Workspace

Merged = tuple[pa.Table, Iterable[tuple[str, Any, int]]]


def id_hash(identity: str) -> int:
    """Return the 64-bit hash under which a document's id meets others."""
    return caps.hash64(identity)


def save_array(path: str, array: npt.NDArray[Any]) -> None:
    """Write an array atomically."""
    with storage.open_write(path) as handle:
        np.lib.format.write_array(handle, array, allow_pickle=False)


def load_array(path: str) -> npt.NDArray[Any]:
    """Read an array; never a pickle."""
    with storage.open_read(path) as handle:
        return np.lib.format.read_array(handle, allow_pickle=False)


def load_shards(workspace: Workspace, name: str, dtype: Any) -> npt.NDArray[Any]:
    """Return all stored decisions of a kind."""
    paths = storage.list_files(workspace.path(name), ".npy")
    return np.concatenate([np.empty(0, dtype), *map(load_array, paths)])


@dataclass(frozen=True)
class DocumentMergeSetup:
    """Builds the document merge in a worker."""

    config: CurationConfig
    tokenizer: str
    workspace: Workspace

    def __call__(self) -> Callable[[pa.Table], Merged]:
        """Load tokenizer and thresholds now; verdicts with the first part, when complete."""
        counter, decider = shared_counter(self.tokenizer), Decider(self.config)
        verdicts = cache(lambda: Verdicts.load(self.workspace))
        return lambda table: merge_documents(
            table, verdicts(), decider, self.config, counter, self._alternatives(table)
        )

    def _alternatives(self, table: pa.Table) -> Alternatives | None:
        """Return the redirects to the documents of a sorted range."""
        if not table.num_rows or not self.config.pairs.uses_redirects:
            return None
        keys = table[KEY].to_numpy()
        return Alternatives(self.workspace, int(keys[0]), int(keys[-1]))


@dataclass(frozen=True)
class Verdicts:
    """What was decided over the whole corpus."""

    older: dedup.Array
    generic_titles: npt.NDArray[np.uint64]

    @classmethod
    def load(cls, workspace: Workspace) -> Verdicts:
        """Read the stored shards."""
        return cls(
            load_shards(workspace, "drops", dedup.THIN_KEY),
            load_shards(workspace, "titles", np.uint64),
        )


def merge_documents(
    table: pa.Table,
    verdicts: Verdicts,
    decider: Decider,
    config: CurationConfig,
    counter: TokenCounter,
    alternatives: Alternatives | None = None,
) -> Merged:
    """Drop what thresholds reject, older versions and exact duplicates; give pairs of the rest."""
    decisions = decider.decide(table)
    extras = _filtered(table, decisions)
    table = table.filter(pa.array(decisions.kept))
    ids = np.array([id_hash(i) for i in table["id"].to_pylist()], np.uint64)
    is_older = dedup.contains(verdicts.older, table[KEY].to_numpy(), ids)
    extras += _rejected(table.filter(pa.array(is_older)), "older_version", None)
    table = table.filter(pa.array(~is_older))

    hashes = table["text_hash"].to_pylist()
    kept, winner = dedup.first_of_equals(hashes, _ranks(table, config, "id"))
    winners = np.array(table["id"].to_pylist(), object)[winner]
    extras += _rejected(table.filter(pa.array(~kept)), "duplicate_text", winners[~kept])
    table = table.filter(pa.array(kept))
    return table.drop_columns([KEY]), extras + _pairs(
        table, verdicts, config, counter, alternatives
    )


def _pairs(
    table: pa.Table,
    verdicts: Verdicts,
    config: CurationConfig,
    counter: TokenCounter,
    alternatives: Alternatives | None,
) -> list[tuple[str, Any, int]]:
    """Return the pairs of documents, what rejects them, and the hosts that a cap must count."""
    extras: list[tuple[str, Any, int]] = []
    pairs: list[Pair] = []
    documents = documents_from(table)
    uncapped = {source.label for source in config.sources if source.kind == "wikipedia"}
    titles = [caps.title_hash(d.source, d.title) for d in documents]
    generic = np.isin(np.array(titles, np.uint64), verdicts.generic_titles).tolist()
    papers = {source.label for source in config.sources if source.kind == "s2orc"}
    extras += [
        ("references", cited(document), len(document.text))
        for document in documents
        if document.source in papers and "citation" in config.pairs.relations
    ]
    for key, document, is_generic in zip(table[KEY].to_pylist(), documents, generic, strict=True):
        own: list[Pair] = []
        for item in _items(document, key, config.pairs, is_generic, alternatives):
            if isinstance(item, Reject):
                extras.append(("rejects", item, len(item.excerpt)))
            else:
                own.append(item)
        if config.pairs.max_pairs_per_domain and document.source not in uncapped:
            extras += _hosts(document, own)
        pairs += own
    for redirect in alternatives.left() if alternatives else ():
        extras.append(("rejects", rejected(redirect, "write", "redirect_to_dropped"), 0))
    count_tokens(pairs, counter)
    return extras + [("pairs", pair, len(pair.positive)) for pair in pairs]


def _items(
    document: Document,
    key: int,
    config: PairConfig,
    is_generic: bool,
    alternatives: Alternatives | None,
) -> Iterator[Pair | Reject]:
    """Yield the pairs of a document and of the redirects to it, and rejects of both."""
    titles = []
    redirects = alternatives.take(key, document) if alternatives else []
    for title in alternative_titles(document, redirects, config.redirects_per_document):
        if isinstance(title, Reject):
            yield title
        else:
            titles.append(title)
    yield from document_pairs(
        document, config, has_generic_title=is_generic, alternative_titles=titles
    )


def _hosts(document: Document, pairs: list[Pair]) -> list[tuple[str, Any, int]]:
    host = caps.host_of(document.url)
    if not host:
        return []
    place, identity = caps.hash64(host), id_hash(document.id)
    keys = pair_digests([pair.id for pair in pairs]).tolist()
    return [("hosts", HostKey(place, key, identity), 0) for key in keys]


def _filtered(table: pa.Table, decisions: Decisions) -> list[tuple[str, Any, int]]:
    rejected_rows = ~decisions.kept
    chosen = table.filter(pa.array(rejected_rows)).select(["id", "source", "language", "text"])
    told = zip(
        chosen.to_pylist(),
        decisions.reasons[rejected_rows],
        decisions.values[rejected_rows],
        strict=True,
    )
    return [
        (
            "rejects",
            Reject(r["id"], "filter", reason, r["source"], r["language"], value, r["text"][:200]),
            200,
        )
        for r, reason, value in told
    ]


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
    workspace: Workspace

    def __call__(self) -> Callable[[pa.Table], Merged]:
        """Return the merge; it needs no model."""
        capped = cache(lambda: load_shards(self.workspace, "capped", caps.HOST_KEY))
        return lambda table: merge_pairs(table, capped(), self.config)


def merge_pairs(table: pa.Table, capped: dedup.Array, config: CurationConfig) -> Merged:
    """Drop pairs beyond their host's cap and exact duplicates of a sorted range of pairs."""
    rejects: list[tuple[str, Any, int]] = []
    if len(capped):
        is_over = caps.contains(capped, *_pair_keys(table))
        rejects += _rejected(table.filter(pa.array(is_over)), "domain_cap", None)
        table = table.filter(pa.array(~is_over))
    ids = table["id"].to_pylist()
    kept, winner = dedup.first_of_equals(ids, _ranks(table, config, "document_id"))
    winners = np.array(table["document_id"].to_pylist(), object)[winner]
    rejects += _rejected(table.filter(pa.array(~kept)), "duplicate_pair", winners[~kept])
    return table.filter(pa.array(kept)).drop_columns([KEY]), rejects


def _pair_keys(table: pa.Table) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    documents = [id_hash(identity) for identity in table["document_id"].to_pylist()]
    return pair_digests(table["id"].to_pylist()), np.array(documents, np.uint64)


def keep_all() -> Callable[[pa.Table], Merged]:
    """Return the merge that keeps every row."""
    return lambda table: (table.drop_columns([KEY]), [])
