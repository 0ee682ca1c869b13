"""The merges of curation: what happens to a sorted range of rows before it becomes a part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation import caps, dedup, storage
from curation.citations import cited
from curation.config import CurationConfig
from curation.contamination import Contamination
from curation.filters import Decider, Decisions
from curation.pairs import PairConfig, document_pairs
from curation.records import DOCUMENT, Document, HostKey, Pair, Reject, documents_from
from curation.redirects import alternative_titles, rejected
from curation.runs import KEY
from curation.tokens import shared_counter
from pipelines.decisions import NO_DECISION, load_decisions
from pipelines.lengths import StoredLengths
from pipelines.redirects import Alternatives
from pipelines.spill import Counter, count_tokens, pair_digests
from pipelines.work import Workspace

_EXCERPT = 200  # characters of a reject to read

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
    extraction: Workspace

    def __call__(self) -> Callable[[pa.Table], Merged]:
        """Load tokenizer and thresholds now; verdicts with the first part, when complete."""
        counter, decider = shared_counter(self.tokenizer), Decider(self.config)
        verdicts = cache(lambda: Verdicts.load(self.workspace))

        def merge(table: pa.Table) -> Merged:
            keys = table[KEY].to_numpy()
            first = int(keys[0]) if len(keys) else 0  # names the part
            path = self.extraction.path("lengths", f"{first:016x}.npy")
            stored, near = StoredLengths(path, counter), load_decisions(self.workspace, keys)
            others = self._alternatives(table)
            return merge_documents(table, verdicts(), decider, self.config, stored, others, near)

        return merge

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
    counter: Counter,
    alternatives: Alternatives | None = None,
    clusters: pa.Table = NO_DECISION,
) -> Merged:
    """Drop what thresholds reject, older versions and duplicates; give pairs of the rest.

    `clusters` are the decisions on near duplicates (`DECISION` with key) in the table's range.
    """
    decisions = decider.decide(table)
    extras = _filtered(table, decisions)
    table = table.filter(pa.array(decisions.kept))
    ids = np.array([id_hash(i) for i in table["id"].to_pylist()], np.uint64)
    is_older = dedup.contains(verdicts.older, table[KEY].to_numpy(), ids)
    extras += _rejected(table.filter(pa.array(is_older)), "older_version", None)
    table = table.filter(pa.array(~is_older))

    hashes = table["text_hash"].to_pylist()
    kept, winner = dedup.first_of_equals(hashes, Ranking(config).of(table, "id"))
    winners = np.array(table["id"].to_pylist(), object)[winner]
    extras += _rejected(table.filter(pa.array(~kept)), "duplicate_text", winners[~kept])
    sizes = np.bincount(winner, minlength=len(kept))[kept]
    table = table.filter(pa.array(kept))
    table, near = _without_near_duplicates(table, sizes, clusters)
    return table.drop_columns([KEY]), extras + near + _pairs(
        table, verdicts, config, counter, alternatives
    )


def _pairs(
    table: pa.Table,
    verdicts: Verdicts,
    config: CurationConfig,
    counter: Counter,
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


def _without_near_duplicates(
    table: pa.Table, sizes: npt.NDArray[np.int64], clusters: pa.Table
) -> tuple[pa.Table, list[tuple[str, Any, int]]]:
    """Drop what another document of its cluster stands for; note the sizes of the clusters.

    `sizes` counts the exact copies of each row; a cluster's size counts those of its documents.
    """
    keys, listed = table[KEY].to_numpy(), clusters[KEY].to_numpy()
    place = np.minimum(np.searchsorted(listed, keys), max(0, len(listed) - 1))
    found = listed[place] == keys if len(listed) else np.zeros(len(keys), np.bool_)
    decided = clusters.take(pa.array(place[found]))
    sizes = sizes.copy()
    sizes[found] = decided["size"].to_numpy()
    is_dropped = np.zeros(len(keys), np.bool_)
    is_dropped[found] = ~decided["is_kept"].to_numpy()
    winners = decided["kept"].filter(pc.invert(decided["is_kept"])).to_pylist()
    rejects = _rejected(table.filter(pa.array(is_dropped)), "near_duplicate", winners)
    column = table.schema.get_field_index("near_duplicate_cluster_size")
    table = table.set_column(column, DOCUMENT.field(column), pa.array(sizes, pa.int32()))
    return table.filter(pa.array(~is_dropped)), rejects


class Ranking:
    """What decides among equals: the source's priority, then the id."""

    def __init__(self, config: CurationConfig) -> None:
        sources = (source for source in config.sources if source.priority)
        self._priority = {source.label: source.priority for source in sources}

    def priority(self, source: str) -> int:
        """Return the priority of a source; the highest is kept."""
        return self._priority.get(source, 0)

    def of(self, table: pa.Table, identity: str) -> list[tuple[object, ...]]:
        """Return a rank for each row; the smallest is kept."""
        sources, ids = table["source"].to_pylist(), table[identity].to_pylist()
        return [(-self.priority(s), s, i) for s, i in zip(sources, ids, strict=True)]


