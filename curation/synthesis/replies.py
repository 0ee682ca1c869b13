"""What a server's reply means: an answer, trouble that may pass, or a refusal for good."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from curation.synthesis.http1 import Reply
from curation.synthesis.limits import retry_after
from curation.synthesis.parameters import refused_parameter

_OVERLOADED = (429, 503, 529)
_PASSING = (408, 409, 425)
_NOT_THIS_ONE = ("context_length_exceeded", "string_above_max_length")
_FILTERED = ("content_filter", "content_policy_violation", "invalid_prompt")
_LONGEST_MESSAGE = 300


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a reply says it took."""

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion."""

    content: str
    finish_reason: str
    model: str
    tokens: Tokens


class Trouble(Enum):
    """Why a reply is no answer."""

    FAILED = "failed"
    """It may pass: try again."""
    OVERLOADED = "overloaded"
    """The endpoint wants fewer requests."""
    UNSUPPORTED = "unsupported"
    """The endpoint does not take a parameter."""
    REJECTED = "rejected"
    """This request will never succeed; others may."""
    REFUSED = "refused"
    """No request will succeed here: key, model, quota, address."""
    UNREACHABLE = "unreachable"
    """Nobody is there; nothing was sent."""
    LOST = "lost"
    """It was sent and no answer came: the server may bill it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A reply that is no answer."""

    trouble: Trouble
    name: str
    """Short and stable: what failures are counted by."""
    message: str = ""
    """What the server said."""
    wait: float | None = None
    """Seconds that the server asks to wait."""
    tokens: Tokens = Tokens()
    """What the server bills nevertheless."""
    parameter: str = ""
    """UNSUPPORTED: which one."""


def read_reply(reply: Reply, body: dict[str, Any], now: datetime) -> Answer | Problem:
    """Return what a reply to `body` means."""
    if reply.status == 200:
        return _read_completion(reply.body)
    wait = retry_after(reply.headers, now)
    message, code, parameter = _read_error(reply.body)
    name = f"HTTP {reply.status}"
    if code == "insufficient_quota":
        return Problem(Trouble.REFUSED, name, message)
    if reply.status in _OVERLOADED:
        return Problem(Trouble.OVERLOADED, name, message, wait)
    if reply.status in _PASSING or reply.status >= 500:
        return Problem(Trouble.FAILED, name, message, wait)
    if 300 <= reply.status < 400:
        return Problem(Trouble.REFUSED, name, f"it redirects to {reply.headers.get('location')}")
    return _read_refusal(name, message, code, parameter, body)


def _read_refusal(
    name: str, message: str, code: str, parameter: str, body: dict[str, Any]
) -> Answer | Problem:
    """Return what a 4xx that is no overload means."""
    if code in _FILTERED:
        return Answer("", "content_filter", str(body.get("model", "")), Tokens())
    if code in _NOT_THIS_ONE or "maximum context length" in message:
        return Problem(Trouble.REJECTED, "the prompt is too long for the model", message)
    if name in ("HTTP 400", "HTTP 422") and (
        refused := refused_parameter(message, parameter, code, body)
    ):
        return Problem(Trouble.UNSUPPORTED, name, message, parameter=refused)
    return Problem(Trouble.REFUSED, name, message)


def _read_error(body: bytes) -> tuple[str, str, str]:
    """Return message, code and parameter of an error's body, in the shapes servers use."""
    try:
        data = json.loads(body)
    except ValueError:
        return body[:_LONGEST_MESSAGE].decode("utf-8", "replace").strip(), "", ""
    error = data.get("error", data) if isinstance(data, dict) else data
    if not isinstance(error, dict):
        return str(error)[:_LONGEST_MESSAGE], "", ""
    message = str(error.get("message") or error.get("detail") or error)
    code = str(error.get("code") or error.get("type") or "")
    return message[:_LONGEST_MESSAGE], code, str(error.get("param") or "")


def _read_completion(body: bytes) -> Answer | Problem:
    """Return the answer in a reply of status 200, which may be HTML."""
    try:
        return read_completion(json.loads(body))
    except (ValueError, RecursionError):
        return Problem(Trouble.FAILED, "the answer is no completion")


def read_completion(completion: Any) -> Answer | Problem:
    """Return the answer in a completion's JSON, which may hold null choices or be none."""
    tokens = Tokens()
    try:
        tokens = _tokens(completion.get("usage"))
        return _answer(completion, tokens)
    except (ValueError, AttributeError, LookupError, TypeError):
        return Problem(Trouble.FAILED, "the answer is no completion", tokens=tokens)


def _answer(completion: Mapping[str, Any], tokens: Tokens) -> Answer | Problem:
    choice = completion["choices"][0]
    reason = str(choice.get("finish_reason") or "")
    if reason == "error":  # how routers report that the model behind them failed
        return Problem(Trouble.FAILED, "the answer is an error", tokens=tokens)
    message = choice["message"] if "message" in choice else {"content": choice["text"]}
    text = message.get("content") or ""
    if not isinstance(text, str):
        raise TypeError(text)
    return Answer(
        content=text.encode("utf-8", "replace").decode(),  # lone surrogates are no UTF-8
        finish_reason="refusal" if message.get("refusal") else reason,
        model=str(completion.get("model") or ""),
        tokens=tokens,
    )


def _tokens(usage: Any) -> Tokens:
    if not isinstance(usage, dict):
        return Tokens()
    given = usage.get("prompt_tokens_details") or {}
    made = usage.get("completion_tokens_details") or {}
    return Tokens(
        input=_count(usage.get("prompt_tokens")),
        output=_count(usage.get("completion_tokens")),
        cached=_count(given.get("cached_tokens")),
        reasoning=_count(made.get("reasoning_tokens")),
    )


def _count(value: Any) -> int:
    """Return a count of tokens: 0 for anything that is none."""
    return value if type(value) is int and 0 <= value < 1 << 40 else 0
