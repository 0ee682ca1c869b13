"""Pairs → the rank of each positive for its own query, part by part.

1. plan     thin hashes of positives: which are the pool of an index, and which part has each first
2. encode   each text once: pool vectors into one file per index, queries into one per part
3. rank     index by index, queries of all parts against its pool

Memory holds the texts of one part, the vectors of one batch and 20 bytes a pool passage;
everything else lies in half precision on disk. An element that is finished is not done again,
and what it wrote does not depend on what had been finished before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from curation import storage
from curation.relevance import RelevanceConfig
from mining.encode import Report, encode_dense
from mining.ranks import Half, own_scores, ranks_among, without_rivals
from pipelines.merges import id_hash, load_array, save_array
from pipelines.work import Tally, Workspace
from train.model import M3Model

MEMBER = np.dtype([("hash", "<u8"), ("document", "<u8"), ("part", "<i4")])
ROW = np.dtype(
    [("index", "<i4"), ("row", "<i4"), ("place", "<i8"), ("document", "<u8"), ("score", "<f4")]
)
RANKS = pa.schema(
    [
        ("id", pa.string()),
        ("consistency_rank", pa.int32()),
        ("consistency_score", pa.float32()),
    ]
)
_BATCH_QUERIES = 32_768

Members = npt.NDArray[np.void]
Rows = npt.NDArray[np.void]


@dataclass(frozen=True, kw_only=True)
class RankJob:
    """What the steps need to know."""

    config: RelevanceConfig
    workspace: Workspace
    parts: tuple[str, ...]
    """Paths of the parts of pairs, in the manifest's order."""
    names: tuple[str, ...]

    def vectors(self, index: int) -> str:
        """Return where the pool of an index lies, (P, d) in half precision."""
        return self.workspace.path("pool", f"{index:05d}.npy")

    def part_file(self, part: int, what: str) -> str:
        """Return where rows, queries or ranks of a part lie."""
        return self.workspace.path("parts", f"{part:05d}-{what}.npy")


