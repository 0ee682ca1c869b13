"""Over the whole set: repeated questions, the round trip and the judge → what is kept.

Runs in the launcher, part by part; of each question some 250 bytes are held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from curation.caps import hash64
from curation.records import Sample
from curation.synthesis import duplicates, judge, round_trip
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.responses import Response
from pipelines.synth import SynthJob, read_samples
from pipelines.synthesis.judging import judge_key
from pipelines.synthesis.outcomes import Checked, Decided, read_checked, write_decided
from pipelines.synthesis.ranking import Ranks

JudgeAll = Callable[[Sequence[tuple[Sample, str]]], dict[str, Response]]
"""Called with samples and their questions; returns the answers by the judge's request key."""


def decide(job: SynthJob, ranks: Ranks | None, judge_all: JudgeAll) -> None:
    """Write what is decided of the samples of each part."""
    repeated = repeats(job)
    rows = {part: decide_part(job, part, repeated, ranks) for part in job.sampled_parts()}
    if job.config.judge.enabled:
        questions = {part: open_questions(job, part, found) for part, found in rows.items()}
        answers = judge_all([item for found in questions.values() for item in found])
        for part, found in rows.items():
            apply_judge(found, read_all(job, part), answers, job.config)
    for part, found in rows.items():
        write_decided(job, part, found)


def read_all(job: SynthJob, part: str) -> list[tuple[Sample, Checked]]:
    """Return the samples of a part with what the checks said."""
    samples = read_samples(job.samples_path(part))
    return list(zip(samples, read_checked(job, part), strict=True))


def repeats(job: SynthJob) -> dict[str, str]:
    """Return the key of the question kept in its stead for each repeated one, by id.

    Of those that pass the checks the one with the smallest key is kept, then of the smallest
    document id's hash.
    """
    options = job.config.near_duplicates
    pieces, ids, order = (
        [duplicates.fingerprints([], options)],
        list[str](),
        list[tuple[str, int]](),
    )
    for part in job.sampled_parts():
        good = [(s, c.question) for s, c in read_all(job, part) if not c.reason]
        pieces.append(duplicates.fingerprints([question for _, question in good], options))
        ids += [sample.id for sample, _ in good]
        order += [(sample.key, hash64(sample.document_id)) for sample, _ in good]
    places = np.empty(len(order), np.int64)
    places[sorted(range(len(order)), key=order.__getitem__)] = np.arange(len(order))
    winners = duplicates.winners(duplicates.concatenate(pieces), places, options)
    lost = np.flatnonzero(winners != np.arange(len(winners))).tolist()
    return {ids[i]: order[int(winners[i])][0] for i in lost}


def decide_part(
    job: SynthJob, part: str, repeated: dict[str, str], ranks: Ranks | None
) -> list[Decided]:
    """Return the first thing that speaks against each question of a part, before the judge."""
    found = []
    for sample, checked in read_all(job, part):
        rank, score = ranks.find(sample.id) if ranks else (None, None)
        row = Decided(checked.reason, checked.value, rank, score)
        if not row.reason and sample.id in repeated:
            row.reason, row.value = duplicates.REASON, repeated[sample.id]
        if not row.reason and (low := round_trip.decide(rank, job.config.round_trip)):
            row.reason, row.value = low
        found.append(row)
    return found


def open_questions(job: SynthJob, part: str, rows: list[Decided]) -> list[tuple[Sample, str]]:
    """Return the samples and questions of a part against which nothing speaks yet."""
    both = zip(read_all(job, part), rows, strict=True)
    return [(sample, checked.question) for (sample, checked), row in both if not row.reason]


def apply_judge(
    rows: list[Decided],
    asked: list[tuple[Sample, Checked]],
    answers: dict[str, Response],
    config: SynthesisConfig,
) -> None:
    """Note the judge's grade of each question that is still in, and reject the low ones."""
    for row, (sample, checked) in zip(rows, asked, strict=True):
        if row.reason:
            continue
        answer = answers.get(judge_key(sample, checked.question, config))
        content = answer.content if answer else None
        row.judge_score = None if content is None else judge.parse(content)
        if problem := judge.decide(content, config.judge):
            row.reason, row.value = problem
