"""Reading what batches give back: hosted files and vLLM's, good, bad and mixed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.synthesis.batch_rows import Harvest, collect_file, read_row
from curation.synthesis.responses import Response, ResponseLog
from tests.batch_server import answer_row, error_row, expired_row
from tests.curation.synthesis.asking import ask, asks, known
from tests.llm_server import Reply, ScriptedServer, completion

REQUEST = {"custom_id": "k", "url": "/v1/chat/completions", "body": {"model": "m"}}


def line(row: Any) -> bytes:
    return json.dumps(row).encode()


def vllm_row(key: str, body: Any, *, status: int = 200, error: Any = None) -> dict[str, Any]:
    """Return a line as `vllm run-batch` writes it: ids of its own, error rows without a body."""
    response = {"status_code": status, "request_id": "vllm-batch-1", "body": body}
    return {"id": "vllm-1", "custom_id": key, "response": response, "error": error}


@pytest.mark.parametrize("style", ["instruct", "base"])
def test_an_answer_reads_like_one_asked_online(
    server: ScriptedServer, tmp_path: Path, style: str
) -> None:
    """The same body gives the same record, whichever way it came."""
    server.script = lambda _: Reply("Où est-ce ?", finish_reason="length")
    [request] = asks("k", style=style)
    ask(server.url, tmp_path, [request])
    body = completion(request.body, Reply("Où est-ce ?", finish_reason="length"))
    row = read_row(line(vllm_row("k", body)), "e")
    assert row is not None
    assert row.response is not None
    online = known(tmp_path)["k"]
    assert row.response.endpoint == "e"
    same = ("key", "content", "finish_reason", "model", "input_tokens", "output_tokens")
    assert [getattr(row.response, n) for n in same] == [getattr(online, n) for n in same]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (error_row(REQUEST, 400, "no such model"), "HTTP 400 no such model"),
        (expired_row(REQUEST), "batch_expired: The completion window expired."),
        (vllm_row("k", None, status=400, error="too long"), "HTTP 400 too long"),
        (
            vllm_row("k", None, status=404, error={"error": {"message": "none", "code": 404}}),
            "HTTP 404 404: none",
        ),
        (vllm_row("k", {"choices": None}), "the answer is no completion"),
        (vllm_row("k", {"choices": {"a": 1}}), "the answer is no completion"),
        (vllm_row("k", "<html>"), "the answer is no completion"),
        (vllm_row("k", {"choices": [{"message": 7}]}), "the answer is no completion"),
        (
            vllm_row("k", {"choices": [{"finish_reason": "error"}]}),
            "the answer is an error",
        ),
        ({"custom_id": "k"}, "no response"),
        ({"custom_id": "k", "response": {"status_code": "200"}}, "no response"),
        ({"custom_id": "k", "response": [], "error": ["x" * 999]}, str(["x" * 999])[:200]),
    ],
    ids=[
        "refused", "expired", "vllm-text", "vllm-object", "null-choices", "choices-object", "html",
        "message-number", "error-choice", "nothing", "status-text", "long",
    ],
)  # fmt: skip
def test_a_row_without_an_answer_says_why(row: Any, problem: str) -> None:
    found = read_row(line(row), "e")
    assert found is not None
    assert (found.key, found.response, found.problem) == ("k", None, problem)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"7", b"[]", b"null", b"{}", b'{"custom_id": 3}', b"\xff", b"[" * 100_000],
    ids=["empty", "cut", "number", "list", "null", "no-id", "id-number", "no-utf8", "deep"],
)
def test_what_is_no_row_is_malformed(data: bytes) -> None:
    assert read_row(data, "e") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ("custom_id", "response", "error", "status_code", "body", "choices", "message")
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=300)
@given(row=JSON, body=JSON)
def test_no_row_stops_the_reading(row: Any, body: Any) -> None:
    """Whatever a file holds, each line is an answer, a problem or malformed."""
    for value in (row, vllm_row("k", body)):
        found = read_row(line(value), "e")
        assert found is None or (found.response is None) == bool(found.problem)


def test_outcomes_are_counted_and_the_first_answer_of_a_key_wins(tmp_path: Path) -> None:
    """Repeats, unknown ids, errors and broken lines leave the other answers alone."""
    requests = {key: REQUEST | {"custom_id": key} for key in "abcdef"}
    log = ResponseLog(str(tmp_path / "log"))
    log.append(Response("f", "online", "stop", "m", 1, 1))
    rows = [
        line(answer_row(requests["b"], "first\u2028line")),
        line(error_row(requests["c"], 500, "oops")),
        b"{broken",
        b"",
        line(answer_row(requests["b"], "second")),
        line(answer_row(requests["a"], "one")),
        line(answer_row(requests["f"], "again")),
        line(answer_row(REQUEST | {"custom_id": "other"}, "whose?")),
        line(answer_row(requests["c"], "after all")),
    ]
    path = tmp_path / "output.jsonl"
    path.write_bytes(b"\n".join(rows))
    harvest = Harvest.empty()
    collect_file(str(path), set("abcdef"), "batch", log, harvest)
    log.close()
    assert harvest.outcomes == {
        "answered": 3, "repeated": 2, "unknown": 1, "malformed": 1, "failed": 1,
    }  # fmt: skip
    assert harvest.problems == {"HTTP 500 oops": 1}
    log = ResponseLog(str(tmp_path / "log"))
    found = {response.key: response.content for response in log.read("abcdef")}
    assert found == {"a": "one", "b": "first\u2028line", "c": "after all", "f": "online"}
