"""The steps of `make synth` over the whole set: ranks, the judge, and what follows from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from curation import manifest
from curation.errors import BudgetError
from curation.synthesis.budget import Usage
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.cost import usd
from curation.synthesis.judge_requests import judge_config, judge_request
from curation.synthesis.requests import Request
from pipelines.commands.common import load_for_encoding
from pipelines.config import RunConfig, to_dict
from pipelines.stage import Stage
from pipelines.terminal import Progress

TOKENS = ("input_tokens", "output_tokens")


def check_encoder(config: RunConfig) -> None:
    """Raise before anything is paid what the round trip would raise afterwards."""
    if config.synthesis.round_trip.enabled:
        from pipelines.encoders import encoder_folder
        from train.checkpoint import check

        check(encoder_folder(config.model.encoder), config.model)


def decide(config: RunConfig, job: Any, spent: Usage) -> dict[str, float]:
    """Decide over the whole set; return the judge's requests and tokens.

    `spent` is what this run took of its caps before.
    """
    from pipelines.synthesis import deciding

    usage: dict[str, float] = dict.fromkeys(("requests", "cached", "unanswered", *TOKENS), 0)

    def ask(questions: Any) -> Any:
        return ask_judge(config, questions, usage, spent)

    deciding.decide(job, rank_questions(config, job), ask)
    return usage


def rank_questions(config: RunConfig, job: Any) -> Any:
    """Return the ranks of all questions, computed unless they are up to date; None if off."""
    if not config.synthesis.round_trip.enabled:
        return None
    from pipelines.encoders import describe_encoder, encoder_folder
    from pipelines.synthesis import ranking

    options = to_dict(config.synthesis.round_trip)
    folder = encoder_folder(config.model.encoder)
    stage = Stage(
        name="rank-questions",
        out=config.out,
        outputs=(ranking.OUTPUT,),
        config={
            "round_trip": {k: options[k] for k in ("scope", "dtype")},
            "model": to_dict(config.model),
        },
        inputs=[ranking.digest(job), describe_encoder(folder)],
    )
    if not stage.is_up_to_date():
        from pipelines.relevance import Encoder

        model, dtype = load_for_encoding(config, config.synthesis.round_trip.dtype, "synth")
        with Progress("round trip", "questions") as progress:
            tokens = config.synthesis.round_trip.batch_tokens
            encoder = Encoder(model, dtype, tokens, lambda *_: None)
            ranking.write_ranks(job, stage, encoder, progress)
    directory = stage.directory(ranking.OUTPUT)
    return ranking.Ranks(manifest.part_paths(directory, manifest.read(directory, "make synth")))


def ask_judge(config: RunConfig, questions: Any, usage: dict[str, float], spent: Usage) -> Any:
    """Ask the judge what the log does not hold; return what finds an answer by its key."""
    from curation.synthesis.response_shards import open_log
    from pipelines.asking import ask
    from pipelines.commands.synth import responses_folder

    settings = judge_config(config.synthesis)
    log = open_log(responses_folder(config))

    def requests() -> Iterator[Request]:
        return (judge_request(sample, said, settings) for sample, said in questions())

    keys = {request.key for request in requests()}
    if not all(log.is_settled(key) for key in keys):
        settings = what_is_left(settings, spent)
    asked = ask(settings, log, requests(), len(keys))
    answers = list(log.read(sorted(keys)))
    usage["requests"], usage["cached"] = asked.asked, asked.known
    usage["input_tokens"] = sum(answer.input_tokens for answer in answers)
    usage["output_tokens"] = sum(answer.output_tokens for answer in answers)
    usage["unanswered"] = len(keys) - len(answers)
    if (cost := usd(answers, settings)) is not None:
        usage["usd"] = cost
    return log.final


def what_is_left(config: SynthesisConfig, spent: Usage) -> SynthesisConfig:
    """Return the judge's settings with what the questions left of the run's caps.

    Raises `BudgetError` where one is used up: 0 would be no cap at all.
    """
    left: dict[str, Any] = {}
    taken = {"max_usd": spent.usd, "max_tokens": spent.tokens, "max_requests": spent.requests}
    for name, used in taken.items():
        cap = getattr(config, name)
        if cap and cap - used <= 0:
            raise BudgetError(
                f"synthesis.{name} = {cap:,} is used up by the questions, and nothing is left for "
                "the judge; what was paid is kept: raise it, or run it again"
            )
        left[name] = cap - used if cap else cap
    return dataclasses.replace(config, **left)
