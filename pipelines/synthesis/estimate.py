"""`make synth --dry-run`: what would be asked, in requests and tokens, and three of the prompts.

The draw is the real one, over the document parts, and nothing is written. Input tokens are counted
with the tokenizer of `model.encoder`, which is not the server's; of output each request is taken
to use its whole cap, so that the estimate is no less than what is billed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from curation.draw import rank
from curation.errors import InputError
from curation.records import Sample
from curation.synthesis.config import SynthesisConfig
from curation.tokens import TokenCounter
from pipelines.config import RunConfig
from pipelines.encoders import encoder_folder
from pipelines.synth import SynthJob
from pipelines.synthesis import sampling
from pipelines.terminal import table
from pipelines.work import Workspace

_PROMPTS = 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """Requests and input tokens by language, and some prompts."""

    requests: Counter[str]
    input_tokens: Counter[str]
    prompts: list[Sample]


def describe(config: RunConfig, documents: dict[str, Any]) -> str:
    """Return what would be asked."""
    folder = encoder_folder(config.model.encoder)
    job = SynthJob(
        config=config.synthesis,
        tokenizer=folder,
        workspace=Workspace(""),
        out=config.out,
        parts=tuple(str(part["name"]) for part in documents["parts"]),
        descriptions={},
    )
    found = estimate(job)
    if not found.requests:
        raise InputError(
            "no document fits the length band and synthesis.languages and has a prompt in its "
            "language; nothing would be asked"
        )
    urls = ", ".join(endpoint.base_url for endpoint in config.synthesis.all_endpoints())
    where = urls or f"a local {config.synthesis.local_server}"
    lines = [
        f"would ask {where} {found.requests.total():,} questions about documents of {config.out}",
        _table(found, config),
        f"input: tokens of {config.model.encoder}; output: synthesis.max_output_tokens a request",
        "answers that the log holds are not asked again",
    ]
    shown = enumerate(found.prompts, 1)
    return "\n".join([*lines, *(f"--- prompt {i}: {s.id}\n{s.prompt}" for i, s in shown)])


def _table(found: Estimate, config: RunConfig) -> str:
    order = sorted(found.requests, key=lambda name: (-found.requests[name], name))
    rows = [
        _row(name, found.requests[name], found.input_tokens[name], config.synthesis)
        for name in order
    ]
    whole = found.requests.total(), found.input_tokens.total()
    rows.append(_row("all", *whole, config.synthesis))
    return table(("language", "requests", "input tokens", "output tokens", "cost"), rows)


def _row(name: str, requests: int, input_tokens: int, config: SynthesisConfig) -> list[str]:
    output_tokens = requests * config.max_output_tokens
    return [
        name,
        f"{requests:,}",
        f"{input_tokens:,}",
        f"{output_tokens:,}",
        cost(input_tokens, output_tokens, config),
    ]


def cost(input_tokens: int, output_tokens: int, config: SynthesisConfig) -> str:
    """Return dollars, at the prices of the dearest endpoint; a dash where one has none."""
    endpoints = config.all_endpoints()
    if not endpoints or not all(endpoint.is_priced for endpoint in endpoints):
        return "–"
    return f"${max(e.cost(input_tokens, 0, output_tokens) for e in endpoints):,.4f}"


def estimate(job: SynthJob) -> Estimate:
    """Return what the samples of a job would take."""
    counter = TokenCounter(job.tokenizer)
    found = Estimate(Counter(), Counter(), [])
    for sample in samples(job):
        found.requests[sample.language] += 1
        found.input_tokens[sample.language] += counter.lengths([sample.prompt])[0]
        found.prompts.append(sample)
        found.prompts.sort(key=lambda kept: rank(kept.id, "sample"))
        del found.prompts[_PROMPTS:]
    return found


def samples(job: SynthJob) -> Iterator[Sample]:
    """Yield the samples of a job without writing any, by the functions of job 1."""
    by_language: dict[str, list[sampling.Candidates]] = {}
    for part in job.parts:
        for language, candidates in sampling.part_candidates(part, job):
            by_language.setdefault(language, []).append(candidates)
    counts = Counter(
        {
            (language, source): number
            for language, listed in by_language.items()
            for source, number in sum((own.counts for own in listed), Counter()).items()
        }
    )
    drawn: dict[str, set[str]] = {}
    for item in by_language.items():
        for part, (identity, is_asked) in sampling.draw_documents(item, job, counts):
            if is_asked:
                drawn.setdefault(part, set()).add(identity)
    for part, ids in sorted(drawn.items()):
        for document in sampling.read_documents(job, part, ids):
            yield from (m for m in sampling.make_samples(document, job) if isinstance(m, Sample))
