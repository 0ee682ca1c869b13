"""A child process that is replaced when it hangs, dies or cannot start."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from curation.errors import ConfigError
from curation.sources import sandbox
from curation.sources.sandbox import FailedRequestError, Sandbox

CHILD = """
import os, sys, time
from curation.errors import ConfigError
from curation.sources.sandbox import serve

def prepare():
    if sys.argv[1] == "config":
        raise ConfigError("install the extra")
    if sys.argv[1] == "import":
        import no_such_module
    if sys.argv[1] == "crash":
        os._exit(3)
    print("noise on standard output")
    return answer

def answer(request):
    command = request.decode()
    if command == "spin":
        while True: pass
    if command == "raise":
        raise ValueError(command)
    if command == "die":
        os._exit(1)
    if command == "sleep":
        time.sleep(60)
    if command == "memory":
        return bytes(8 << 30)
    if command == "large":
        return b"x" * (3 << 20)
    return b"%d " % os.getpid() + request

serve(prepare, float(sys.argv[2]))
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "answering_child.py").write_text(CHILD)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return "answering_child"


@pytest.fixture
def child(module: str) -> Iterator[Sandbox]:
    with Sandbox(module, "", seconds=0.3) as started:
        yield started


def test_one_child_answers_all_requests(child: Sandbox) -> None:
    """Requests of any size, and answers too, go through one process."""
    first, second = child.ask(b"a").split(), child.ask(b"b" * (2 << 20)).split()
    assert first[0] == second[0]
    assert (first[1], second[1]) == (b"a", b"b" * (2 << 20))
    assert child.ask(b"large") == b"x" * (3 << 20)
    assert child.ask(b"").split() == [first[0]]


def test_a_large_parent_does_not_wear_its_child_out(module: str) -> None:
    """What the parent holds in memory is not counted against the child."""
    ballast = bytearray(1200 << 20)
    ballast[:: 1 << 12] = b"x" * len(ballast[:: 1 << 12])
    with Sandbox(module, "", seconds=5) as child:
        assert child.ask(b"a").split()[0] == child.ask(b"b").split()[0]
    assert ballast[0] == ord("x")


@pytest.mark.parametrize(
    ("command", "reason"),
    [("spin", "timeout"), ("die", "failed"), ("raise", "failed"), ("memory", "failed")],
)
def test_a_request_without_an_answer_costs_itself_only(
    child: Sandbox, command: str, reason: str
) -> None:
    """The request is told why it failed, and the next one is answered."""
    start = time.monotonic()
    with pytest.raises(FailedRequestError, match=f"^{reason}$"):
        child.ask(command.encode())
    assert child.ask(b"next").endswith(b" next")
    assert time.monotonic() - start < 30


def test_a_child_that_sleeps_is_ended_by_the_clock(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPU time does not pass while a child sleeps."""
    monkeypatch.setattr(sandbox, "_WALL_FACTOR", 5.0)
    with Sandbox(module, "", seconds=0.2) as child:
        with pytest.raises(FailedRequestError, match="timeout"):
            child.ask(b"sleep")
        assert child.ask(b"next").endswith(b" next")


def test_a_child_that_has_grown_is_replaced(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last answer counts; the next comes from another process."""
    source = CHILD.replace(
        "serve(prepare", "import curation.sources.sandbox as s\ns._RETIRE = 0\nserve(prepare"
    )
    Path(sys.path[0], "growing_child.py").write_text(source)
    with Sandbox("growing_child", "") as child:
        pids = {child.ask(b"x").split()[0] for _ in range(3)}
    assert len(pids) == 3


@pytest.mark.parametrize(
    ("mode", "message"),
    [("config", "install the extra"), ("import", "no_such_module"), ("crash", "does not start")],
)
def test_what_cannot_start_is_an_error_of_the_setup(module: str, mode: str, message: str) -> None:
    """A broken import must not look like pages that time out."""
    with pytest.raises(ConfigError, match=message), Sandbox(module, mode):
        raise AssertionError("entered")


def test_leaving_ends_the_child(module: str) -> None:
    """No process stays behind."""
    with Sandbox(module, "") as child:
        process = child._child
        assert process is not None
        assert process.poll() is None
    assert process.poll() == 0
