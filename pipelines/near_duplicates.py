"""Near-duplicate documents, decided on thin keys.

bands → candidate edges → n-grams of the candidates, read from the runs → edges of true Jaccard
similarity → clusters → decisions. Between workers pass rows of 12 and 16 bytes, and in the end the
ids of clustered documents; n-grams lie in files, one batch for each shard that compares them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import clusters, dedup, filters, runs, storage
from curation.clusters import BAND, Rows
from curation.config import CurationConfig
from curation.filters import Decider
from curation.minhash import NearDuplicateConfig, as_sets, band_hashes, jaccard
from curation.records import DOCUMENT
from curation.runs import KEY, KeyRange, Run
from curation.shingles import U64, Shingles
from pipelines.decisions import DECISION, save_decisions
from pipelines.merges import Ranking, id_hash, load_array, load_shards, save_array
from pipelines.stored import Stored, store
from pipelines.work import Tally, Workspace

STEP = "near-duplicates"
ROUNDS = 8  # settles chains of 60 to 100 documents; the buckets' stars are two steps wide
_BATCH = 1024  # texts hashed at once
_BLOB_DOCUMENTS = 1 << 16

REQUEST = np.dtype([("shard", "<u8"), ("key", "<u8")])
NODE = pa.schema(
    [
        ("key", pa.uint64()),
        ("id", pa.string()),
        ("priority", pa.int32()),
        ("length", pa.int64()),
        ("copies", pa.int64()),
    ]
)
NGRAMS = pa.schema([("key", pa.uint64()), ("ngrams", pa.large_list(pa.uint32()))])

Shard = tuple[int, Any]


class Bands(beam.DoFn):  # type: ignore[misc]
    """`Run` of documents → (shard, `BAND` rows) of those that pass their thresholds."""

    def __init__(self, config: Stored[CurationConfig], shards: int) -> None:
        self._stored = config
        self._shards = shards

    def setup(self) -> None:
        """Load the thresholds."""
        config = self._stored.load()
        self._config = config.near_duplicates
        self._decider = Decider(config)

    def process(self, run: Run) -> Iterator[Shard]:
        """Hash the texts of a run."""
        table = runs.read_columns(run.path, ["text", *filters.COLUMNS, KEY])
        table = table.filter(pa.array(self._decider.decide(table).kept))
        rows = bands_of(table[KEY].to_numpy(), table["text"].to_pylist(), self._config)
        yield from bands_by_shard(rows, self._shards)


def bands_of(keys: U64, texts: Sequence[str], config: NearDuplicateConfig) -> Rows:
    """Return (key, bands) of the texts that have an n-gram."""
    dtype = np.dtype([("key", "<u8"), ("bands", "<u8", (config.bands,))])
    pieces = [np.empty(0, dtype)]
    for start in range(0, len(texts), _BATCH):
        some = slice(start, start + _BATCH)
        hashes, has_any = band_hashes(config.shingle(texts[some]), config)
        pieces.append(clusters.rows_of(dtype, keys[some][has_any], hashes))
    return np.concatenate(pieces)


def bands_by_shard(rows: Rows, shards: int) -> Iterator[Shard]:
    """Yield (shard, `BAND` rows) so that equal bands meet in one shard."""
    for start in range(0, len(rows), _BLOB_DOCUMENTS):
        some = rows[start : start + _BLOB_DOCUMENTS]
        bands = some["bands"].ravel()
        keys = np.repeat(some["key"], some["bands"].shape[1])
        low = (bands & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        yield from split_rows(clusters.rows_of(BAND, low, keys), bands, shards)


def split_rows(rows: npt.NDArray[Any], by: U64, shards: int) -> Iterator[Shard]:
    """Yield (shard, rows) by the shard in which each row's value of `by` lies."""
    owner = clusters.shard_of(by, shards)
    order = np.argsort(owner, kind="stable")
    edges = np.searchsorted(owner[order], np.arange(shards + 1))
    for shard in np.flatnonzero(np.diff(edges)).tolist():
        yield shard, rows[order[edges[shard] : edges[shard + 1]]]