class Pools:
    """Which positives compete: per index the smallest hashes of distinct texts, sorted."""

    def __init__(self, members: dict[str, Members]) -> None:
        self.names = sorted(members)
        self.members = [members[name] for name in self.names]
        self._numbers = {name: i for i, name in enumerate(self.names)}

    def number(self, name: str) -> int:
        """Return the number of an index."""
        return self._numbers[name]

    def places(self, index: int, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Return where texts are in the pool of an index, -1 for those that are not."""
        known = self.members[index]["hash"]
        found = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
        return np.where(known[found] == hashes, found, -1).astype(np.int64)


@dataclass(slots=True)
class PartRows:
    """The rows of a part that are ranked, with what is thin about them."""

    queries: list[str]
    positives: list[str]
    rows: npt.NDArray[np.int64]
    indexes: list[str]
    hashes: npt.NDArray[np.uint64]
    documents: npt.NDArray[np.uint64]
    """Hashes of the ids of their documents; 0 where there is none."""


def read_rows(path: str, config: RelevanceConfig) -> PartRows:
    """Read what is ranked of a part of pairs."""
    columns = list(dict.fromkeys(["query", "positive", "relation", "document_id", *config.index]))
    with storage.open_read(path) as handle:
        table = pq.read_table(handle, columns=columns)
    rows = np.flatnonzero(np.isin(table["relation"].to_pylist(), config.relations))
    table = table.take(pa.array(rows))
    keys = [table[name].to_pylist() for name in config.index]
    positives = table["positive"].to_pylist()
    hashes = [xxhash.xxh3_64_intdigest(text.encode(), seed=config.seed) for text in positives]
    return PartRows(
        queries=table["query"].to_pylist(),
        positives=positives,
        rows=rows,
        indexes=["\t".join(key) for key in zip(*keys, strict=True)] if keys else [""] * len(rows),
        hashes=np.array(hashes, np.uint64),
        documents=np.array(
            [id_hash(i) if i else 0 for i in table["document_id"].to_pylist()], np.uint64
        ),
    )


def plan_pools(job: RankJob) -> Pools:
    """Return the pool of each index: the texts of the smallest hashes, each with its first part."""
    members: dict[str, Members] = {}
    for part, path in enumerate(job.parts):
        found = read_rows(path, job.config)
        names, codes = np.unique(np.array(found.indexes, object), return_inverse=True)
        order = np.argsort(codes, kind="stable")
        edges = np.searchsorted(codes[order], np.arange(1, len(names)))
        for name, here in zip(names.tolist(), np.split(order, edges), strict=bool(len(names))):
            new, first = np.unique(found.hashes[here], return_index=True)
            rows = np.empty(len(new), MEMBER)
            rows["hash"], rows["document"] = new, found.documents[here][first]
            rows["part"] = part
            known = members.get(name, np.empty(0, MEMBER))
            members[name] = _smallest(np.concatenate([known, rows]), job.config.pool)
    return Pools(members)


def _smallest(rows: Members, count: int) -> Members:
    """Return the rows of the smallest hashes, one a hash: that of the first part."""
    rows = np.sort(rows, order=("hash", "part"))
    first = np.append(True, rows["hash"][1:] != rows["hash"][:-1])[: len(rows)]
    smallest: Members = rows[first][:count]
    return smallest


def encode_part(
    job: RankJob, pools: Pools, part: int, model: M3Model, dtype: str, report: Report
) -> int:
    """Encode the texts of a part that no earlier part has encoded; return the rows ranked."""
    label = f"{part:05d}"
    done = job.workspace.finished("encode", label)
    if done:
        return int(done["counts"]["rows"])
    found = read_rows(job.parts[part], job.config)
    rows = _placed(found, pools)
    order = np.argsort(rows["index"], kind="stable")
    rows, hashes = rows[order], found.hashes[order]
    encoder = Encoder(model, dtype, job.config.batch_tokens, report)
    queries = encoder.encode([found.queries[i] for i in order], is_query=True)
    texts = [found.positives[i] for i in order]
    positives = own_vectors(job, pools, part, rows, hashes, texts, encoder)
    rows["score"] = own_scores(queries, positives)
    save_array(job.part_file(part, "rows"), rows)
    save_array(job.part_file(part, "queries"), queries)
    save_array(job.part_file(part, "ranks"), np.zeros(len(rows), np.int32))
    tally = Tally(job.workspace, "encode", label)
    tally.add("rows", count=len(rows))
    tally.finish()
    return len(rows)


def _placed(found: PartRows, pools: Pools) -> Rows:
    rows = np.zeros(len(found.rows), ROW)
    rows["row"], rows["document"] = found.rows, found.documents
    rows["index"] = [pools.number(name) for name in found.indexes]
    for index in np.unique(rows["index"]).tolist():
        here = rows["index"] == index
        rows["place"][here] = pools.places(index, found.hashes[here])
    return rows


@dataclass(slots=True)
class Encoder:
    """The model and how it is run; tells how many texts and tokens it has done in all."""

    model: M3Model
    dtype: str
    batch_tokens: int
    report: Report
    _texts: int = 0
    _tokens: int = 0

    @property
    def width(self) -> int:
        """The numbers in a vector."""
        return int(self.model.encoder.config.hidden_size)

    def encode(self, texts: Sequence[str], *, is_query: bool) -> Half:
        """Return the (N, d) vectors of texts in half precision."""
        done = [0, 0]

        def report(*counts: int) -> None:
            done[:] = counts
            self.report(self._texts + counts[0], self._tokens + counts[1])

        vectors = encode_dense(
            self.model,
            texts,
            is_query=is_query,
            budget=self.batch_tokens,
            dtype=self.dtype,
            report=report,
        )
        self._texts, self._tokens = self._texts + done[0], self._tokens + done[1]
        half: Half = vectors.astype(np.float16)
        return half


def own_vectors(
    job: RankJob,
    pools: Pools,
    part: int,
    rows: Rows,
    hashes: npt.NDArray[np.uint64],
    texts: Sequence[str],
    encoder: Encoder,
) -> Half:
    """Return the vectors of the rows' positives, and store those that this part owes the pools.

    A text of a pool is encoded by the first part that has it and looked up by the others.
    """
    owner = np.full(len(rows), part)
    for index, here in _slices(rows):
        place = rows["place"][here]
        owner[here] = np.where(place >= 0, pools.members[index]["part"][place], part)
    own = np.flatnonzero(owner == part)
    _, first, inverse = np.unique(hashes[own], return_index=True, return_inverse=True)
    vectors = np.empty((len(rows), encoder.width), np.float16)
    vectors[own] = encoder.encode([texts[own[i]] for i in first], is_query=False)[inverse]
    for index, here in _slices(rows):
        pool = _open_pool(job, index, len(pools.members[index]), encoder.width)
        place, is_own = rows["place"][here], owner[here] == part
        in_pool = is_own & (place >= 0)
        pool[place[in_pool]] = vectors[here][in_pool]
        pool.flush()
        vectors[np.arange(here.start, here.stop)[~is_own]] = pool[place[~is_own]]
    return vectors


def _slices(rows: Rows) -> Iterator[tuple[int, slice]]:
    """Yield (index, its rows) of rows sorted by index."""
    indexes, starts = np.unique(rows["index"], return_index=True)
    ends = [*starts[1:], len(rows)]
    for index, start, end in zip(indexes.tolist(), starts, ends, strict=True):
        yield index, slice(int(start), int(end))


def _open_pool(job: RankJob, index: int, size: int, width: int) -> Any:
    path = Path(job.vectors(index))
    if path.exists():
        return np.lib.format.open_memmap(path, mode="r+")
    path.parent.mkdir(parents=True, exist_ok=True)
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(size, width))


def part_offsets(job: RankJob, indexes: int) -> npt.NDArray[np.int64]:
    """Return (parts, indexes + 1): rows of index i in part p begin at [p, i], end at [p, i + 1]."""
    wanted = np.arange(indexes + 1)
    rows = (load_array(job.part_file(part, "rows")) for part in range(len(job.parts)))
    found = [np.searchsorted(r["index"], wanted) for r in rows]
    return np.array(found, np.int64).reshape(len(job.parts), indexes + 1)


def rank_index(
    job: RankJob, pools: Pools, offsets: npt.NDArray[np.int64], index: int, device: Any
) -> int:
    """Rank the rows of an index in all parts against its pool; return how many."""
    label = f"{index:05d}"
    done = job.workspace.finished("rank", label)
    if done:
        return int(done["counts"]["rows"])
    pool = np.load(job.vectors(index), mmap_mode="r", allow_pickle=False)
    documents = pools.members[index]["document"]
    count = 0
    for batch in _batches(offsets, index):
        rows = _gathered(job, "rows", batch)
        queries = _gathered(job, "queries", batch)
        ignored = without_rivals(rows["place"], rows["document"], documents)
        scores = rows["score"].copy()
        ranks = ranks_among(queries, scores, ignored, pool, device, job.config.block_rows)
        _store(job, batch, ranks)
        count += len(ranks)
    tally = Tally(job.workspace, "rank", label)
    tally.add("rows", count=count)
    tally.finish()
    return count


def _gathered(job: RankJob, what: str, batch: list[tuple[int, slice]]) -> npt.NDArray[Any]:
    """Return the rows of a batch out of the files of its parts, of which no more is read."""
    files = (np.load(job.part_file(part, what), mmap_mode="r") for part, _ in batch)
    return np.concatenate([file[rows] for file, (_, rows) in zip(files, batch, strict=True)])


def _batches(offsets: npt.NDArray[np.int64], index: int) -> Iterator[list[tuple[int, slice]]]:
    """Yield (part, its rows of an index), as many parts at a time as a batch has room for."""
    batch: list[tuple[int, slice]] = []
    size = 0
    for part, (low, high) in enumerate(offsets[:, index : index + 2].tolist()):
        for start in range(low, high, _BATCH_QUERIES):
            end = min(high, start + _BATCH_QUERIES)
            if batch and size + end - start > _BATCH_QUERIES:
                yield batch
                batch, size = [], 0
            batch.append((part, slice(start, end)))
            size += end - start
    if batch:
        yield batch


def _store(job: RankJob, batch: list[tuple[int, slice]], ranks: npt.NDArray[np.int32]) -> None:
    done = 0
    for part, rows in batch:
        stored = np.lib.format.open_memmap(job.part_file(part, "ranks"), mode="r+")
        stored[rows] = ranks[done : done + rows.stop - rows.start]
        stored.flush()
        done += rows.stop - rows.start


def ranks_table(job: RankJob, part: int) -> pa.Table:
    """Return id, rank and score of every pair of a part, null where it was not ranked."""
    with storage.open_read(job.parts[part]) as handle:
        ids = pq.read_table(handle, columns=["id"])["id"].combine_chunks()
    rows = load_array(job.part_file(part, "rows"))
    ranks, scores = np.zeros(len(ids), np.int32), np.zeros(len(ids), np.float32)
    ranks[rows["row"]] = load_array(job.part_file(part, "ranks"))
    scores[rows["row"]] = rows["score"]
    unranked = ranks == 0
    return pa.Table.from_arrays(
        [ids, pa.array(ranks, mask=unranked), pa.array(scores, mask=unranked)], schema=RANKS
    )
