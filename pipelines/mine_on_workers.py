"""Encoding and searching as Beam steps, for corpora beyond one machine (`mining.on_workers`).

1. encode   a part of the texts each: vectors go to the shared folder of vectors
2. search   a block of queries in a part of the passages each, exactly
3. merge    the best of all parts, block by block

Only numbers of parts and blocks pass between workers; texts, vectors and candidates lie in files.
What is done is not done again, and every result is the one that a single process gives: parts are
encoded in the same batches, and a pair's score depends on its two vectors alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation import storage
from curation.errors import ConfigError
from mining.encode_parts import Encoded, PartEncoder
from mining.index import search
from mining.miner import Found
from mining.pool import Pool, Scores
from mining.search import PoolSearch
from mining.shards import Ids, Shards
from mining.text_parts import ListedTexts
from mining.top import merge_top
from pipelines import runner
from pipelines.config import RunConfig
from pipelines.encoders import encoder_folder
from pipelines.merges import load_array, save_array
from pipelines.stored import Elements, StoredJob
from pipelines.terminal import Progress, State
from pipelines.vectors import cache_folder
from pipelines.work import Workspace
from train.checkpoint import load

_BLOCK = 16_384  # queries of a block: with 200 candidates each 39 MB
SIDES = ("queries", "passages")


@dataclass(frozen=True, kw_only=True)
class EncodeJob(StoredJob):
    """What a worker needs to encode."""

    config: RunConfig
    workspace: Workspace
    dtype: str
    """What the launcher's probe found: all workers take the same."""

    def texts(self, side: str, part: int) -> str:
        """Return where the texts of a part lie."""
        return self.workspace.path("texts", f"{side}-{part:05d}.parquet")


class Encode(beam.DoFn):  # type: ignore[misc]
    """(Side, part) → the same; its vectors are in the folder of vectors."""

    def __init__(self, job: EncodeJob) -> None:
        self._job = job

    def setup(self) -> None:
        """Load the model, once per process, on the device of `mining.encode.device`."""
        config = self._job.config
        model = load(encoder_folder(config.model.encoder), config.model, config.train.seed)
        options = replace(config.mining.encode, dtype=self._job.dtype)
        self._encoder = PartEncoder.of(model, options, cache_folder(config), _silent)

    def process(self, element: tuple[str, int]) -> Iterator[tuple[str, int]]:
        """Encode a part that is not there yet."""
        side, part = element
        with storage.open_read(self._job.texts(side, part)) as handle:
            texts = pq.read_table(handle)["text"].to_pylist()
        self._encoder.encode(ListedTexts(texts, len(texts)), is_query=side == "queries")
        save_array(self._job.workspace.path("encoded", f"{side}-{part:05d}.npy"), np.zeros(0))
        yield element


@dataclass(frozen=True, kw_only=True)
class SearchJob(StoredJob):
    """What a worker needs to search: where the vectors are, and in what pieces."""

    workspace: Workspace
    queries: tuple[str, ...]
    passages: tuple[str, ...]
    """Files of the parts' vectors."""
    starts: tuple[int, ...]
    """The number of the first passage of each part."""
    width: int
    depth: int
    memory_mb: float
    device: str

    def found(self, block: int, part: int, what: str) -> str:
        """Return where the candidates of a block in a part lie; part -1: in all."""
        name = "all" if part < 0 else f"{part:05d}"
        return self.workspace.path("found", f"{block:05d}-{name}-{what}.npy")

    def save(self, block: int, part: int, best: tuple[Scores, Ids]) -> None:
        """Write candidates; their numbers, written last, say that they are whole."""
        scores, ids = best
        save_array(self.found(block, part, "scores"), scores)
        save_array(self.found(block, part, "ids"), ids)

    def best(self, block: int, part: int) -> tuple[Scores, Ids]:
        """Return candidates."""
        scores, ids = (load_array(self.found(block, part, what)) for what in ("scores", "ids"))
        return scores, ids

    def has(self, block: int, part: int) -> bool:
        """Tell whether candidates are there."""
        return storage.exists(self.found(block, part, "ids"))


def search_part(element: tuple[int, int], job: SearchJob) -> tuple[int, int]:
    """Search a part of the passages for a block of queries; return (block, part)."""
    block, part = element
    if not job.has(block, part):
        queries = Shards(job.queries, job.width).block(block * _BLOCK, (block + 1) * _BLOCK)
        passages = Shards([job.passages[part]])
        scores, ids = search(queries, passages, job.depth, job.memory_mb, job.device)
        job.save(block, part, (scores, ids + job.starts[part]))
    return element


