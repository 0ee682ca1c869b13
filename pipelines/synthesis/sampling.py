"""Job 1: document parts → the documents drawn → samples with prompts, a file per part.

Only places in the draw, ids and counts cross a shuffle; which documents are drawn does not depend
on how they lie in parts.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from curation import parquet, storage
from curation.draw import rank
from curation.records import REJECT, SAMPLE, Document, Reject, Sample, documents_from, to_table
from curation.synthesis import prompts, quotas, sampling
from curation.synthesis.requests import kind_of, request_body, request_key
from curation.tokens import shared_counter
from pipelines.stored import Elements
from pipelines.synth import SynthJob
from pipelines.work import Tally

Place = tuple[int, str, tuple[str, str]]
"""(place in the draw, source, (part, document id))"""

PASSAGE = pa.schema(
    [("document_id", pa.string()), ("language", pa.string()), ("paragraph", pa.string())]
)
"""A paragraph that nobody asks about: it competes in the round trip."""


@dataclass(slots=True)
class Candidates:
    """The documents of a language in one part that can still be drawn."""

    counts: Counter[str] = field(default_factory=Counter)
    """By source: how many may be asked about, also those that are not listed."""
    asked: list[Place] = field(default_factory=list)
    rivals: list[Place] = field(default_factory=list)
    """For the pool of the round trip."""


def build_sampling(pipeline: beam.Pipeline, job: SynthJob) -> None:
    """Add: document parts → the documents drawn per language → samples, a file per part."""
    candidates = (
        pipeline
        | "Parts" >> Elements(job.parts, job.workspace)
        | "Candidates" >> beam.FlatMap(part_candidates, job)
    )
    counts = (
        candidates
        | "Counts" >> beam.FlatMap(_counts)
        | "Add" >> beam.CombinePerKey(sum)
        | "All counts" >> beam.combiners.ToDict()
    )
    _ = (
        candidates
        | "Meet by language" >> beam.GroupByKey()
        | "Draw" >> beam.FlatMap(draw_documents, job, beam.pvalue.AsSingleton(counts))
        | "Meet by part" >> beam.GroupByKey()
        | "Write samples" >> beam.Map(write_samples, job)
    )


def _counts(element: tuple[str, Candidates]) -> Iterator[tuple[tuple[str, str], int]]:
    language, found = element
    for source, number in found.counts.items():
        yield (language, source), number


def part_candidates(part: str, job: SynthJob) -> Iterator[tuple[str, Candidates]]:
    """Yield per language the documents of a part that can still be among those drawn."""
    config, found = job.config, dict[str, Candidates]()
    for row in _document_rows(part, job):
        own = found.setdefault(row["language"], Candidates())
        where = part, row["id"]
        if row["eligible"]:
            own.counts[row["source"]] += 1
            own.asked.append((rank(row["id"], "question", config.seed), row["source"], where))
        own.rivals.append((rank(row["id"], "round-trip", config.seed), row["source"], where))
    pool = config.round_trip.pool if config.round_trip.enabled else 0
    for language, own in found.items():
        most = max(config.documents, config.documents_per_language, *config.quotas.values())
        own.asked = _first_of_each_source(own.asked, most)
        own.rivals = heapq.nsmallest(pool, own.rivals)
        if own.asked or own.rivals:
            yield language, own


def _first_of_each_source(places: list[Place], most: int) -> list[Place]:
    """Return the first `most` places of each source: a quota may pass over all of another."""
    by_source: dict[str, list[Place]] = {}
    for place in places:
        by_source.setdefault(place[1], []).append(place)
    return [place for own in by_source.values() for place in heapq.nsmallest(most, own)]


def _document_rows(part: str, job: SynthJob) -> Iterator[dict[str, Any]]:
    """Yield id, language, source of the documents of a part and whether they may be drawn."""
    config, columns = job.config, ["id", "source", "language", "script", "quality"]
    is_counted = sampling.has_token_band(config)
    wanted = [*columns, "text"] if is_counted else columns
    for row in parquet.rows(job.documents_path(part), wanted):
        if config.languages and row["language"] not in config.languages:
            continue
        characters = row.pop("quality")["characters"]
        eligible = sampling.is_eligible(row["language"], row["script"], characters, config)
        if eligible and is_counted:
            [tokens] = shared_counter(job.tokenizer).lengths([row["text"]])
            eligible = sampling.fits_token_band(tokens, config)
        yield row | {"eligible": eligible}


def draw_documents(
    element: tuple[str, Iterable[Candidates]], job: SynthJob, counts: quotas.Counts
) -> Iterator[tuple[str, tuple[str, bool]]]:
    """Yield (part, (document id, whether it is asked about)) of what is drawn in a language."""
    language, listed = element
    config, both = job.config, list(listed)
    quotas.check_known(config.quotas, counts)
    given = quotas.allocate(counts, config.documents, config.documents_per_language, config.quotas)
    places = (place for own in both for place in own.asked)
    asked = quotas.draw(places, given.get(language, 0), language, config.quotas)
    yield from ((part, (identity, True)) for part, identity in asked)
    pool = config.round_trip.pool if asked else 0
    rivals = heapq.nsmallest(pool, (place for own in both for place in own.rivals))
    drawn = set(asked)
    for _, _, (part, identity) in rivals:
        if (part, identity) not in drawn:
            yield part, (identity, False)


def write_samples(element: tuple[str, Iterable[tuple[str, bool]]], job: SynthJob) -> str:
    """Write the samples of a part, what gave none, and further passages; return the part."""
    part, chosen = element
    is_asked = dict(chosen)
    samples: list[Sample] = []
    undrawn: list[Reject] = []
    passages: list[dict[str, str]] = []
    for document in read_documents(job, part, set(is_asked)):
        if not is_asked[document.id]:
            passages += further_passage(document, job)
            continue
        for made in make_samples(document, job):
            (undrawn if isinstance(made, Reject) else samples).append(made)  # type: ignore[arg-type]
    samples.sort(key=lambda sample: (sample.key, sample.document_id))
    workspace = job.workspace
    storage.write_parquet(workspace.path("passages", part), pa.Table.from_pylist(passages, PASSAGE))
    storage.write_parquet(workspace.path("undrawn", part), to_table(undrawn, REJECT))
    storage.write_parquet(job.samples_path(part), to_table(samples, SAMPLE))
    tally = Tally(workspace, "samples", part)
    tally.add("documents", count=sum(is_asked.values()))
    tally.finish()
    return part


def read_documents(job: SynthJob, part: str, ids: set[str]) -> Iterator[Document]:
    """Yield the documents of a part with these ids."""
    with storage.open_read(job.documents_path(part)) as handle:
        file = pq.ParquetFile(handle)
        for group in range(file.num_row_groups):
            known = file.read_row_group(group, columns=["id"])["id"].to_pylist()
            if ids.isdisjoint(known):
                continue
            keep = [identity in ids for identity in known]
            yield from documents_from(file.read_row_group(group).filter(keep))


def further_passage(document: Document, job: SynthJob) -> list[dict[str, str]]:
    """Return one paragraph of a document as a row of `PASSAGE`, none where none is long enough."""
    found = sampling.pick_paragraphs(document.text, document.script, document.id, job.config)
    row = {"document_id": document.id, "language": document.language}
    return [row | {"paragraph": paragraph.text} for paragraph in found]


def make_samples(document: Document, job: SynthJob) -> list[Sample | Reject]:
    """Return the paragraphs drawn from a document with their prompts, or why there is none."""
    config, identity, language = job.config, document.id, document.language
    paragraphs = sampling.pick_paragraphs(
        document.text, document.script, identity, config, config.questions_per_document
    )
    if not paragraphs:
        return [Reject(identity, "synth", "no_paragraph", document.source, language)]
    made = {}
    for number, paragraph in enumerate(paragraphs):
        sample = _sample(document, paragraph, number, job)
        if sample is None:
            return [Reject(identity, "synth", "no_prompt_in_language", document.source, language)]
        made[sample.key] = sample
    return list(made.values())


def _sample(
    document: Document, paragraph: sampling.Paragraph, number: int, job: SynthJob
) -> Sample | None:
    config = job.config
    draw = sampling.generator(document.id, number, config.seed)
    prompt = prompts.render(config, document.language, paragraph.text, draw)
    if prompt is None:
        return None
    body = request_body(kind_of(config), prompt.text, prompt.stop, config)
    return Sample(
        key=request_key(body, prompt.version),
        document_id=document.id,
        document_url=document.url,
        language=document.language,
        source=document.source,
        paragraph=paragraph.text,
        paragraph_index=paragraph.index,
        paragraph_start=paragraph.start,
        paragraph_position=paragraph.position,
        prompt=prompt.text,
        opener=prompt.opener,
        question_mark=prompt.question_mark,
        stop=list(prompt.stop),
        prompt_version=prompt.version,
    )
