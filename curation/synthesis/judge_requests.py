"""What the judge is asked: it goes through the same client and log as the questions."""

from __future__ import annotations

import dataclasses
from typing import Any

from curation.records import Sample
from curation.synthesis import judge
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.languages import english_name
from curation.synthesis.requests import Request, request_body, request_key

_PRICES = ("input_price", "output_price")


def judge_config(config: SynthesisConfig) -> SynthesisConfig:
    """Return the settings under which the judge is asked; limits and caps are the questions'.

    Raises `ConfigError` where a cap on money lacks the prices of the judge.
    """
    options = config.judge
    asked = dataclasses.replace(
        config,
        prompt="instruct",
        answer=False,
        model=options.model or config.model,
        max_output_tokens=options.max_output_tokens,
        temperature=0.0,
        max_usd=0.0,
        **_endpoint(config),
    )
    return dataclasses.replace(asked, max_usd=config.max_usd)


def _endpoint(config: SynthesisConfig) -> dict[str, Any]:
    """Return where the judge is asked, with its prices where it is not the questions' model."""
    options = config.judge
    prices: dict[str, Any] = {name: getattr(options, name) for name in _PRICES}
    key: dict[str, Any] = {"api_key_env": options.api_key_env} if options.api_key_env else {}
    if options.base_url:
        where = {"local_server": "", "endpoints": (), "base_url": options.base_url}
        return where | prices | {"cached_input_price": None} | key  # of another service
    if not options.model:
        return key
    listed = (dataclasses.replace(e, model="", **prices, **key) for e in config.endpoints)
    return {"endpoints": tuple(listed)} | prices | key


def judge_request(sample: Sample, question: str, config: SynthesisConfig) -> Request:
    """Return what the judge is asked about a question; `config` is what `judge_config` gave."""
    text = judge.prompt(question, sample.paragraph, english_name(sample.language))
    body = request_body("chat", text, (), config)
    return Request(request_key(body, judge.prompt_version()), "chat", body, sample.language)
