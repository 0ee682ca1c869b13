"""The client against a real local server that fails in every way servers do."""

import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from curation.errors import ServiceError
from tests.curation.synthesis.asking import (
    ask,
    asks,
    chat,
    in_turn,
    known,
    prompt_of,
    raw,
)
from tests.llm_server import Reply, ScriptedServer

PASSING = {
    "429-retry-after": Reply(status=429, headers={"Retry-After": "0"}, raw=b"{}"),
    "429-date": Reply(status=429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    "408": Reply(status=408, raw=b"{}"),
    "500": Reply(status=500, raw=b"oops", content_type="text/plain"),
    "503-html": Reply(status=503, raw=b"<html>busy</html>", content_type="text/html"),
    "dropped": Reply(drop=True),
    "html-200": Reply(raw=b"<html>login</html>", content_type="text/html"),
    "cut-json": Reply(raw=b'{"id": "x", "choices": [{"mess'),
    "no-utf8": Reply(raw=b"\xff\xfe\xff"),
    "empty-body": Reply(raw=b""),
    "empty-choices": raw({"id": "x", "model": "m", "choices": []}),
    "null-choices": raw({"id": "x", "model": "m", "choices": None}),
    "list": raw([1, 2]),
    "error-200": raw({"error": {"message": "overloaded"}}),
    "null-message": chat(None),  # type: ignore[arg-type]
}


@pytest.fixture(scope="module")
def recovered(
    llm_server: ScriptedServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], Counter[str], Counter[str]]:
    """A run in which each request fails once in its own way: answers, requests, failures."""
    scripts = {name: in_turn(reply, Reply("fine")) for name, reply in PASSING.items()}
    llm_server.script = lambda body: scripts[prompt_of(body)](body)
    llm_server.requests.clear()
    folder = tmp_path_factory.mktemp("recovered")
    client = ask(llm_server.url, folder, asks(*PASSING), concurrency=len(PASSING))
    asked = Counter(map(prompt_of, llm_server.requests))
    return {k: r.content for k, r in known(folder).items()}, asked, client.failures


@pytest.mark.parametrize("name", PASSING)
def test_passing_trouble_is_tried_again(
    recovered: tuple[dict[str, str], Counter[str], Counter[str]], name: str
) -> None:
    """A failure that may pass costs one more request and nothing else."""
    answers, asked, failures = recovered
    assert answers[name] == "fine"
    assert asked[name] == 2
    assert failures == {}


def test_lasting_trouble_fails_those_requests_alone(server: ScriptedServer, tmp_path: Path) -> None:
    """Requests that never succeed are counted by cause; a rerun asks them and nothing else."""
    is_served = threading.Event()  # else all may fail for good before the one success

    def script(body: dict[str, Any]) -> Reply:
        if prompt_of(body) == "good":
            is_served.set()
            return Reply("fine")
        is_served.wait(10)
        return PASSING[prompt_of(body)]

    server.script = script
    client = ask(server.url, tmp_path, asks(*PASSING, "good"), concurrency=20)
    assert set(known(tmp_path)) == {"good"}
    causes = {"HTTP 408": 1, "HTTP 429": 2, "HTTP 500": 1, "HTTP 503": 1}
    causes["the answer is no completion"] = 9
    assert client.failures.total() == len(PASSING)
    assert {cause: client.failures[cause] for cause in causes} == causes
    asked = Counter(map(prompt_of, server.requests))
    bursts = {name for name in PASSING if name.startswith(("429", "503"))}
    assert {k: asked[k] for k in asked if k not in bursts} == {
        **dict.fromkeys(PASSING.keys() - bursts, 2),
        "good": 1,
    }
    assert all(2 <= asked[name] <= 6 for name in bursts)  # of a burst only the first one counts
    server.requests.clear()
    server.script = lambda _: Reply("mended")
    ask(server.url, tmp_path, asks(*PASSING, "good"))
    assert Counter(map(prompt_of, server.requests)) == dict.fromkeys(PASSING, 1)
    wanted = {**dict.fromkeys(PASSING, "mended"), "good": "fine"}
    assert {k: r.content for k, r in known(tmp_path).items()} == wanted


