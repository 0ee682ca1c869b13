"""`make synth ARGS="--preview N"`: a few prompts with their answers, to look at before paying."""

from __future__ import annotations

import heapq
import textwrap
from collections.abc import Iterator
from itertools import chain, islice, zip_longest
from typing import Any

from curation.errors import InputError, check_range
from curation.records import Document, Sample
from curation.synthesis.requests import request_for
from curation.synthesis.response_shards import open_log
from curation.synthesis.responses import Response, ResponseLog
from pipelines.asking import ask
from pipelines.commands import synth
from pipelines.config import RunConfig
from pipelines.terminal import say

_WIDTH = 96
_LABEL = 11  # characters in front of a text

Chosen = tuple[str, Sample]
"""(document part, sample)"""


def run(count: int, config: RunConfig, documents: dict[str, Any], beam: list[str]) -> None:
    """Ask for `count` questions, spread over the languages, and print each with its verdict.

    Their answers go to the log like all others: the run itself does not pay for them again.
    """
    check_range("--preview", count, 1, 1000)
    stage = synth.stage_for(config, documents)
    job = synth.draw_samples(stage, config, documents, beam)
    chosen = choose(job, count)
    if not chosen:
        raise InputError(synth.no_document(job.config))
    log = open_log(synth.responses_folder(config))
    requests = [request_for(sample, config.synthesis) for _, sample in chosen]
    ask(config.synthesis, log, requests, len(requests))
    for text in previews(job, chosen, log):
        say(text)


def choose(job: Any, count: int) -> list[Chosen]:
    """Return up to `count` samples: the languages take turns, in the order of keys."""
    from pipelines.synth import read_samples

    found: dict[str, list[tuple[str, str, Sample]]] = {}
    for part in job.sampled_parts():
        for sample in read_samples(job.samples_path(part)):
            found.setdefault(sample.language, []).append((sample.key, part, sample))
        first = {name: heapq.nsmallest(count, rows, _key) for name, rows in found.items()}
        found = first
    turns = zip_longest(*(found[language] for language in sorted(found)))
    taken = islice((row for row in chain.from_iterable(turns) if row), count)
    return [(part, sample) for _, part, sample in taken]


def _key(row: tuple[str, str, Sample]) -> str:
    return row[0]


def previews(job: Any, chosen: list[Chosen], log: ResponseLog) -> Iterator[str]:
    """Yield what is printed of each sample, checked as in the run itself."""
    from curation.language import LanguageDetector
    from pipelines.synthesis.checking import check_answer
    from pipelines.synthesis.sampling import read_documents

    detector = LanguageDetector()
    for number, (part, sample) in enumerate(chosen, 1):
        [document] = read_documents(job, part, {sample.document_id})
        response = log.final(sample.key)
        checked = check_answer(sample, response, job.config, detector)
        verdict = f"{checked.reason} {checked.value}".strip() or "passes the checks"
        yield preview(f"{number} of {len(chosen)}", sample, document, response, verdict)


def preview(
    title: str, sample: Sample, document: Document, response: Response | None, verdict: str
) -> str:
    """Return one sample with its prompt, answer and verdict as labelled text."""
    opener = f"{sample.opener}|" if sample.opener else ""  # what the prompt said of the question
    said = f"{opener}{response.content}" if response else "(none)"
    fields = {
        "language": sample.language,
        "document": f"{document.title} ({document.id})",
        "paragraph": f"at {sample.paragraph_position:.0%}: {sample.paragraph}",
        "prompt": sample.prompt,
        "answer": said,
        "verdict": verdict,
    }
    head = f"--- {title} ".ljust(_WIDTH, "-")
    return "\n".join((head, *(_labelled(name, text) for name, text in fields.items())))


def _labelled(name: str, text: str) -> str:
    width = _WIDTH - _LABEL
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, width) or [""]]
    labels = [name, *([""] * (len(lines) - 1))]
    pairs = zip(labels, lines, strict=True)
    return "\n".join(f"{label:<{_LABEL}}{line}".rstrip() for label, line in pairs)
