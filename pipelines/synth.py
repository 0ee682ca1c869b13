"""What the steps of `synth` share: the job, and the files on both sides of the paid call.

documents → samples with prompts (job 1) → answers (paid) → checked answers (job 2) → decisions
over the whole set (duplicates, round trip, judge) → questions and rejects (job 3). Each step reads
files and writes files, one per document part, whose rows stand in the order of the samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from curation import storage
from curation.records import Reject, Sample
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.responses import Response, ResponseLog
from pipelines.stored import StoredJob
from pipelines.work import Workspace

T = TypeVar("T")


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

    def documents_path(self, part: str) -> str:
        """Return where a document part lies."""
        return storage.join(self.out, "documents", part)

    def sampled_parts(self) -> list[str]:
        """Return the document parts of which samples were drawn."""
        return [part for part in self.parts if storage.exists(self.samples_path(part))]


def read_records(path: str, kind: type[T]) -> list[T]:
    """Return the records of a file; none where there is no file."""
    if not storage.exists(path):
        return []
    with storage.open_read(path) as handle:
        return [kind(**row) for row in pq.read_table(handle).to_pylist()]


def read_samples(path: str) -> list[Sample]:
    """Return the samples of a file, by key and document."""
    return read_records(path, Sample)


def read_undrawn(job: SynthJob, part: str) -> list[Reject]:
    """Return why nothing could be asked about some of the documents drawn in a part."""
    return read_records(job.workspace.path("undrawn", part), Reject)


def count_samples(job: SynthJob) -> int:
    """Return the number of samples drawn."""
    total = 0
    for part in job.sampled_parts():
        with storage.open_read(job.samples_path(part)) as handle:
            total += pq.ParquetFile(handle).metadata.num_rows
    return total


def all_samples(job: SynthJob) -> Iterator[Sample]:
    """Yield the samples of all parts; those of one part are held."""
    for part in job.sampled_parts():
        yield from read_samples(job.samples_path(part))


def write_answers(job: SynthJob, log: ResponseLog) -> Counter[str]:
    """Write the answers to each part's samples beside them; return what all of them took."""
    took: Counter[str] = Counter()
    counted: set[str] = set()  # an answer can serve two documents
    for part in job.sampled_parts():
        keys = dict.fromkeys(sample.key for sample in read_samples(job.samples_path(part)))
        answers = list(log.read(keys))
        new = [a for a in answers if a.key not in counted]
        counted.update(answer.key for answer in new)
        took["input_tokens"] += sum(answer.input_tokens for answer in new)
        took["output_tokens"] += sum(answer.output_tokens for answer in new)
        write_responses(job.workspace.path("answers", f"{part}.json"), answers)
    return took


def load_answers(job: SynthJob, part: str) -> dict[str, Response]:
    """Return the answers of a part by request key."""
    return read_responses(job.workspace.path("answers", f"{part}.json"))


def write_responses(path: str, responses: Iterable[Response]) -> None:
    """Write answers to a file."""
    storage.write_json(path, [asdict(response) for response in responses])


def read_responses(path: str) -> dict[str, Response]:
    """Return the answers of a file by request key; none where there is no file."""
    if not storage.exists(path):
        return {}
    return {row["key"]: Response(**row) for row in storage.read_json(path)}


def read_table(path: str) -> pa.Table:
    """Return the table of a Parquet file."""
    with storage.open_read(path) as handle:
        return pq.read_table(handle)
