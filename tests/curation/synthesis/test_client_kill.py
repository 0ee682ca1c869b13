"""kill -9 at random moments, and two runs on one folder."""

import multiprocessing
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from curation.errors import InputError
from curation.synthesis.responses import ResponseLog
from tests.curation.synthesis.asking import ask, asks, client_for, known, prompt_of
from tests.llm_server import Reply, ScriptedServer

NAMES = [f"n{i}" for i in range(400)]
WINDOW = 6


def run_all(url: str, folder: str) -> None:
    """Ask everything: what is killed."""
    ask(url, Path(folder), asks(*NAMES), concurrency=WINDOW)


def test_ten_kills_lose_nothing_and_pay_little_twice(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """The answers are exactly the requests; at most what was in flight is asked again."""
    server.script = lambda body: Reply(f"about {prompt_of(body)}", delay=0.004)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.curation.synthesis.asking"])
    draw = random.Random(10)
    for _ in range(10):
        logged = set(known_lines(tmp_path))
        before = len(server.requests)
        process = context.Process(target=run_all, args=(server.url, str(tmp_path)))
        process.start()
        wait_for(server, before + draw.randint(5, 35))
        time.sleep(draw.random() * 0.01)
        process.kill()
        process.join()
        asked = {prompt_of(body) for body in server.requests[before:]}
        assert not asked & logged  # what was logged is never asked again
    ask(server.url, tmp_path, asks(*NAMES), concurrency=WINDOW)
    assert {key: answer.content for key, answer in known(tmp_path, partial=True).items()} == {
        name: f"about {name}" for name in NAMES
    }
    counts = Counter(map(prompt_of, server.requests))
    assert counts.keys() == set(NAMES)
    assert len(NAMES) < counts.total() <= len(NAMES) + 10 * WINDOW


def known_lines(folder: Path) -> set[str]:
    """Return the keys whose line is complete."""
    return set(known(folder, partial=True))


def wait_for(server: ScriptedServer, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(server.requests) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_two_runs_on_one_folder_do_not_write_at_once(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """The second is told before it pays for anything; afterwards it may run."""
    first = client_for(server.url, tmp_path)
    first.log.open()
    with pytest.raises(InputError, match=r"^another run is writing .*responses\.jsonl; wait"):
        ask(server.url, tmp_path, asks("a"))
    assert server.requests == []
    first.log.close()
    ask(server.url, tmp_path, asks("a"))
    assert set(known(tmp_path)) == {"a"}


def test_what_another_run_has_paid_for_meanwhile_is_known(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """A log that was read before the other run wrote is read on when it is locked."""
    waiting = client_for(server.url, tmp_path)
    ask(server.url, tmp_path, asks("a", "b"))
    waiting.ask_all(asks("a", "b", "c"))
    waiting.log.close()
    assert sorted(map(prompt_of, server.requests)) == ["a", "b", "c"]


def test_a_reader_needs_no_lock(server: ScriptedServer, tmp_path: Path) -> None:
    client = client_for(server.url, tmp_path)
    client.ask_all(asks("a"))
    answer = ResponseLog(str(tmp_path)).final("a")
    client.log.close()
    assert answer is not None
    assert answer.content == "about a"


def test_memory_does_not_hold_requests_or_answers(server: ScriptedServer, tmp_path: Path) -> None:
    """Requests come from an iterator, no faster than they are sent."""
    drawn: list[int] = []

    def requests() -> Any:
        for i in range(60):
            drawn.append(i - len(server.requests))
            yield asks(f"n{i}")[0]

    client = ask(server.url, tmp_path, requests(), concurrency=4)
    assert client.answered == 60
    assert max(drawn) <= 5
