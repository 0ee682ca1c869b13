"""`synth` as Beam pipelines: documents → samples with prompts; samples and answers → questions.

The paid step between them has files on both sides (`commands/synth.py`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq

from curation import storage
from curation.draw import rank
from curation.language import LanguageDetector
from curation.records import (
    QUESTION,
    REJECT,
    SAMPLE,
    Document,
    Question,
    Reject,
    Sample,
    documents_from,
    to_table,
)
from curation.synthesis import checks, prompts, sampling
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.requests import kind_of, request_body, request_key
from curation.synthesis.responses import Response
from curation.tokens import bucket_boundaries, length_part_names, shared_counter
from pipelines.merges import keep_all
from pipelines.parts import PartPlan, WriteParts, count_record
from pipelines.spill import Spiller, count_tokens, earlier_runs
from pipelines.stored import Elements, StoredJob
from pipelines.work import Tally, Workspace

Candidate = tuple[int, str, str]
"""(place in the draw, document id, part)"""


@dataclass(frozen=True, kw_only=True)
class SynthJob(StoredJob):
    """What the workers need to know."""

    config: SynthesisConfig
    tokenizer: str
    workspace: Workspace
    out: str
    parts: tuple[str, ...]
    """Names of the document parts."""
    descriptions: dict[str, dict[str, Any]]

    def samples_path(self, part: str) -> str:
        """Return where the samples of a document part lie."""
        return self.workspace.path("samples", part)


def build_sampling(pipeline: beam.Pipeline, job: SynthJob) -> None:
    """Add: document parts → the documents drawn per language → samples, a file per part."""
    _ = (
        pipeline
        | "Parts" >> Elements(job.parts, job.workspace)
        | "Candidates" >> beam.FlatMap(part_candidates, job)
        | "Meet by language" >> beam.GroupByKey()
        | "Draw" >> beam.FlatMap(draw_documents, job.config.documents_per_language)
        | "Meet by part" >> beam.GroupByKey()
        | "Write samples" >> beam.Map(write_samples, job)
    )


def part_candidates(part: str, job: SynthJob) -> Iterator[tuple[str, list[Candidate]]]:
    """Yield per language the candidates of a part that can still be among those drawn."""
    path = storage.join(job.out, "documents", part)
    found: dict[str, list[Candidate]] = {}
    with storage.open_read(path) as handle:
        table = pq.read_table(handle, columns=["id", "language", "quality"])
    for row in table.to_pylist():
        if sampling.is_eligible(row["language"], row["quality"]["characters"], job.config):
            place = rank(row["id"], "question", job.config.seed)
            found.setdefault(row["language"], []).append((place, row["id"], part))
    for language, candidates in found.items():
        yield language, heapq.nsmallest(job.config.documents_per_language, candidates)


def draw_documents(
    element: tuple[str, Iterable[list[Candidate]]], count: int
) -> Iterator[tuple[str, str]]:
    """Yield (part, document id) of the documents drawn in a language."""
    _, lists = element
    for _, identity, part in heapq.nsmallest(count, (c for listed in lists for c in listed)):
        yield part, identity


def write_samples(element: tuple[str, Iterable[str]], job: SynthJob) -> str:
    """Write the samples of a part; return the part."""
    part, ids = element
    samples: list[Sample] = []
    tally = Tally(job.workspace, "samples", part)
    for document in read_documents(job.out, part, set(ids)):
        sample = make_sample(document, job)
        if isinstance(sample, Reject):
            tally.add("rejects", sample.reason, sample.source, sample.language)
        else:
            tally.add("samples", sample.source, sample.language)
            samples.append(sample)
    samples.sort(key=lambda sample: sample.key)
    storage.write_parquet(job.samples_path(part), to_table(samples, SAMPLE))
    tally.finish()
    return part


def read_documents(out: str, part: str, ids: set[str]) -> Iterator[Document]:
    """Yield the documents of a part with these ids."""
    with storage.open_read(storage.join(out, "documents", part)) as handle:
        file = pq.ParquetFile(handle)
        for group in range(file.num_row_groups):
            known = file.read_row_group(group, columns=["id"])["id"].to_pylist()
            if ids.isdisjoint(known):
                continue
            keep = [identity in ids for identity in known]
            yield from documents_from(file.read_row_group(group).filter(keep))


def make_sample(document: Document, job: SynthJob) -> Sample | Reject:
    """Return the paragraph drawn from a document with its prompt."""
    identity, language = document.id, document.language
    paragraph = sampling.pick_paragraph(document.text, document.script, identity, job.config)
    if paragraph is None:
        return Reject(identity, "synth", "no_paragraph", document.source, language)
    draw = sampling.generator(identity, job.config.seed)
    draw.random()  # the paragraph's draw came first
    prompt = prompts.render(job.config.prompt, language, paragraph.text, draw)
    if prompt is None:
        return Reject(identity, "synth", "no_prompt_in_language", document.source, language)
    body = request_body(kind_of(job.config), prompt.text, prompt.stop, job.config)
    return Sample(
        key=request_key(body, prompt.version),
        document_id=identity,
        language=language,
        source=document.source,
        paragraph=paragraph.text,
        paragraph_start=paragraph.start,
        paragraph_position=paragraph.position,
        prompt=prompt.text,
        opener=prompt.opener,
        question_mark=prompt.question_mark,
        stop=list(prompt.stop),
        prompt_version=prompt.version,
    )


def read_samples(path: str) -> list[Sample]:
    """Return the samples of a file."""
    with storage.open_read(path) as handle:
        return [Sample(**row) for row in pq.read_table(handle).to_pylist()]


def build_checking(pipeline: beam.Pipeline, job: SynthJob) -> None:
    """Add: samples and answers → checked questions in length buckets, and rejects."""
    checked = (
        pipeline
        | "Parts" >> Elements(job.parts, job.workspace)
        | "Check" >> beam.ParDo(Check(job)).with_outputs("questions", "rejects")
    )
    questions = PartPlan(
        kind="questions",
        directory=storage.join(job.out, "questions"),
        schema=QUESTION,
        part_bytes=64 << 20,
        description=job.descriptions["questions"],
        names=length_part_names,
        boundaries=tuple(bucket_boundaries()),
    )
    rejects = PartPlan(
        kind="rejects",
        directory=storage.join(job.out, "rejects/synth"),
        schema=REJECT,
        part_bytes=64 << 20,
        description=job.descriptions["rejects/synth"],
    )
    _ = checked.questions | "Questions" >> WriteParts(questions, job.workspace, keep_all, spills=())
    _ = checked.rejects | "Rejects" >> WriteParts(rejects, job.workspace, keep_all, spills=())


class Check(beam.DoFn):  # type: ignore[misc]
    """Document part name → runs of questions and rejects."""

    def __init__(self, job: SynthJob) -> None:
        self._job = job

    def setup(self) -> None:
        """Load the language engines and the tokenizer."""
        self._detector = LanguageDetector()
        self._counter = shared_counter(self._job.tokenizer)

    def process(self, part: str) -> Iterator[Any]:
        """Check the answers to a part's samples, unless an earlier attempt did."""
        job = self._job
        done = job.workspace.finished("check", part)
        outputs = done["outputs"] if done else self._check(part)
        for kind, run in earlier_runs(outputs):
            yield beam.pvalue.TaggedOutput(kind, run)

    def _check(self, part: str) -> list[str]:
        job = self._job
        path = job.samples_path(part)
        tally = Tally(job.workspace, "check", part)
        spiller = Spiller(job.workspace, f"check-{part.removesuffix('.parquet')}", 64 << 20)
        samples = read_samples(path) if storage.exists(path) else []
        answers = load_answers(job, part)
        wanted = {sample.document_id for sample in samples}
        documents = {d.id: d for d in read_documents(job.out, part, wanted)}
        for sample in samples:
            tally.add("in", sample.source, sample.language)
            for record in self.judge(sample, answers.get(sample.key), documents):
                kind = "rejects" if isinstance(record, Reject) else "questions"
                count_record(tally, kind, record)
                spiller.add(kind, record, 200)
        spiller.flush()
        outputs = [run.path for _, run in spiller.written]
        tally.finish(outputs)
        return outputs

    def judge(
        self,
        sample: Sample,
        answer: tuple[Response, bool] | None,
        documents: dict[str, Document],
    ) -> list[Question | Reject]:
        """Return what becomes of an answer, given with whether it repeats an earlier one."""
        config = self._job.config
        if answer is None:
            return [_reject(sample, "no_answer", "", "")]
        response, is_duplicate = answer
        said = checks.Answer(response.content, response.finish_reason)
        question = checks.question_of(said, sample.opener, sample.question_mark)
        problem = checks.reject_reason(
            question,
            said,
            sample.paragraph,
            sample.language,
            prompts.language_for(sample.language),
            config,
            self._detector,
        ) or (("duplicate", "") if is_duplicate else None)
        if problem:
            return [_reject(sample, problem[0], problem[1], question)]
        questions = make_questions(sample, response, question, documents[sample.document_id])
        count_tokens(questions, self._counter)
        return list(questions)


