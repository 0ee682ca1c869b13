"""Job 2: samples and answers → what each answer is worth by itself, a file per part."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam

from curation import storage
from curation.language import LanguageDetector
from curation.records import Sample
from curation.synthesis import checks, prompts
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.responses import Response
from curation.text import dominant_script
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
    said = checks.Answer(response.content, response.finish_reason)
    question = checks.question_of(said, sample.opener, sample.question_mark)
    wording = prompts.language_for(sample.language)
    problem = checks.reject_reason(
        question, said, sample.paragraph, sample.language, wording, config, detector
    )
    return Checked(
        *(problem or ("", "")),
        question=question,
        language_verdict=language_verdict(question, sample.language, detector),
        copied_share=checks.copied_share(question, sample.paragraph),
    )


def language_verdict(question: str, language: str, detector: LanguageDetector) -> str:
    """Return ok, wrong or, for what is too short or unknown to the engines, unsure."""
    if checks.wrong_language(question, dominant_script(question), language, detector):
        return "wrong"
    return "ok" if len(question) >= 20 and detector.knows(language) else "unsure"
