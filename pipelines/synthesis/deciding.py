"""Over the whole set: repeated questions, the round trip and the judge → what is kept.

Runs in the launcher, part by part; of each question some 250 bytes are held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from curation.caps import hash64
from curation.records import Sample
from curation.synthesis import duplicates, judge, round_trip
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.judge_requests import judge_config, judge_request
from curation.synthesis.responses import Response
from pipelines.synth import SynthJob, read_samples
from pipelines.synthesis.outcomes import Checked, Decided, read_checked, write_decided
from pipelines.synthesis.ranking import Ranks

PLACE = np.dtype([("id", "<u8"), ("high", "<u8"), ("low", "<u8"), ("document", "<u8")])
"""Hash of a question's id, the halves of its key, hash of its document's id."""
_LOW = (1 << 64) - 1

Questions = Iterator[tuple[Sample, str]]
AnswerOf = Callable[[str], Response | None]
"""Returns the answer to a request by its key."""
AskJudge = Callable[[Callable[[], Questions]], AnswerOf]
"""Called with what yields samples and their questions, as often as it is needed."""


def decide(job: SynthJob, ranks: Ranks | None, ask_judge: AskJudge) -> None:
    """Write what is decided of the samples of each part."""
    repeated = repeats(job)

    def open_questions() -> Questions:
        for part in job.sampled_parts():
            rows = decide_part(job, part, repeated, ranks)
            for (sample, checked), row in zip(read_all(job, part), rows, strict=True):
                if not row.reason:
                    yield sample, checked.question

    answer_of = ask_judge(open_questions) if job.config.judge.enabled else None
    for part in job.sampled_parts():
        rows = decide_part(job, part, repeated, ranks)
        if answer_of:
            apply_judge(rows, read_all(job, part), answer_of, job.config)
        write_decided(job, part, rows)


def read_all(job: SynthJob, part: str) -> list[tuple[Sample, Checked]]:
    """Return the samples of a part with what the checks said."""
    samples = read_samples(job.samples_path(part))
    return list(zip(samples, read_checked(job, part), strict=True))


def repeats(job: SynthJob) -> dict[int, str]:
    """Return the key of the question kept in its stead for each repeated one, by its id's hash.

    Of those that pass the checks the one with the smallest key is kept, then of the smallest
    document id's hash.
    """
    options = job.config.near_duplicates
    pieces, places = [duplicates.fingerprints([], options)], [np.empty(0, PLACE)]
    for part in job.sampled_parts():
        good = [(s, c.question) for s, c in read_all(job, part) if not c.reason]
        pieces.append(duplicates.fingerprints([question for _, question in good], options))
        places.append(np.array([_place(sample) for sample, _ in good], PLACE))
    found = np.concatenate(places)
    order = np.empty(len(found), np.int64)
    order[np.lexsort((found["document"], found["low"], found["high"]))] = np.arange(len(found))
    winners = duplicates.winners(duplicates.concatenate(pieces), order, options)
    lost = np.flatnonzero(winners != np.arange(len(winners)))
    kept = found[winners[lost]]
    keys = [f"{high:016x}{low:016x}" for high, low in zip(kept["high"], kept["low"], strict=True)]
    return dict(zip(found["id"][lost].tolist(), keys, strict=True))


def _place(sample: Sample) -> tuple[int, int, int, int]:
    key = int(sample.key, 16)
    return hash64(sample.id), key >> 64, key & _LOW, hash64(sample.document_id)


def decide_part(
    job: SynthJob, part: str, repeated: dict[int, str], ranks: Ranks | None
) -> list[Decided]:
    """Return the first thing that speaks against each question of a part, before the judge."""
    found = []
    for sample, checked in read_all(job, part):
        rank, score = ranks.find(sample.id) if ranks else (None, None)
        row = Decided(checked.reason, checked.value, rank, score)
        if not row.reason and (kept := repeated.get(hash64(sample.id))):
            row.reason, row.value = duplicates.REASON, kept
        if not row.reason and (low := round_trip.decide(rank, job.config.round_trip)):
            row.reason, row.value = low
        found.append(row)
    return found


def apply_judge(
    rows: list[Decided],
    asked: list[tuple[Sample, Checked]],
    answer_of: AnswerOf,
    config: SynthesisConfig,
) -> None:
    """Note the judge's grade of each question that is still in, and reject the low ones."""
    judging = judge_config(config)
    for row, (sample, checked) in zip(rows, asked, strict=True):
        if row.reason:
            continue
        answer = answer_of(judge_request(sample, checked.question, judging).key)
        content = answer.content if answer else None
        row.judge_score = None if content is None else judge.parse(content)
        if problem := judge.decide(content, config.judge):
            row.reason, row.value = problem
