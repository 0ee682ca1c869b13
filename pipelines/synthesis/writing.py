"""Job 3: decisions → questions in length buckets, and rejects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from curation import storage
from curation.records import QUESTION, REJECT, Document, Question
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.responses import Response
from curation.tokens import bucket_boundaries, length_part_names, shared_counter
from pipelines.merges import keep_all
from pipelines.parts import PartPlan, WriteParts, count_record
from pipelines.spill import Spiller, count_tokens, earlier_runs
from pipelines.stored import Elements
from pipelines.synth import SynthJob, read_undrawn
from pipelines.synthesis.outcomes import Outcome, outcomes
from pipelines.synthesis.sampling import read_documents
from pipelines.work import Tally


def build_writing(pipeline: beam.Pipeline, job: SynthJob) -> None:
    """Add: parts → questions and rejects."""
    made = (
        pipeline
        | "Parts" >> Elements(job.sampled_parts(), job.workspace)
        | "Pair" >> beam.ParDo(PairUp(job)).with_outputs("questions", "rejects")
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
    _ = made.questions | "Questions" >> WriteParts(questions, job.workspace, keep_all, spills=())
    _ = made.rejects | "Rejects" >> WriteParts(rejects, job.workspace, keep_all, spills=())


class PairUp(beam.DoFn):  # type: ignore[misc]
    """Document part name → runs of questions and rejects."""

    def __init__(self, job: SynthJob) -> None:
        self._job = job

    def setup(self) -> None:
        """Load the tokenizer."""
        self._counter = shared_counter(self._job.tokenizer)

    def process(self, part: str) -> Iterator[Any]:
        """Pair the questions of a part with their texts, unless an earlier attempt did."""
        done = self._job.workspace.finished("pair", part)
        outputs = done["outputs"] if done else self._pair(part)
        for kind, run in earlier_runs(outputs):
            yield beam.pvalue.TaggedOutput(kind, run)

    def _pair(self, part: str) -> list[str]:
        job = self._job
        tally = Tally(job.workspace, "pair", part)
        spiller = Spiller(job.workspace, f"pair-{part.removesuffix('.parquet')}", 64 << 20)
        listed = list(outcomes(job, part))
        kept = {o.sample.document_id for o in listed if not o.decided.reason}
        documents = {d.id: d for d in read_documents(job, part, kept)}
        for reject in (*read_undrawn(job, part), *(o.reject for o in listed if o.decided.reason)):
            count_record(tally, "rejects", reject)
            spiller.add("rejects", reject, 200)
        for outcome in listed:
            tally.add("samples", outcome.sample.source, outcome.sample.language)
            if not outcome.decided.reason:
                self._add(outcome, documents[outcome.sample.document_id], spiller)
        spiller.flush()
        outputs = [run.path for _, run in spiller.written]
        tally.finish(outputs)
        return outputs

    def _add(self, outcome: Outcome, document: Document, spiller: Spiller) -> None:
        pairs = make_questions(outcome, document, self._job.config)
        count_tokens(pairs, self._counter)
        for pair in pairs:
            spiller.add("questions", pair, len(pair.positive))


def make_questions(outcome: Outcome, document: Document, config: SynthesisConfig) -> list[Question]:
    """Return the question paired with its whole document, and with its paragraph."""
    sample, response = outcome.sample, outcome.response
    assert response is not None, "a question without an answer is a reject"
    positives = {"question-document": document.text}
    if len(sample.paragraph) < len(document.text):
        positives["question-passage"] = sample.paragraph
    common = _provenance(outcome, response, config)
    return [
        Question(
            query=outcome.checked.question,
            positive=positive,
            relation=relation,
            query_language=sample.language,
            language=sample.language,
            source=sample.source,
            document_id=sample.document_id,
            **common,
        )
        for relation, positive in positives.items()
    ]


def _provenance(outcome: Outcome, response: Response, config: SynthesisConfig) -> dict[str, Any]:
    """Return the columns that a question has besides those of a pair."""
    sample, checked, decided = outcome.sample, outcome.checked, outcome.decided
    return {
        "document_url": sample.document_url,
        "paragraph": sample.paragraph,
        "paragraph_index": sample.paragraph_index,
        "paragraph_start": sample.paragraph_start,
        "paragraph_end": sample.paragraph_start + len(sample.paragraph),
        "paragraph_position": sample.paragraph_position,
        "requested_model": config.model or config.local_server,
        "model": response.model,
        "prompt_version": sample.prompt_version,
        "style": config.style,
        "difficulty": config.difficulty,
        "request_key": sample.key,
        "finish_reason": response.finish_reason,
        "input_tokens": response.input_tokens,
        "output_tokens": response.output_tokens,
        "created_at": response.created_at,
        "answer": checked.answer,
        "evidence": checked.evidence,
        "language_verdict": checked.language_verdict,
        "copied_share": checked.copied_share,
        "round_trip_rank": decided.round_trip_rank,
        "round_trip_score": decided.round_trip_score,
        "judge_score": decided.judge_score,
    }
