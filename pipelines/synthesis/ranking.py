"""The round trip: the rank of each question's own paragraph among the others of its language.

Ranks are taken of every answer that has a text, whatever the checks say of it, and kept in
OUT/question-ranks: another check or `top_k` encodes nothing again. Memory holds the texts and
vectors of one language.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation import manifest, storage
from curation.caps import hash64
from mining.ranks import own_scores, ranks_among, without_rivals
from pipelines.relevance import Encoder
from pipelines.stage import Stage
from pipelines.synth import SynthJob, read_table
from pipelines.terminal import Progress
from pipelines.work import Tally

OUTPUT = "question-ranks"
RANKS = pa.schema(
    [
        ("id", pa.string()),
        ("language", pa.string()),
        ("question", pa.string()),
        ("round_trip_rank", pa.int32()),
        ("round_trip_score", pa.float32()),
        ("pool", pa.int32()),
    ]
)
ALL = "all"


@dataclass(frozen=True, slots=True)
class Group:
    """The questions of one language with their paragraphs, and the passages that compete."""

    ids: list[str]
    languages: list[str]
    questions: list[str]
    own: npt.NDArray[np.int64]
    """(Q,) the passage of each question."""
    documents: npt.NDArray[np.uint64]
    """(Q,) hashes of the questions' documents."""
    passages: list[str]
    passage_documents: npt.NDArray[np.uint64]


def asked_rows(job: SynthJob, part: str) -> pa.Table:
    """Return the samples of a part with the question that was answered, "" where there is none."""
    samples = read_table(job.samples_path(part))
    samples = samples.select(["key", "document_id", "language", "paragraph"])
    checked = read_table(job.workspace.path("checked", part))
    return samples.append_column("question", checked["question"])


def rival_rows(job: SynthJob, part: str) -> pa.Table:
    """Return the further passages of a part."""
    return read_table(job.workspace.path("passages", part))


def digest(job: SynthJob) -> str:
    """Return what identifies all questions, paragraphs and passages."""
    found = hashlib.sha256()
    for part in job.sampled_parts():
        for rows in (asked_rows(job, part), rival_rows(job, part)):
            for row in rows.to_pylist():
                found.update("\0".join(row.values()).encode() + b"\n")
    return found.hexdigest()[:32]


def group_names(job: SynthJob) -> list[str]:
    """Return the languages that have questions, or `ALL` alone where all compete with all."""
    if job.config.round_trip.scope == ALL:
        return [ALL]
    listed = (read_table(job.samples_path(part))["language"] for part in job.sampled_parts())
    return sorted({language for column in listed for language in column.unique().to_pylist()})


def read_group(job: SynthJob, name: str) -> Group:
    """Read the questions of a group and all passages that compete for them."""
    numbers: dict[str, int] = {}
    owners: list[int] = []

    def place(text: str, document: str) -> int:
        if text not in numbers:
            numbers[text] = len(numbers)
            owners.append(hash64(document))
        return numbers[text]

    rows = []
    for part in job.sampled_parts():
        for row in _of(asked_rows(job, part), name):
            row["own"] = place(row["paragraph"], row["document_id"])
            rows += [row] if row["question"] else []
    for part in job.sampled_parts():
        for row in _of(rival_rows(job, part), name):
            place(row["paragraph"], row["document_id"])
    return Group(
        ids=[f"{row['document_id']}#{row['key']}" for row in rows],
        languages=[row["language"] for row in rows],
        questions=[row["question"] for row in rows],
        own=np.array([row["own"] for row in rows], np.int64),
        documents=np.array([hash64(row["document_id"]) for row in rows], np.uint64),
        passages=list(numbers),
        passage_documents=np.array(owners, np.uint64),
    )


def _of(table: pa.Table, name: str) -> Iterator[dict[str, Any]]:
    if name != ALL:
        table = table.filter(pc.equal(table["language"], name))
    yield from table.to_pylist()


def rank_group(group: Group, encoder: Encoder) -> pa.Table:
    """Return `RANKS` of the questions of a group."""
    if not group.ids:
        return RANKS.empty_table()
    pool = encoder.encode(group.passages, is_query=False)
    queries = encoder.encode(group.questions, is_query=True)
    scores = own_scores(queries, pool[group.own])
    ignored = without_rivals(group.own, group.documents, group.passage_documents)
    ranks = ranks_among(queries, scores, ignored, pool, encoder.model.device)
    pools = np.full(len(ranks), len(group.passages), np.int32)
    columns = [group.ids, group.languages, group.questions, ranks, scores, pools]
    return pa.table(dict(zip(RANKS.names, columns, strict=True)), schema=RANKS)


def write_ranks(job: SynthJob, stage: Stage, encoder: Encoder, progress: Progress) -> None:
    """Rank group by group, passing over those of an earlier attempt, and publish the folder."""
    names, done = group_names(job), 0
    stage.begin()
    for number, name in enumerate(names):
        label = f"{number:05d}"
        if stage.workspace.finished("rank", label) is None:
            table = rank_group(read_group(job, name), encoder)
            file = f"part-{label}.parquet"
            path = storage.join(stage.directory(OUTPUT), file)
            part = storage.write_parquet(path, table) | {"name": file}
            Tally(stage.workspace, "rank", label).finish(part=part)
            done += table.num_rows
        progress.update((number + 1) / len(names), done)
    parts = [status["part"] for status in stage.workspace.statuses("rank")]
    manifest.publish(stage.directory(OUTPUT), stage.description(OUTPUT), parts)
    storage.remove(stage.workspace.root)


class Ranks:
    """Rank and score by id: 16 bytes a question."""

    def __init__(self, paths: list[str]) -> None:
        tables = [RANKS.empty_table(), *map(read_table, paths)]
        table = pa.concat_tables(tables).select(["id", "round_trip_rank", "round_trip_score"])
        hashes = np.array([hash64(i) for i in table["id"].to_pylist()], np.uint64)
        order = np.argsort(hashes)
        self._hashes = hashes[order]
        self._ranks = table["round_trip_rank"].to_numpy()[order]
        self._scores = table["round_trip_score"].to_numpy()[order]

    def find(self, identity: str) -> tuple[int | None, float | None]:
        """Return rank and score of a question; None where it was not ranked."""
        wanted = np.uint64(hash64(identity))
        place = int(np.searchsorted(self._hashes, wanted))
        if place == len(self._hashes) or self._hashes[place] != wanted:
            return None, None
        return int(self._ranks[place]), float(self._scores[place])
