"""Job 2: samples and answers → what each answer is worth by itself, a file per part."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam

from curation import storage
from curation.language import LanguageDetector
from curation.records import Sample
from curation.synthesis import checks
from curation.synthesis.answers import Answer
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.copying import copied_share
from curation.synthesis.responses import Response
from pipelines.stored import Elements
from pipelines.synth import SynthJob, load_answers, read_samples
from pipelines.synthesis.outcomes import CHECKED, Checked, to_columns
from pipelines.work import Tally


def build_checking(pipeline: beam.Pipeline, job: SynthJob) -> None:
    """Add: parts → checked answers, a row for each sample in the samples' order."""
    _ = (
        pipeline
        | "Parts" >> Elements(job.sampled_parts(), job.workspace)
        | "Check" >> beam.ParDo(Check(job))
    )


class Check(beam.DoFn):  # type: ignore[misc]
    """Document part name → itself, once its answers are checked."""

    def __init__(self, job: SynthJob) -> None:
        self._job = job

    def setup(self) -> None:
        """Load the language engines."""
        self._detector = LanguageDetector()

    def process(self, part: str) -> Iterator[str]:
        """Check the answers to a part's samples, unless an earlier attempt did."""
        job = self._job
        if job.workspace.finished("check", part) is None:
            answers = load_answers(job, part)
            rows = [
                check_answer(sample, answers.get(sample.key), job.config, self._detector)
                for sample in read_samples(job.samples_path(part))
            ]
            storage.write_parquet(job.workspace.path("checked", part), to_columns(rows, CHECKED))
            Tally(job.workspace, "check", part).finish()
        yield part


def check_answer(
    sample: Sample, response: Response | None, config: SynthesisConfig, detector: LanguageDetector
) -> Checked:
    """Return the question in an answer and the first check that it fails."""
    if response is None:
        return Checked("no_answer", "")
    said = Answer(response.content, response.finish_reason)
    found = checks.check(said, sample, config, detector)
    return Checked(
        reason=found.reason,
        value=found.value,
        question=found.question,
        answer=found.answer,
        evidence=found.evidence,
        language_verdict=found.language_verdict,
        copied_share=copied_share(found.question, sample.paragraph),
    )