@dataclass
class FindNearDuplicates(beam.PTransform):  # type: ignore[misc]
    """`Run` of documents → paths of decisions, for `load_decisions`."""

    config: CurationConfig
    workspace: Workspace
    shards: int
    drops: Any
    """A PCollection that is complete when all older versions are known."""

    def expand(self, items: beam.PCollection) -> beam.PCollection:
        """Candidates, their n-grams, true similarity, clusters, decisions."""
        stored = store(self.workspace, "near-duplicates", self.config)
        step = _Steps(self.config.near_duplicates.threshold, self.workspace, self.shards)
        paths = beam.pvalue.AsList(items | "Paths" >> beam.Map(lambda run: run.path))
        edges = (
            items
            | "Bands" >> beam.ParDo(Bands(stored, self.shards))
            | "Meet by band" >> beam.GroupByKey()
            | "Candidates" >> beam.FlatMap(step.candidates)
            | "Meet by edge" >> beam.GroupByKey()
            | "Edges" >> beam.FlatMap(step.store_edges).with_outputs("requests", main="shards")
        )
        fetched = (
            edges.requests
            | "Meet by key" >> beam.GroupByKey()
            | "N-grams" >> beam.ParDo(Fetch(stored, step), paths, beam.pvalue.AsList(self.drops))
        )
        links = edges.shards | "Verify" >> beam.FlatMap(step.verify, beam.pvalue.AsList(fetched))
        for number in range(ROUNDS):
            links = links | f"Meet {number}" >> beam.GroupByKey()
            if number < ROUNDS - 1:
                links = links | f"Round {number}" >> beam.FlatMap(step.round)
        return (
            links
            | "Members" >> beam.FlatMap(step.members)
            | "Meet by cluster" >> beam.GroupByKey()
            | "Decide" >> beam.FlatMap(step.decide)
            | "Meet decisions" >> beam.GroupByKey()
            | "Store" >> beam.Map(step.store)
        )


@dataclass(frozen=True)
class _Steps:
    """The steps, each a function of one shard and what it reads from the workspace."""

    threshold: float
    workspace: Workspace
    shards: int

    def candidates(self, element: tuple[int, Iterable[Rows]]) -> Iterator[Shard]:
        """(shard of bands, rows) → (shard of the smaller key, edges)."""
        edges = clusters.candidate_edges(np.concatenate(list(element[1])))
        yield from split_rows(edges, edges["low"], self.shards)

    def store_edges(self, element: tuple[int, Iterable[Rows]]) -> Iterator[Any]:
        """(shard, edges) → shard; tagged: requests for the n-grams of both sides."""
        shard, blobs = element
        edges = clusters.sorted_rows(np.concatenate(list(blobs)))
        save_array(self.edges_path(shard), edges)
        yield shard
        keys = np.unique(np.concatenate([edges["low"], edges["high"]]))
        wanted = clusters.rows_of(REQUEST, np.full(len(keys), shard, np.uint64), keys)
        for item in split_rows(wanted, keys, self.shards):
            yield beam.pvalue.TaggedOutput("requests", item)

    def verify(self, shard: int, paths: list[str]) -> Iterator[Shard]:
        """Shard → links of the edges whose texts are similar enough."""
        tally = Tally(self.workspace, STEP, f"verify-{shard:04d}")
        edges = load_array(self.edges_path(shard))
        keys, sets = read_ngrams(paths, shard)
        left, right = _places(keys, edges["low"]), _places(keys, edges["high"])
        found = (left >= 0) & (right >= 0)  # older versions have no n-grams
        edges = edges[found]
        similarity = jaccard(sets, left[found], right[found])
        similar = edges[similarity >= self.threshold]
        tally.add("candidate_edges", count=len(edges))
        tally.add("near_duplicate_edges", count=len(similar))
        tally.finish()
        links = clusters.links_of(similar)
        yield from split_rows(links, links["node"], self.shards)

    def round(self, element: tuple[int, Iterable[Rows]]) -> Iterator[Shard]:
        """(shard, links) → (shard, links), one step nearer to the clusters' smallest keys."""
        links = clusters.hash_to_min(np.concatenate(list(element[1])))
        yield from split_rows(links, links["node"], self.shards)

    def members(self, element: tuple[int, Iterable[Rows]]) -> Iterator[Shard]:
        """(shard, links) → (shard of the center, `NODE` table with center)."""
        shard, blobs = element
        rows, unsettled = clusters.centers(np.concatenate(list(blobs)))
        tally = Tally(self.workspace, STEP, f"members-{shard:04d}")
        tally.add("unsettled_documents", count=unsettled)
        tally.finish()
        with storage.open_read(self.nodes_path(shard)) as handle:
            nodes = pq.read_table(handle)
        nodes = nodes.take(pa.array(_places(nodes["key"].to_numpy(), rows["node"])))
        nodes = nodes.append_column("center", pa.array(rows["member"]))
        order = np.arange(len(rows))
        for owner, places in split_rows(order, rows["member"], self.shards):
            yield owner, nodes.take(pa.array(places)).combine_chunks()

    def decide(self, element: tuple[int, Iterable[pa.Table]]) -> Iterator[Shard]:
        """(shard, nodes) → (shard of the key, decisions)."""
        decisions = decide(pa.concat_tables(element[1]))
        keys = decisions[KEY].to_numpy()
        for owner, places in split_rows(np.arange(len(keys)), keys, self.shards):
            yield owner, decisions.take(pa.array(places)).combine_chunks()

    def store(self, element: tuple[int, Iterable[pa.Table]]) -> str:
        """(shard, decisions) → the path where they lie, sorted by key."""
        return save_decisions(self.workspace, element[0], self.shards, element[1])

    def edges_path(self, shard: int) -> str:
        """Return where a shard's edges lie."""
        return self.workspace.path("edges", f"shard-{shard:04d}.npy")

    def nodes_path(self, shard: int) -> str:
        """Return where a shard's nodes lie."""
        return self.workspace.path("nodes", f"shard-{shard:04d}.parquet")


