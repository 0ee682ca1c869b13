"""`curate`: raw files → documents, pairs and rejects.

1. extract   each file is read once; cleaned and scored records are spilled as runs
2. decide    thin keys of documents that pass their thresholds meet by id, by title, and by bands
             of MinHash: near duplicates are compared and clustered; redirects meet the articles
             they point to by a hash of the title
3. write     document parts gather their key range, drop rejects and duplicates, and give pairs;
             papers that are kept meet the papers that cite them
4. pairs     pair parts gather theirs: buckets by length, sorted, duplicates dropped

The runs of step 1 lie in a folder of their own, for later runs that decide otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
import pyarrow as pa

from curation import caps, clusters, contamination, dedup, storage
from curation.citations import citing
from curation.config import CurationConfig, SourceConfig
from curation.draw import is_drawn
from curation.extract import Cleaner
from curation.labelled import row_texts
from curation.records import (
    DOCUMENT,
    PAIR,
    REJECT,
    TRAINING_ROW,
    Document,
    Reject,
    TrainingRow,
)
from curation.redirects import Redirect
from curation.sources.raw import RawDocument
from curation.splitting import Raw, Split, SplitReader, list_splits
from curation.tokens import shared_counter
from pipelines.citations import ResolveCitations
from pipelines.decide import StoreShards, ThinKeys, read_hosts
from pipelines.labelled import QuestionMergeSetup, WriteLabelled, length_options
from pipelines.merges import DocumentMergeSetup, PairMergeSetup, keep_all
from pipelines.near_duplicates import FindNearDuplicates
from pipelines.parts import PartPlan, WriteParts, count_record
from pipelines.redirects import JoinRedirects
from pipelines.spill import Spiller, count_tokens, earlier_runs
from pipelines.stored import Elements, StoredJob, store
from pipelines.translation_caps import CappedMergeSetup, FindSurplus
from pipelines.work import Tally, Workspace

SPILLED = ("documents", "pairs", "questioned", "redirects", "references", "rejects")


@dataclass(frozen=True, kw_only=True)
class CurateJob(StoredJob):
    """What the workers need to know."""

    config: CurationConfig
    tokenizer: str
    extraction: Workspace
    """Where the runs of extracted records lie."""
    workspace: Workspace
    """Where all that depends on decisions lies."""
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
            reported=True,
            **options,
        )

    @property
    def capped_sources(self) -> frozenset[str]:
        """The sources of which a sentence keeps a limited number of translations."""
        found = (source.label for source in self.config.sources if source.gives_translations)
        return frozenset(found if self.config.parallel.max_translations else ())

    @property
    def gives_labelled(self) -> bool:
        """Tell whether any source holds labelled rows."""
        return any(source.gives_labelled for source in self.config.sources)

    @staticmethod
    def directory(kind: str) -> str:
        """Return the output folder of a kind of record."""
        return "rejects/curate" if kind == "rejects" else kind


def build(pipeline: beam.Pipeline, job: CurateJob) -> None:
    """Add the whole job to a pipeline; its graph has the same size for any number of sources."""
    if job.config.decontamination.sets:
        held = contamination.build(job.config.decontamination)
        held.save(job.workspace.path("decontamination"))
    splits = list_splits(job.config)
    extracted = (
        pipeline
        | "Splits" >> Elements(splits, job.workspace)
        | "Extract" >> beam.ParDo(Extract(job)).with_outputs(*SPILLED)
    )
    joined = (extracted.redirects, extracted.documents) | "Alternative titles" >> JoinRedirects(
        job.config, job.workspace, job.part_bytes
    )
    decisions = [*_decisions(extracted, job, sum(split.bytes for split in splits)), joined.joined]
    documents = _documents(extracted, decisions, job)
    citations = _citations(extracted, documents, job)
    pairs = _pairs(extracted, documents, citations, job)
    rejects = [part.rejects for part in (extracted, joined, documents, citations, pairs)]
    if job.gives_labelled:
        rejects.append(extracted.questioned | "Labelled" >> labelled(job))
    _ = (
        rejects
        | "All rejects" >> beam.Flatten()
        | "Rejects" >> WriteParts(job.plan("rejects", REJECT), job.workspace, keep_all, spills=())
    )


def _decisions(extracted: Any, job: CurateJob, size: int) -> list[beam.PCollection]:
    """Return what is decided about all documents: older versions, generic titles, duplicates."""
    config, workspace = job.config, job.workspace
    keys = extracted.documents | "Decide" >> beam.ParDo(
        ThinKeys(store(workspace, "config", config))
    ).with_outputs("titles", main="ids")
    drops = keys.ids | "Older versions" >> StoreShards("drops", workspace, dedup.older_versions)
    generic = partial(caps.generic_titles, limit=config.pairs.max_title_frequency)
    decisions = [drops, keys.titles | "Generic titles" >> StoreShards("titles", workspace, generic)]
    if config.near_duplicates.enabled:
        find = FindNearDuplicates(config, workspace, clusters.shard_count(size), drops)
        decisions.append(extracted.documents | "Near duplicates" >> find)
    return decisions


def _documents(extracted: Any, decisions: list[beam.PCollection], job: CurateJob) -> Any:
    """Write the documents once all is decided; return what else comes of them."""
    setup = DocumentMergeSetup(job.config, job.tokenizer, job.workspace, job.extraction)
    return extracted.documents | "Documents" >> WriteParts(
        job.plan("documents", DOCUMENT),
        job.workspace,
        setup,
        spills=("pairs", "references", "rejects", "hosts"),
        after=decisions | "Decisions" >> beam.Flatten(),
    )


def _citations(extracted: Any, documents: Any, job: CurateJob) -> Any:
    """Return the pairs of papers and what they cite."""
    return (
        (extracted.references, documents.references)
        | "References" >> beam.Flatten()
        | "Citations" >> ResolveCitations(job.config, job.tokenizer, job.workspace)
    )


def _pairs(extracted: Any, documents: Any, citations: Any, job: CurateJob) -> Any:
    """Write the pairs that no cap leaves out; return their rejects."""
    setup = CappedMergeSetup(PairMergeSetup(job.config, job.workspace), job.workspace)
    write = WriteParts(
        job.plan("pairs", PAIR, **length_options()),
        job.workspace,
        setup,
        after=_capped(extracted, documents, job),
    )
    found = (extracted.pairs, documents.pairs, citations.pairs) | "All pairs" >> beam.Flatten()
    return found | "Pairs" >> write


def _capped(extracted: Any, documents: Any, job: CurateJob) -> beam.PCollection:
    """Return the pairs over the cap of a domain, or of a sentence's translations."""
    over = partial(caps.over_cap, cap=job.config.pairs.max_pairs_per_domain)
    hosts = documents.hosts | "Hosts" >> beam.FlatMap(read_hosts)
    capped = hosts | "Cap" >> StoreShards("capped", job.workspace, over)
    if not job.capped_sources:
        return capped
    translations = extracted.pairs | "Surplus" >> FindSurplus(
        job.config.parallel.max_translations, job.capped_sources, job.workspace
    )
    return (capped, translations) | "Caps" >> beam.Flatten()