def _rejected(
    table: pa.Table, reason: str, winners: Sequence[str] | npt.NDArray[Any] | None
) -> list[tuple[str, Any, int]]:
    rows = table.select(["id", "source", "language"]).to_pylist()
    values = [""] * len(rows) if winners is None else list(winners)
    text = table["text" if "text" in table.schema.names else "positive"]
    excerpts = pc.utf8_slice_codeunits(text, 0, _EXCERPT).to_pylist()
    return [
        (
            "rejects",
            Reject(r["id"], "write", reason, r["source"], r["language"], value, excerpt),
            len(excerpt),
        )
        for r, value, excerpt in zip(rows, values, excerpts, strict=True)
    ]


@dataclass(frozen=True)
class PairMergeSetup:
    """Builds the pair merge in a worker."""

    config: CurationConfig
    workspace: Workspace

    def __call__(self) -> Callable[[pa.Table], Merged]:
        """Load the evaluation sets' tables, if any; it needs no model."""
        capped = cache(lambda: load_shards(self.workspace, "capped", caps.HOST_KEY))
        held = None
        if self.config.decontamination.sets:
            folder = self.workspace.path("decontamination")
            held = Contamination.load(self.config.decontamination, folder)
        return lambda table: merge_pairs(table, capped(), self.config, held)


def merge_pairs(
    table: pa.Table, capped: dedup.Array, config: CurationConfig, held: Contamination | None = None
) -> Merged:
    """Drop pairs beyond their host's cap, exact duplicates, and what evaluation sets hold."""
    rejects: list[tuple[str, Any, int]] = []
    if len(capped):
        is_over = caps.contains(capped, *_pair_keys(table))
        rejects += _rejected(table.filter(pa.array(is_over)), "domain_cap", None)
        table = table.filter(pa.array(~is_over))
    ids = table["id"].to_pylist()
    kept, winner = dedup.first_of_equals(ids, Ranking(config).of(table, "document_id"))
    winners = np.array(table["document_id"].to_pylist(), object)[winner]
    rejects += _rejected(table.filter(pa.array(~kept)), "duplicate_pair", winners[~kept])
    table = table.filter(pa.array(kept)).drop_columns([KEY])
    if held:
        table, contaminated = _without_contaminated(table, held)
        rejects += contaminated
    return table, rejects


def _without_contaminated(
    table: pa.Table, held: Contamination
) -> tuple[pa.Table, list[tuple[str, Any, int]]]:
    """Drop the pairs one side of which an evaluation set holds; the reject names its query."""
    sides = [held.find(table[side].to_pylist()) for side in ("query", "positive")]
    found = [query or positive for query, positive in zip(*sides, strict=True)]
    is_clean = pa.array([name is None for name in found], pa.bool_())
    rejects = _rejected(
        table.filter(pc.invert(is_clean)), "contaminated", [name for name in found if name]
    )
    excerpts = table["query"].filter(pc.invert(is_clean)).to_pylist()
    for (_, reject, _), excerpt in zip(rejects, excerpts, strict=True):
        reject.excerpt = excerpt[:200]
    return table.filter(is_clean), rejects


def _pair_keys(table: pa.Table) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    documents = [id_hash(identity) for identity in table["document_id"].to_pylist()]
    return pair_digests(table["id"].to_pylist()), np.array(documents, np.uint64)


def keep_all() -> Callable[[pa.Table], Merged]:
    """Return the merge that keeps every row."""
    return lambda table: (table.drop_columns([KEY]), [])
