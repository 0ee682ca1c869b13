"""The judge's requests: they go through the same client and log as the questions."""

from __future__ import annotations

import dataclasses

from curation.records import Sample
from curation.synthesis import judge
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.languages import english_name
from curation.synthesis.requests import request_body, request_key


def judge_config(config: SynthesisConfig) -> SynthesisConfig:
    """Return the settings under which the judge is asked."""
    options = config.judge
    return dataclasses.replace(
        config,
        prompt="instruct",
        answer=False,
        local_server="" if options.base_url else config.local_server,
        base_url=options.base_url or config.base_url,
        model=options.model or config.model,
        api_key_env=options.api_key_env or config.api_key_env,
        max_output_tokens=options.max_output_tokens,
        temperature=0.0,
    )


def judge_sample(sample: Sample, question: str, config: SynthesisConfig) -> Sample:
    """Return what the judge is asked about a question, in the form of a sample."""
    text = judge.prompt(question, sample.paragraph, english_name(sample.language))
    return dataclasses.replace(
        sample,
        key=request_key(
            request_body("chat", text, (), judge_config(config)), judge.prompt_version()
        ),
        prompt=text,
        opener="",
        question_mark="",
        stop=[],
        prompt_version=judge.prompt_version(),
    )


def judge_key(sample: Sample, question: str, config: SynthesisConfig) -> str:
    """Return the request key of the judge's answer to a question."""
    return judge_sample(sample, question, config).key
