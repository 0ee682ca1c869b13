"""What the tests of the client share: requests, replies, and one call that asks."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from curation.synthesis.client import Client
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.requests import Request, kind_of, request_body
from curation.synthesis.responses import Response, ResponseLog
from tests.llm_server import Reply

KEY = "sk-very-secret-0123456789"
Script = Callable[[dict[str, Any]], Reply]


def prompt_of(body: dict[str, Any]) -> str:
    """Return what a request asks, in either style."""
    return str(body["prompt"] if "prompt" in body else body["messages"][0]["content"])


def asks(
    *names: str, style: str = "instruct", stop: tuple[str, ...] = (), **options: Any
) -> list[Request]:
    """Return requests whose key and prompt are their name."""
    config = SynthesisConfig(prompt=style, model="m", **options)
    kind = kind_of(config)
    return [Request(name, kind, request_body(kind, name, stop, config)) for name in names]


def ask(
    url: str,
    folder: Path,
    requests: Sequence[Request],
    on_answer: Callable[[int], None] = lambda _: None,
    key: str = KEY,
    **options: Any,
) -> Client:
    """Ask everything with two attempts unless told otherwise, close the log; return the client."""
    config = SynthesisConfig(**{"model": "m", "max_attempts": 2, "timeout_seconds": 5, **options})
    log = ResponseLog(str(folder))
    client = Client(config, url, key, log, on_answer)
    try:
        client.ask_all(requests)
    finally:
        log.close()
    return client


def known(folder: Path) -> dict[str, Response]:
    """Return the answers that a later run finds."""
    return ResponseLog(str(folder)).known


def in_turn(*replies: Reply) -> Script:
    """Return a script that gives each prompt these replies in turn, then the last for ever."""
    seen: dict[str, int] = {}

    def script(body: dict[str, Any]) -> Reply:
        turn = seen[prompt_of(body)] = seen.get(prompt_of(body), -1) + 1
        return replies[min(turn, len(replies) - 1)]

    return script


def raw(value: object, **options: Any) -> Reply:
    """Return a reply with any JSON value as its body."""
    return Reply(raw=json.dumps(value).encode(), **options)


def chat(message: dict[str, Any], finish_reason: str = "stop", **rest: Any) -> Reply:
    """Return a chat completion with any message."""
    choice = {"index": 0, "finish_reason": finish_reason, "message": message}
    return raw({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], **rest})