@pytest.mark.parametrize("seconds", ["1", "1.0"])
def test_retry_after_is_waited_for(server: ScriptedServer, tmp_path: Path, seconds: str) -> None:
    """The server's wish counts, not the shorter pause of the client."""
    server.script = in_turn(Reply(status=429, headers={"Retry-After": seconds}), Reply("fine"))
    started = time.monotonic()
    ask(server.url, tmp_path, asks("a"))
    assert 1.0 <= time.monotonic() - started < 4.0


def test_timeout_is_kept(server: ScriptedServer, tmp_path: Path) -> None:
    """A server that sits on a request does not hold up the run."""
    server.script = lambda body: Reply("late", delay=3.0 if prompt_of(body) == "slow" else 0.0)
    started = time.monotonic()
    client = ask(server.url, tmp_path, asks("slow", "a"), timeout_seconds=0.3, max_attempts=1)
    assert time.monotonic() - started < 2.5
    assert set(known(tmp_path)) == {"a"}
    assert client.failures.total() == 1
    assert "imed out" in next(iter(client.failures)) or "Timeout" in next(iter(client.failures))


QUOTA = raw({"error": {"message": "pay first", "code": "insufficient_quota"}}, status=429)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_refusal_for_good_ends_the_run(server: ScriptedServer, tmp_path: Path, status: int) -> None:
    """A wrong key, model or request is not tried again; the message says what to check."""
    server.script = lambda _: raw({"error": {"message": "no such thing"}}, status=status)
    with pytest.raises(ServiceError) as caught:
        ask(server.url, tmp_path, asks(*"abcdefgh"), concurrency=2, max_attempts=5)
    message = str(caught.value)
    assert message.startswith(f"{server.url} refused: HTTP {status} ")
    assert "no such thing" in message
    assert message.endswith("check synthesis.model = 'm' and the key in OPENAI_API_KEY")
    assert len(server.requests) <= 2
    assert known(tmp_path) == {}


def test_spent_quota_ends_the_run(server: ScriptedServer, tmp_path: Path) -> None:
    """A 429 that no waiting mends is told from one that passes; paid answers stay."""
    server.script = lambda body: Reply("paid") if prompt_of(body) == "a" else QUOTA
    with pytest.raises(ServiceError, match=r"refused: HTTP 429 .*pay first"):
        ask(server.url, tmp_path, asks(*"abcd"), concurrency=1)
    assert set(known(tmp_path)) == {"a"}
    assert len(server.requests) == 2


@pytest.mark.parametrize("count", [2, 40])
def test_absent_server_is_reported(tmp_path: Path, count: int) -> None:
    """Nobody at the address: one clear error, soon, for few requests and for many."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    with pytest.raises(ServiceError) as caught:
        ask(url, tmp_path, asks(*map(str, range(count))), max_attempts=2)
    assert str(caught.value) == (
        f"{url} cannot be reached: Connection refused; "
        "check synthesis.base_url and that the server runs"
    )


def test_rerun_of_hopeless_requests_goes_on(server: ScriptedServer, tmp_path: Path) -> None:
    """Where earlier runs got answers, a few that still fail are counted and end nothing."""
    ask(server.url, tmp_path, asks("good"))
    server.script = lambda _: Reply(status=500)
    client = ask(server.url, tmp_path, asks("good", "bad"), max_attempts=1)
    assert client.failures == {"HTTP 500": 1}
    assert set(known(tmp_path)) == {"good"}


def test_run_with_some_success_goes_on(server: ScriptedServer, tmp_path: Path) -> None:
    """After one answer, any number of failures is counted and none ends the run."""
    server.script = lambda body: Reply("fine") if prompt_of(body) == "0" else Reply(status=500)
    client = ask(server.url, tmp_path, asks(*map(str, range(20))), concurrency=1, max_attempts=1)
    assert client.failures == {"HTTP 500": 19}
    assert set(known(tmp_path)) == {"0"}