class Fetch(beam.DoFn):  # type: ignore[misc]
    """(shard, `REQUEST` rows) → path of the n-grams, one batch for each shard that asked."""

    def __init__(self, config: Stored[CurationConfig], steps: _Steps) -> None:
        self._stored = config
        self._steps = steps

    def setup(self) -> None:
        """Load the thresholds."""
        config = self._stored.load()
        self._config = config.near_duplicates
        self._ranking = Ranking(config)
        self._decider = Decider(config)

    def process(
        self, element: tuple[int, Iterable[Rows]], paths: list[str], after: list[Any]
    ) -> Iterator[str]:
        """Read the texts that are candidates; write their n-grams and what ranks them."""
        del after  # a barrier, not data
        shard, blobs = element
        shards, workspace = self._steps.shards, self._steps.workspace
        requests = clusters.sorted_rows(np.concatenate(list(blobs)))
        part = KeyRange(shard, *clusters.shard_range(shard, shards))
        older = load_shards(workspace, "drops", dedup.THIN_KEY)
        table = read_rows(paths, part, np.unique(requests["key"]), older, self._decider)
        nodes, texts = best_of_equals(table, self._ranking)
        storage.write_parquet(self._steps.nodes_path(shard), nodes)
        sets = as_sets(self._config.shingle(texts))
        path = workspace.path("ngrams", f"shard-{shard:04d}.arrow")
        write_ngrams(path, nodes["key"].to_numpy(), sets, requests, shards)
        yield path


def read_rows(
    paths: Sequence[str], part: KeyRange, wanted: U64, older: dedup.Array, decider: Decider
) -> pa.Table:
    """Return id, source, text and key of the wanted keys of a range, of documents that stay."""
    columns = ["id", "source", "text", *filters.COLUMNS]
    fields = [*(DOCUMENT.field(name) for name in columns[:3]), pa.field(KEY, pa.uint64())]
    pieces = [pa.schema(fields).empty_table()]
    for path in sorted(paths):
        table = runs.read_range([path], part, DOCUMENT, columns)
        table = table.filter(pa.array(_places(wanted, table[KEY].to_numpy()) >= 0))
        table = table.filter(pa.array(decider.decide(table).kept))
        ids = np.array([id_hash(i) for i in table["id"].to_pylist()], np.uint64)
        is_older = dedup.contains(older, table[KEY].to_numpy(), ids)
        pieces.append(table.filter(pa.array(~is_older)).select(pieces[0].column_names))
    return pa.concat_tables(pieces).combine_chunks()