def labelled(job: CurateJob) -> WriteLabelled:
    """Return how labelled rows are written."""
    return WriteLabelled(
        job.plan("labelled", TRAINING_ROW, **length_options()),
        job.workspace,
        QuestionMergeSetup(job.config, job.tokenizer, job.workspace),
    )


class Extract(beam.DoFn):  # type: ignore[misc]
    """`Split` → tagged runs of documents, pairs and rejects."""

    def __init__(self, job: CurateJob) -> None:
        self._job = job

    def setup(self) -> None:
        """Load the language engines and the tokenizer."""
        self._cleaner = Cleaner(self._job.config)
        self._counter = shared_counter(self._job.tokenizer)

    def process(self, split: Split) -> Iterator[Any]:
        """Read a file, unless an earlier attempt finished it."""
        element = split.element
        done = self._job.extraction.finished("extract", element)
        outputs = done["outputs"] if done else self._read(split, element)
        for kind, run in earlier_runs(outputs):
            yield beam.pvalue.TaggedOutput(kind, run)

    def _read(self, split: Split, element: str) -> list[str]:
        job = self._job
        source = job.config.sources[split.source]
        tally = Tally(job.extraction, "extract", element)
        spiller = Spiller(job.extraction, element, job.part_bytes)
        reader = SplitReader(split, source)
        self._cleaner.masked.clear()
        raws = spill_citing(reader, source, spiller)
        for record in self._cleaner.clean_all(raws, source):
            tally.add("in", source.label)
            tally.tick(reader.share)
            if record is None:
                tally.add("not_sampled", source.label)
            elif isinstance(record, Reject):
                count_record(tally, "rejects", record)
                spiller.add("rejects", record, len(record.excerpt))
            elif isinstance(record, Redirect):
                tally.add("redirects", source.label)
                spiller.add("redirects", record, len(record.title))
            elif isinstance(record, Document):
                spiller.add("documents", record, len(record.text))
            elif isinstance(record, TrainingRow):
                spiller.add("questioned", record, sum(map(len, row_texts(record))))
            else:
                count_tokens([record], self._counter)
                spiller.add("pairs", record, len(record.positive))
        spiller.flush()
        for kind, count in self._cleaner.masked.items():
            tally.add("masked", kind, source.label, count=count)
        outputs = [run.path for _, run in spiller.written]
        tally.finish(outputs)
        return outputs


def spill_citing(raws: Iterable[Raw], source: SourceConfig, spiller: Spiller) -> Iterator[Raw]:
    """Pass raw records on, and spill what papers cite once they are cleaned."""
    for raw in raws:
        yield raw
        if isinstance(raw, RawDocument) and is_drawn(raw.id, "source", source.sample):
            for row in citing(raw, source.label):
                spiller.add("references", row, len(row.title))
