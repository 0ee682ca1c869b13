"""A hostile server over real sockets: everything at once, and one thing at a time."""

import json
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.curation.synthesis.asking import ask, asks, known, prompt_of, raw
from tests.llm_server import Reply, ScriptedServer, usage_of

NAMES = [f"n{i}" for i in range(120)]
TROUBLE = [
    Reply(status=429, raw=b"{}"),
    Reply(status=429, headers={"Retry-After-Ms": "30"}),
    Reply(status=500, raw=b"oops", content_type="text/plain"),
    Reply(status=502, raw=b"<html>bad gateway</html>", content_type="text/html"),
    Reply(raw=b"<html>login</html>", content_type="text/html"),
    raw({"choices": None, "usage": usage_of((7, 3))}),
    Reply(raw=b'{"choices": [{"mess'),
    Reply(drop=True),
    Reply("never whole", drip=0.05),
]


class Hostile:
    """Troubles at random, with a count of what it answered and billed."""

    def __init__(self, share: float) -> None:
        self._draw = random.Random(1)
        self._lock = threading.Lock()
        self._share = share
        self.billed = 0
        self.answers = Counter[str]()

    def __call__(self, body: dict[str, Any]) -> Reply:
        with self._lock:
            trouble = self._draw.choice(TROUBLE) if self._draw.random() < self._share else None
            if trouble is None:
                self.answers[prompt_of(body)] += 1
                self.billed += 15
            elif trouble.raw and b"usage" in trouble.raw:
                self.billed += 10
        return trouble or Reply(self._draw.choice(["Who built it?", "", "Кто построил?"]))


def test_no_request_is_lost_or_counted_twice(server: ScriptedServer, tmp_path: Path) -> None:
    """30 % of failures of nine kinds: the ledger is the server's count."""
    hostile = Hostile(0.3)
    server.script = hostile
    options: dict[str, Any] = {"concurrency": 32, "max_attempts": 6, "timeout_seconds": 0.8}
    client = ask(server.url, tmp_path, asks(*NAMES), **options)
    answers = known(tmp_path)
    lines = (tmp_path / "responses.jsonl").read_bytes().splitlines()
    assert len(lines) == len(answers) == client.answered
    assert len(answers) + client.failures.total() == client.settled == len(NAMES)
    assert client.failures.total() < 6
    assert answers.keys() <= hostile.answers.keys()
    assert set(hostile.answers.values()) == {1}
    assert client.usage.requests == len(server.requests)
    assert client.usage.tokens == hostile.billed
    assert sum(json.loads(line)["attempts"] for line in lines) <= len(server.requests)


def test_a_slow_drip_is_bounded_as_a_whole(server: ScriptedServer, tmp_path: Path) -> None:
    """A byte now and then keeps no request alive beyond its time."""
    server.script = lambda body: Reply("x", drip=0.02 if prompt_of(body) == "drip" else 0.0)
    started = time.monotonic()
    client = ask(server.url, tmp_path, asks("drip", "a"), timeout_seconds=0.4, max_attempts=2)
    assert 0.8 <= time.monotonic() - started < 3
    assert client.failures == {"timed out": 1}
    assert set(known(tmp_path)) == {"a"}


@pytest.mark.parametrize("content", ["", " \n"], ids=["empty", "blank"])
def test_an_empty_answer_is_an_answer(server: ScriptedServer, tmp_path: Path, content: str) -> None:
    """It is paid for; whether it is a question is for the checks to say."""
    server.script = lambda _: Reply(content)
    ask(server.url, tmp_path, asks("a"))
    assert known(tmp_path)["a"].content == content
    assert len(server.requests) == 1
