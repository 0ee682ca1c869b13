"""What the tests of the client share: requests, replies, and one call that asks."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from curation.synthesis.client import Client
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.connections import Pool
from curation.synthesis.endpoints import EndpointConfig
from curation.synthesis.requests import Request, kind_of, request_body
from curation.synthesis.responses import FILE, Response, ResponseLog
from tests.curation.synthesis.simulated import SimulatedLoop, SimulatedPool
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


def client_for(
    url: str | Sequence[EndpointConfig],
    folder: Path,
    on_answer: Callable[[int], None] = lambda _: None,
    key: str = KEY,
    pools: Mapping[str, Pool] | None = None,
    **options: Any,
) -> Client:
    """Return a client with two attempts unless told otherwise, and an open log."""
    where = {"base_url": url} if isinstance(url, str) else {"endpoints": tuple(url)}
    fixed = {"model": "m", "max_attempts": 2, "timeout_seconds": 5}
    config = SynthesisConfig(**(fixed | where | options))
    environment = {endpoint.api_key_env: key for endpoint in config.all_endpoints()}
    client = Client(config, ResponseLog(str(folder)), environment=environment, on_answer=on_answer)
    if pools:
        client.open_pool = lambda endpoint, _: pools[endpoint.base_url]
        client.new_loop = SimulatedLoop
    return client


def simulate(
    pool: SimulatedPool, folder: Path, requests: Iterable[Request], **options: Any
) -> Client:
    """Ask a simulated server in simulated time."""
    url = "http://simulated/v1"
    return ask(url, folder, requests, pools={url: pool}, **options)


def ask(
    url: str | Sequence[EndpointConfig],
    folder: Path,
    requests: Iterable[Request],
    on_answer: Callable[[int], None] = lambda _: None,
    key: str = KEY,
    pools: Mapping[str, Pool] | None = None,
    **options: Any,
) -> Client:
    """Ask everything and close the log; return the client."""
    client = client_for(url, folder, on_answer, key, pools, **options)
    try:
        client.ask_all(requests)
    finally:
        client.log.close()
    return client


def known(folder: Path, *, partial: bool = False) -> dict[str, Response]:
    """Return all answers of the log by key; with `partial` lines may be cut short."""
    found = {}
    path = folder / FILE
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            response = Response(**json.loads(line))
        except ValueError:
            if not partial:
                raise
        else:
            found[response.key] = response
    return found


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
