"""What became of each sample: its answer, the checks, and the decisions over the whole set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curation import storage
from curation.records import Reject, Sample
from curation.synthesis.responses import Response
from pipelines.synth import SynthJob, load_answers, read_records, read_samples

CHECKED = pa.schema(
    [
        ("reason", pa.string()),
        ("value", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("evidence", pa.string()),
        ("language_verdict", pa.string()),
        ("copied_share", pa.float32()),
    ]
)
DECIDED = pa.schema(
    [
        ("reason", pa.string()),
        ("value", pa.string()),
        ("round_trip_rank", pa.int32()),
        ("round_trip_score", pa.float32()),
        ("judge_score", pa.int8()),
    ]
)
_EXCERPT = 300  # characters of a rejected question


@dataclass(slots=True)
class Checked:
    """What an answer is worth by itself; no reason: nothing is wrong with it."""

    reason: str
    value: str
    question: str = ""
    answer: str = ""
    evidence: str = ""
    language_verdict: str = ""
    copied_share: float = 0.0


@dataclass(slots=True)
class Decided:
    """What was decided in the end; no reason: the question is kept."""

    reason: str
    value: str
    round_trip_rank: int | None = None
    round_trip_score: float | None = None
    judge_score: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A sample with all that followed."""

    sample: Sample
    response: Response | None
    checked: Checked
    decided: Decided

    @property
    def reject(self) -> Reject:
        """The reject of a question that is not kept."""
        return Reject(
            self.sample.id,
            "synth",
            self.decided.reason,
            self.sample.source,
            self.sample.language,
            self.decided.value,
            self.checked.question[:_EXCERPT],
        )


def read_checked(job: SynthJob, part: str) -> list[Checked]:
    """Return what the checks said of the samples of a part."""
    return read_records(job.workspace.path("checked", part), Checked)


def read_decided(job: SynthJob, part: str) -> list[Decided]:
    """Return what was decided of the samples of a part."""
    return read_records(job.workspace.path("decided", part), Decided)


def write_decided(job: SynthJob, part: str, rows: list[Decided]) -> None:
    """Write what was decided of the samples of a part."""
    table = to_columns(rows, DECIDED)
    storage.write_parquet(job.workspace.path("decided", part), table)


def to_columns(rows: list[Any], schema: pa.Schema) -> pa.Table:
    """Return records as a table of `schema`."""
    columns = {name: [getattr(row, name) for row in rows] for name in schema.names}
    return pa.table(columns, schema=schema)


def outcomes(job: SynthJob, part: str) -> Iterator[Outcome]:
    """Yield what became of the samples of a part, in their order."""
    answers = load_answers(job, part)
    rows = zip(
        read_samples(job.samples_path(part)),
        read_checked(job, part),
        read_decided(job, part),
        strict=True,
    )
    for sample, checked, decided in rows:
        yield Outcome(sample, answers.get(sample.key), checked, decided)
