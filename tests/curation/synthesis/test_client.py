"""The client at work: what is asked, logged and kept secret, against a real local server."""

import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from curation.errors import ConfigError, ServiceError
from curation.synthesis.responses import FILE, Response
from tests.curation.synthesis.asking import (
    KEY,
    ask,
    asks,
    chat,
    in_turn,
    known,
    prompt_of,
    raw,
)
from tests.llm_server import Reply, ScriptedServer


@pytest.mark.parametrize("style", ["instruct", "base"])
def test_answer_lands_in_the_log(server: ScriptedServer, tmp_path: Path, style: str) -> None:
    """Both styles ask what the config says and log text, reason, model and cost."""
    stop = ("\n", "?") if style == "base" else ()
    options: dict[str, Any] = {"temperature": 0.25, "max_output_tokens": 33, "seed": 7}
    ask(server.url, tmp_path, asks("harbour", style=style, stop=stop, **options))
    (body,) = server.requests
    asked = {"prompt": "harbour", "stop": ["\n", "?"]}
    if style == "instruct":
        asked = {"messages": [{"role": "user", "content": "harbour"}]}  # type: ignore[dict-item]
    assert body == {"model": "m", "max_tokens": 33, "temperature": 0.25, "seed": 7, **asked}
    host = server.url.removeprefix("http://").removesuffix("/v1")
    (got,) = known(tmp_path).values()
    assert abs(got.created_at - time.time()) < 60
    wanted = Response("harbour", "about harbour", "stop", "m", 10, 5, got.created_at, host)
    assert got == wanted


def test_only_what_is_missing_is_asked(server: ScriptedServer, tmp_path: Path) -> None:
    """Known answers and repeated requests cost nothing."""
    ask(server.url, tmp_path, asks("a", "b"))
    before = (tmp_path / FILE).read_bytes()
    server.requests.clear()
    ask(server.url, tmp_path, asks("b", "c", "c", "a"))
    assert [prompt_of(body) for body in server.requests] == ["c"]
    assert (tmp_path / FILE).read_bytes().startswith(before)
    server.requests.clear()
    ask(server.url, tmp_path, asks("a", "b", "c"))
    ask(server.url, tmp_path, [])
    assert server.requests == []


def test_interrupted_run_keeps_what_it_paid_for(server: ScriptedServer, tmp_path: Path) -> None:
    """Whatever ends a run, the answers so far are not asked again."""

    def stop(settled: int) -> None:
        if settled == 3:
            raise RuntimeError("killed")

    names = [f"n{i}" for i in range(10)]
    with pytest.raises(RuntimeError, match=r"^killed$"):
        ask(server.url, tmp_path, asks(*names), stop, concurrency=1)
    assert set(known(tmp_path)) == {"n0", "n1", "n2"}
    server.requests.clear()
    ask(server.url, tmp_path, asks(*names))
    assert sorted(map(prompt_of, server.requests)) == names[3:]


@pytest.mark.parametrize("limit", [1, 3])
def test_concurrency_is_bounded_and_used(
    server: ScriptedServer, tmp_path: Path, limit: int
) -> None:
    """No more requests are in flight than allowed, and no fewer while there is work."""
    lock, now, most = threading.Lock(), [0], [0]

    def script(body: dict[str, Any]) -> Reply:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with lock:
            now[0] -= 1
        return Reply(prompt_of(body))

    server.script = script
    settled: list[int] = []
    ask(server.url, tmp_path, asks(*"abcdefghi"), settled.append, concurrency=limit)
    assert most[0] == limit
    assert settled == list(range(1, 10))
    assert {k: r.content for k, r in known(tmp_path).items()} == {k: k for k in "abcdefghi"}


@pytest.mark.parametrize(
    ("reply", "content", "reason", "tokens"),
    [
        (chat({"role": "assistant", "content": None, "refusal": "I can't."}), "", "refusal", 0),
        (chat({"role": "assistant", "content": ""}, "content_filter"), "", "content_filter", 0),
        (Reply("cut off in the", finish_reason="length"), "cut off in the", "length", 5),
        (Reply("Où est-ce ?\n日本"), "Où est-ce ?\n日本", "stop", 5),
        (chat({"content": "half \ud83d"}, usage=None), "half ?", "stop", 0),
    ],
    ids=["refusal", "filter", "length", "non-ascii", "lone-surrogate"],
)
def test_answers_that_are_no_good_are_kept_as_they_are(
    server: ScriptedServer, tmp_path: Path, reply: Reply, content: str, reason: str, tokens: int
) -> None:
    """They are paid for: logged with their reason and not asked again."""
    server.script = lambda _: reply
    ask(server.url, tmp_path, asks("a"))
    got = known(tmp_path)["a"]
    assert (got.content, got.finish_reason, got.output_tokens) == (content, reason, tokens)
    assert len(server.requests) == (2 if reason == "length" else 1)


@pytest.mark.parametrize(
    "given", [KEY, f"{KEY}\n", f" {KEY}\r\n"], ids=["plain", "newline", "crlf"]
)
def test_key_goes_to_the_server_and_nowhere_else(
    server: ScriptedServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    given: str,
) -> None:
    """Not even at the most talkative level is the key logged, printed or written."""
    caplog.set_level(logging.DEBUG)
    replies = (Reply(status=500, raw=KEY.encode(), headers={"Retry-After": "0"}), Reply("fine"))
    server.script = in_turn(*replies)
    server.authorizations.clear()
    client = ask(server.url, tmp_path, asks("a"), key=given)
    assert (server.authorizations, len(server.requests)) == ({f"Bearer {KEY}"}, 2)
    said = "".join(capfd.readouterr()) + caplog.text + repr(client)
    assert KEY not in said
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize("status", [401, 200])
def test_key_in_an_error_is_blanked_out(
    server: ScriptedServer, tmp_path: Path, status: int
) -> None:
    """A server that repeats the key does not get it into a message."""
    error = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
    server.script = lambda _: raw(error, status=status)
    with pytest.raises(ServiceError) as caught:
        ask(server.url, tmp_path, asks("a"), max_attempts=1)
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert ("key provided: ***" in str(caught.value)) is (status == 401)


@pytest.mark.parametrize("key", ["sk-a\nb", "sk-“quoted”", "sk-\x00"])
def test_key_that_no_header_can_carry_is_refused(tmp_path: Path, key: str) -> None:
    """A key that was copied wrongly is reported by its variable, never by its value."""
    with pytest.raises(ConfigError) as caught:
        ask("http://127.0.0.1:9/v1", tmp_path, asks("a"), key=key, api_key_env="MY_KEY")
    message = "the key in MY_KEY holds characters that no key has; copy it again"
    assert str(caught.value) == message
