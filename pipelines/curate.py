"""`curate`: raw files → documents, pairs and rejects.

1. extract   each file is read once; cleaned records are spilled as runs
2. decide    thin keys of documents meet by id; older versions are marked; redirects meet the
             articles they point to by a hash of the title
3. write     document parts gather their key range, drop duplicates, and give pairs
4. pairs     pair parts gather theirs: buckets by length, sorted, duplicates dropped
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from curation import dedup, storage, tokens
from curation.config import CurationConfig
from curation.extract import Cleaner, Split, SplitReader, list_splits
from curation.records import DOCUMENT, PAIR, REJECT, Document, Reject
from curation.redirects import Redirect, TitleKey, document_title_key
from curation.tokens import TokenCounter
from pipelines.merges import (
    DocumentMergeSetup,
    PairMergeSetup,
    id_hash,
    keep_all,
    load_array,
    save_array,
)
from pipelines.parts import PartPlan, WriteParts, count_record
from pipelines.redirects import JoinRedirects
from pipelines.spill import Spiller, count_tokens, document_keys, earlier_runs
from pipelines.work import Tally, Workspace

ID_SHARDS = 64
SPILLED = ("documents", "pairs", "redirects", "titles", "rejects")


@dataclass(frozen=True, kw_only=True)
class CurateJob:
    """What the workers need to know."""

    config: CurationConfig
    tokenizer: str
    workspace: Workspace
    out: str
    descriptions: dict[str, dict[str, Any]]

    @property
    def part_bytes(self) -> int:
        """Uncompressed bytes of a part."""
        return int(self.config.part_mb * (1 << 20))

    def plan(self, kind: str, schema: pa.Schema, **options: Any) -> PartPlan:
        """Return how a kind of record is written."""
        return PartPlan(
            kind=kind,
            directory=storage.join(self.out, self.directory(kind)),
            schema=schema,
            part_bytes=self.part_bytes,
            spill_bytes=self.part_bytes,
            description=self.descriptions[self.directory(kind)],
            **options,
        )

    @staticmethod
    def directory(kind: str) -> str:
        """Return the output folder of a kind of record."""
        return "rejects/curate" if kind == "rejects" else kind


def build(pipeline: beam.Pipeline, job: CurateJob) -> None:
    """Add the whole job to a pipeline; its graph has the same size for any number of sources."""
    extracted = (
        pipeline
        | "Splits" >> beam.Create(list_splits(job.config))
        | "Spread" >> beam.Reshuffle()
        | "Extract" >> beam.ParDo(Extract(job)).with_outputs(*SPILLED, main="ids")
    )
    drops = (
        extracted.ids
        | "Meet by id" >> beam.GroupByKey()
        | "Older versions" >> beam.Map(write_drops, job.workspace)
    )
    joined = (extracted.redirects, extracted.titles) | "Alternative titles" >> JoinRedirects(
        job.workspace, job.part_bytes
    )
    documents = extracted.documents | "Documents" >> WriteParts(
        job.plan("documents", DOCUMENT),
        job.workspace,
        DocumentMergeSetup(job.config, job.tokenizer, job.workspace),
        spills=("pairs", "rejects"),
        after=(drops, joined.joined) | "Decided" >> beam.Flatten(),
    )
    pairs = (
        (extracted.pairs, documents.pairs)
        | "All pairs" >> beam.Flatten()
        | (
            "Pairs"
            >> WriteParts(
                job.plan(
                    "pairs",
                    PAIR,
                    names=tokens.length_part_names,
                    boundaries=tuple(tokens.bucket_boundaries()),
                ),
                job.workspace,
                PairMergeSetup(job.config),
            )
        )
    )
    _ = (
        (extracted.rejects, joined.rejects, documents.rejects, pairs.rejects)
        | "All rejects" >> beam.Flatten()
        | "Rejects" >> WriteParts(job.plan("rejects", REJECT), job.workspace, keep_all, spills=())
    )


class Extract(beam.DoFn):  # type: ignore[misc]
    """`Split` → runs of documents, pairs and rejects, and thin keys of the documents."""

    def __init__(self, job: CurateJob) -> None:
        self._job = job

    def setup(self) -> None:
        """Load the language engines and the tokenizer."""
        self._cleaner = Cleaner(self._job.config)
        self._counter = TokenCounter(self._job.tokenizer)

    def process(self, split: Split) -> Iterator[Any]:
        """Read a file, unless an earlier attempt finished it."""
        element = split.element
        workspace = self._job.workspace
        done = workspace.finished("extract", element)
        outputs = done["outputs"] if done else self._read(split, element)
        for kind, run in earlier_runs(outputs):
            yield beam.pvalue.TaggedOutput(kind, run)
        for path in outputs:
            if path.endswith(".npy"):
                yield from by_shard(load_array(path))

    def _read(self, split: Split, element: str) -> list[str]:
        job = self._job
        source = job.config.sources[split.source]
        tally = Tally(job.workspace, "extract", element)
        spiller = Spiller(job.workspace, element, job.part_bytes)
        thin: list[tuple[int, int, int, int]] = []
        reader = SplitReader(split, source)
        for raw in reader:
            record = self._cleaner.clean(raw, source)
            tally.add("in", source.label)
            tally.tick(reader.share)
            if record is None:
                tally.add("not_sampled", source.label)
            elif isinstance(record, Reject):
                count_record(tally, "rejects", record)
                spiller.add("rejects", record, len(record.excerpt))
            elif isinstance(record, Redirect):
                self._spill_redirect(record, spiller, tally)
            elif isinstance(record, Document):
                thin.append(thin_row(record))
                spiller.add("documents", record, len(record.text))
                if source.kind == "wikipedia" and job.config.pairs.uses_redirects:
                    title = TitleKey(document_title_key(record), thin[-1][1])
                    spiller.add("titles", title, 0)
            else:
                count_tokens([record], self._counter)
                spiller.add("pairs", record, len(record.positive))
        spiller.flush()
        outputs = [run.path for _, run in spiller.written]
        if thin:
            outputs.append(self._job.workspace.path("runs", "ids", f"{element}.npy"))
            save_array(outputs[-1], np.array(thin, dedup.THIN_KEY))
        tally.finish(outputs)
        return outputs

    def _spill_redirect(self, redirect: Redirect, spiller: Spiller, tally: Tally) -> None:
        if self._job.config.pairs.uses_redirects:
            spiller.add("redirects", redirect, len(redirect.title))
        else:
            tally.add("redirects_not_used", redirect.source)


def thin_row(document: Document) -> tuple[int, int, int, int]:
    """Return a document's `dedup.THIN_KEY` row; an unknown date counts as 0."""
    digits = document.date.replace("-", "")
    date = int(digits) if len(digits) == 8 and digits.isdigit() else 0
    key = int(document_keys([document])[0])
    return id_hash(document.id), key, date, len(document.text)


def by_shard(rows: dedup.Array) -> Iterator[tuple[int, dedup.Array]]:
    """Yield (shard, rows) so that equal ids meet in one shard."""
    shards = rows["id"] % np.uint64(ID_SHARDS)
    for shard in np.unique(shards):
        yield int(shard), rows[shards == shard]


def write_drops(element: tuple[int, Iterable[dedup.Array]], workspace: Workspace) -> str:
    """Decide which versions to drop in a shard, store the decision and return its path."""
    shard, blobs = element
    path = workspace.path("drops", f"shard-{shard:02d}.npy")
    save_array(path, dedup.older_versions(np.concatenate(list(blobs))))
    return path
