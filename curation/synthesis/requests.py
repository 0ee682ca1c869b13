"""What is sent for a prompt: one body for the online client, hosted and local batches."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from curation.records import Sample
from curation.synthesis.answers import RESPONSE_FORMAT
from curation.synthesis.config import SynthesisConfig

PATHS = {"chat": "/v1/chat/completions", "completion": "/v1/completions"}

Kind = Literal["chat", "completion"]


@dataclass(frozen=True, slots=True)
class Request:
    """One completion to ask for: `key` names everything that decides the answer."""

    key: str
    kind: Kind
    body: dict[str, Any]
    """The JSON body as it is sent to `PATHS[kind]`."""
    language: str = ""
    follows: str = ""
    """The key of the request whose answer was cut short (`follow_up.py`)."""


def kind_of(config: SynthesisConfig) -> Kind:
    """Return which of the two interfaces the configured prompts speak to."""
    return "completion" if config.prompt == "base" else "chat"


def request_for(sample: Sample, config: SynthesisConfig) -> Request:
    """Return the request for a sample's prompt; `sample.key` becomes its key."""
    kind = kind_of(config)
    body = request_body(kind, sample.prompt, tuple(sample.stop), config)
    return Request(sample.key, kind, body, sample.language)


def request_body(
    kind: Kind, prompt: str, stop: tuple[str, ...], config: SynthesisConfig
) -> dict[str, Any]:
    """Return the JSON body that asks for a prompt's completion."""
    asked: dict[str, Any] = (
        {"prompt": prompt}
        if kind == "completion"
        else {"messages": [{"role": "user", "content": prompt}]}
    )
    body = asked | {
        "model": config.model or config.local_server,
        "max_tokens": config.max_output_tokens,
        "temperature": config.temperature,
        "seed": config.seed,
    }
    if config.answer:
        body["response_format"] = RESPONSE_FORMAT
    return body | ({"stop": list(stop)} if stop else {})


def request_key(body: dict[str, Any], version: str) -> str:
    """Return the key of a request: 32 hexadecimal digits of the sha256 of body and version."""
    text = json.dumps([body, version], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