def merge_block(element: tuple[int, Iterable[int]], job: SearchJob) -> int:
    """Merge what a block's queries found in all parts; return the block."""
    block, parts = element
    if not job.has(block, -1):
        job.save(block, -1, merge_top([job.best(block, part) for part in sorted(parts)], job.depth))
    return block


def build_encoding(pipeline: beam.Pipeline, job: EncodeJob, elements: Sequence[Any]) -> None:
    """Add: (side, part) → vectors."""
    _ = (
        pipeline
        | "Parts" >> Elements(elements, job.workspace)
        | "Encode" >> beam.ParDo(Encode(job))
    )


def build_search(pipeline: beam.Pipeline, job: SearchJob, elements: Sequence[Any]) -> None:
    """Add: (block, part) → candidates of each block."""
    _ = (
        pipeline
        | "Pieces" >> Elements(elements, job.workspace)
        | "Search" >> beam.Map(search_part, job)
        | "ByBlock" >> beam.GroupByKey()
        | "Merge" >> beam.Map(merge_block, job)
    )


def encode_on_workers(
    config: RunConfig, workspace: Workspace, pool: Pool, encoder: PartEncoder, arguments: list[str]
) -> tuple[Encoded, Encoded]:
    """Return the vectors of queries and passages, encoded by workers."""
    size = config.mining.encode.part_texts
    texts = dict(zip(SIDES, (pool.queries, pool.passages), strict=True))
    parts: dict[str, ListedTexts] = {side: ListedTexts(t, size) for side, t in texts.items()}
    job = EncodeJob(config=config, workspace=workspace, dtype=encoder.dtype)
    elements = [(side, part) for side in SIDES for part in range(len(parts[side]))]
    for side, part in elements:
        table = pa.table({"text": pa.array(parts[side].part(part), pa.large_string())})
        storage.write_parquet(job.texts(side, part), table)
    pipeline = runner.create_pipeline(arguments, config.runner.workers, len(elements))
    build_encoding(pipeline, job, elements)
    _run(pipeline, workspace, "encode", "encoded", len(elements))
    queries, passages = (encoder.encode(parts[s], is_query=s == "queries") for s in SIDES)
    return queries, passages


def find_on_workers(
    config: RunConfig, workspace: Workspace, vectors: tuple[Encoded, Encoded], arguments: list[str]
) -> tuple[Scores, Ids]:
    """Return the (Q, k) scores and passage numbers of the best `mining.depth`, exactly."""
    queries, passages = (side.dense for side in vectors)
    options = config.mining
    job = SearchJob(
        workspace=workspace,
        queries=tuple(map(str, queries.parts)),
        passages=tuple(map(str, passages.parts)),
        starts=tuple(range(0, len(passages), options.encode.part_texts)),
        width=queries.width,
        depth=min(options.depth, len(passages)),
        memory_mb=options.index.memory_mb,
        device=options.index.device,
    )
    blocks = range(-(-len(queries) // _BLOCK))
    elements = [(block, part) for block in blocks for part in range(len(passages.parts))]
    pipeline = runner.create_pipeline(arguments, config.runner.workers, len(elements))
    build_search(pipeline, job, elements)
    _run(pipeline, workspace, "search", "found", 2 * (len(elements) + len(blocks)))
    found = [job.best(block, -1) for block in blocks]
    scores, ids = (np.concatenate(column) for column in zip(*found, strict=True))
    return scores, ids


@dataclass(frozen=True)
class FoundOnWorkers:
    """A search whose first round workers have done; deeper ones, for few rows, are done here."""

    search: PoolSearch
    depth: int
    scores: Scores
    ids: Ids

    def __call__(self, rows: Ids, depth: int) -> Found:
        """Return the best `depth` passages for rows of the pool."""
        if depth != self.depth:
            return self.search(rows, depth)
        return Found(self.ids[rows], self.scores[rows], (self.ids[rows],))


def _run(pipeline: beam.Pipeline, workspace: Workspace, name: str, folder: str, files: int) -> None:
    def state() -> State:
        done = len(storage.list_files(workspace.path(folder), ".npy"))
        return State(done / max(1, files), done)

    with Progress(f"{name} on workers", "files", state):
        if not runner.run(pipeline):
            raise ConfigError(
                "mining.on_workers runs two pipelines, the second on what the first wrote: no "
                "template or dry run can hold both; set mining.on_workers = false for one"
            )


def _silent(_: str) -> None:
    """Tell nobody: the launcher tells."""