def best_of_equals(table: pa.Table, ranking: Ranking) -> tuple[pa.Table, list[str]]:
    """Return a `NODE` and the text for each key: the document that exact deduplication keeps."""
    table = table.sort_by([(KEY, "ascending"), ("source", "ascending"), ("id", "ascending")])
    keys = table[KEY].to_numpy()
    kept, winner = dedup.first_of_equals(keys.tolist(), ranking.of(table, "id"))
    best = table.filter(pa.array(kept))
    nodes = [
        best[KEY],
        best["id"],
        pa.array([ranking.priority(s) for s in best["source"].to_pylist()], pa.int32()),
        pc.utf8_length(best["text"]).cast(pa.int64()),
        pa.array(np.bincount(winner, minlength=len(keys))[kept], pa.int64()),
    ]
    return pa.Table.from_arrays(nodes, schema=NODE), best["text"].to_pylist()


def write_ngrams(path: str, keys: U64, sets: Shingles, requests: Rows, shards: int) -> None:
    """Write an Arrow file whose batch i holds the n-grams that shard i asked for."""
    places = _places(keys, requests["key"])
    requests, places = requests[places >= 0], places[places >= 0]
    edges = np.searchsorted(requests["shard"], np.arange(shards + 1, dtype=np.uint64))
    ngrams = pa.LargeListArray.from_arrays(sets.offsets, sets.hashes.astype(np.uint32))
    with storage.open_write(path) as handle, pa.ipc.new_file(handle, NGRAMS) as writer:
        for low, high in itertools.pairwise(edges.tolist()):
            some = pa.array(places[low:high])
            columns = [pa.array(keys).take(some), ngrams.take(some)]
            writer.write_batch(pa.record_batch(columns, schema=NGRAMS))


def read_ngrams(paths: Iterable[str], shard: int) -> tuple[U64, Shingles]:
    """Return the keys and n-gram sets that a shard asked for, sorted by key."""
    batches = []
    for path in sorted(paths):  # shard order, which is key order
        with storage.open_read(path) as handle:
            batches.append(pa.ipc.open_file(handle).get_batch(shard))
    table = pa.Table.from_batches(batches, NGRAMS).combine_chunks()
    ngrams = table["ngrams"].combine_chunks()
    if isinstance(ngrams, pa.ChunkedArray):
        ngrams = pa.concat_arrays(ngrams.chunks or [pa.array([], NGRAMS.field("ngrams").type)])
    hashes = pc.list_flatten(ngrams).to_numpy().astype(np.uint64)
    sizes = pc.list_value_length(ngrams).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return table["key"].to_numpy(), Shingles(hashes, offsets)


def decide(nodes: pa.Table) -> pa.Table:
    """Return a `DECISION` with key for each node: of a center's nodes the best is kept.

    Best is the source of the highest priority, then the longest text, then the smallest id.
    """
    order = [("center", "ascending"), ("priority", "descending"), ("length", "descending")]
    nodes = nodes.sort_by([*order, ("id", "ascending"), ("key", "ascending")])
    center = nodes["center"].to_numpy()
    is_kept = np.append(True, center[1:] != center[:-1])[: len(center)]
    group = np.cumsum(is_kept) - 1
    size = np.bincount(group, nodes["copies"].to_numpy()).astype(np.int32)[group]
    kept = nodes["id"].take(pa.array(np.flatnonzero(is_kept)[group]))
    columns = [kept, pa.array(size), pa.array(is_kept)]
    return pa.Table.from_arrays(columns, schema=DECISION).append_column(KEY, nodes["key"])


def _places(keys: U64, asked: U64) -> Any:
    """Return where each asked key lies in sorted `keys`, -1 for none."""
    place = np.searchsorted(keys, asked)
    found = np.append(keys, np.uint64(0))[place] == asked
    return np.where(found & (place < len(keys)), place, -1)