def _reject(sample: Sample, reason: str, value: str, question: str) -> Reject:
    identity = f"{sample.document_id}#{sample.key}"
    return Reject(identity, "synth", reason, sample.source, sample.language, value, question[:300])


def make_questions(
    sample: Sample, response: Response, question: str, document: Document
) -> list[Question]:
    """Return the question paired with its whole document, and with its paragraph."""
    positives = {"question-document": document.text}
    if len(sample.paragraph) < len(document.text):
        positives["question-passage"] = sample.paragraph
    return [
        Question(
            query=question,
            positive=positive,
            relation=relation,
            query_language=sample.language,
            language=sample.language,
            source=sample.source,
            document_id=sample.document_id,
            paragraph=sample.paragraph,
            paragraph_start=sample.paragraph_start,
            paragraph_position=sample.paragraph_position,
            model=response.model,
            prompt_version=sample.prompt_version,
            request_key=sample.key,
            finish_reason=response.finish_reason,
            input_tokens=response.input_tokens,
            output_tokens=response.output_tokens,
        )
        for relation, positive in positives.items()
    ]


def write_answers(job: SynthJob, known: dict[str, Response]) -> None:
    """Write each part's answers beside its samples, marking repeated questions.

    Of equal questions over all parts the one with the smallest key is kept.
    """
    by_part = {
        part: [s for s in read_samples(job.samples_path(part)) if s.key in known]
        for part in job.parts
        if storage.exists(job.samples_path(part))
    }
    first: dict[str, str] = {}
    asked = (
        (s.key, s.opener + known[s.key].content) for listed in by_part.values() for s in listed
    )
    for key, content in sorted(asked):
        first.setdefault(" ".join(content.casefold().split()), key)
    kept = set(first.values())
    for part, samples in by_part.items():
        rows = [{"response": asdict(known[s.key]), "duplicate": s.key not in kept} for s in samples]
        storage.write_json(job.workspace.path("answers", f"{part}.json"), rows)


def load_answers(job: SynthJob, part: str) -> dict[str, tuple[Response, bool]]:
    """Return the answers of a part by request key, with whether each is a repeat."""
    path = job.workspace.path("answers", f"{part}.json")
    if not storage.exists(path):
        return {}
    rows = storage.read_json(path)
    return {r["response"]["key"]: (Response(**r["response"]), r["duplicate"]) for r in rows}
