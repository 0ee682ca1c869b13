"""`synth --preview N`: exactly N questions, shown with their verdicts, paid for once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.llm_server import Reply, ScriptedServer
from tests.pipelines.asking import REQUESTS, Asking, own

__all__ = ["own"]


def script(body: dict[str, Any]) -> Reply:
    """Answer prompts about Spanish towns with what no check lets pass."""
    prompt = str(body["messages"][0]["content"])
    if "faro" in prompt:
        return Reply("Quién")
    return Reply("Who ordered the first of these many stairs?")


def test_a_preview_asks_for_as_many_as_it_shows(own: Asking) -> None:
    """The languages take turns; what was shown is not asked again, by preview or run."""
    with ScriptedServer(script) as server:
        shown = own.synth(server.url, "--preview", 4)
        assert shown.code == 0, shown.err
        assert len(server.requests) == 4
        prompts = [body["messages"][0]["content"] for body in server.requests]
        again = own.synth(server.url, "--preview", 4)
        assert len(server.requests) == 4
        more = own.synth(server.url, "--preview", 5)
        assert len(server.requests) == 5
        assert not (own.out / "questions").exists()
        done = own.synth(server.url)
    assert len(server.requests) == REQUESTS
    assert "(13 answers asked, 5 kept from before" in done.out
    assert shown.out.endswith(again.out)
    assert more.out.count("\nverdict") == 5
    lines = shown.out.splitlines()
    languages = [line.split()[1] for line in lines if line.startswith("language")]
    assert sorted(languages) == ["en", "en", "es", "fr"]
    words = " ".join(shown.out.split())
    assert all(" ".join(prompt.split()[:8]) in words for prompt in prompts)
    verdicts = [line.split()[1] for line in lines if line.startswith("verdict")]
    assert verdicts[1] == "too_short"
    assert verdicts[0] == "passes"
    titles = [line for line in lines if line.startswith("document")]
    assert all(line.endswith(")") and ":" in line for line in titles)


def test_a_request_that_failed_is_shown_without_an_answer(own: Asking) -> None:
    def flaky(body: dict[str, Any]) -> Reply:
        is_spanish = "faro" in body["messages"][0]["content"]
        return Reply(status=503, raw=b"{}") if is_spanish else script(body)

    with ScriptedServer(flaky) as server:
        shown = own.synth(server.url, "--preview", 3)
    assert shown.code == 0, shown.err
    assert "1 requests failed" in shown.out
    assert "answer     (none)" in shown.out
    assert "verdict    no_answer" in shown.out


@pytest.mark.parametrize("count", [0, 1001])
def test_the_number_is_checked(own: Asking, count: int) -> None:
    result = own.synth("http://127.0.0.1:9/v1", f"--preview={count}")
    assert (result.code, f"--preview = {count} is outside 1 .. 1000" in result.err) == (2, True)
