"""`synth --batch`: what is submitted, shown, collected, and what is asked again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curation.synthesis.batch_state import BatchFolder
from tests.batch_server import KEY, BatchServer, answer_row, error_row, expired_row
from tests.llm_server import Reply, ScriptedServer
from tests.pipelines.asking import KEY_NAME, NOWHERE, REQUESTS, Asking, make, own

__all__ = ["own"]


@pytest.fixture
def server() -> Iterator[BatchServer]:
    with BatchServer() as hosted:
        yield hosted


def question_for(request: dict[str, Any]) -> str:
    """Return a good question: it names the key, so that no two are alike."""
    return f"Which keeper climbed the tower in the year {request['custom_id'][:6]}?"


def answers(server: BatchServer, identity: str) -> list[dict[str, Any]]:
    return [answer_row(r, question_for(r)) for r in server.requests(identity)]


def logged(own: Asking) -> list[dict[str, Any]]:
    path = own.out / "responses" / "responses.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def state(own: Asking) -> BatchFolder:
    return BatchFolder.load(str(own.out / "batches"))


def test_collected_out_of_order_then_finished_without_asking(
    own: Asking, server: BatchServer
) -> None:
    """Three batches end one after the other, the last first; `make synth` asks nothing more."""
    cut = "synthesis.batch.max_requests_per_file=7"
    first = own.synth(server.url, "--batch", "submit", cut)
    assert first.code == 0, first.err
    assert "synth: submitted 18 requests in 3 batches; next: " in first.out
    assert [b["request_counts"]["total"] for b in server.batches.values()] == [7, 7, 4]
    again = own.synth(server.url, "--batch", "submit")
    assert again.out == "synth: nothing to submit: all requests are answered or on their way\n"
    for identity in ("batch_2", "batch_0", "batch_1"):
        server.end(identity, output=list(reversed(answers(server, identity))))
        shown = own.synth(server.url, "--batch", "status").out
        assert '1 to collect: make synth ARGS="--batch collect"' in shown
        collected = own.synth(server.url, "--batch", "collect")
        assert collected.code == 0, collected.err
        assert "are answered; next: make synth\n" in collected.out
    assert "have not ended" not in collected.out
    assert len(logged(own)) == len({row["key"] for row in logged(own)}) == REQUESTS
    done = own.synth(server.url)
    assert "(0 answers asked, 18 kept from before" in done.out
    assert {call.split("/")[1] for call in server.calls} == {"files", "batches"}
    for path in own.out.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()


def test_a_batch_answers_as_online(
    own: Asking, server: BatchServer, tmp_path: Path, tiny_encoder: str
) -> None:
    """The same answers give the same questions, whichever way they came."""
    own.synth(server.url, "--batch", "submit")
    by_prompt = {r["body"]["messages"][0]["content"]: r for r in server.requests("batch_0")}
    server.end("batch_0", output=answers(server, "batch_0"))
    own.synth(server.url, "--batch", "collect")
    assert own.synth(server.url).code == 0
    online = make(tmp_path / "online", tiny_encoder)

    def script(body: dict[str, Any]) -> Reply:
        return Reply(question_for(by_prompt[body["messages"][0]["content"]]))

    with ScriptedServer(script) as scripted:
        assert online.synth(scripted.url).code == 0
    assert len(scripted.requests) == REQUESTS
    assert own.questions() == online.questions()
    assert len(own.questions()) >= 6


def test_an_error_file_only_leaves_all_to_ask_again(own: Asking, server: BatchServer) -> None:
    """`completed` without an output file: reasons are counted, the next submit sends all anew."""
    own.synth(server.url, "--batch", "submit")
    refused = [error_row(r, 400, "Invalid 'temperature'") for r in server.requests("batch_0")]
    server.end("batch_0", errors=refused)
    result = own.synth(server.url, "--batch", "collect")
    assert "18 failed: HTTP 400 Invalid 'temperature'" in result.out
    assert "0 of 18 requests are answered; 18 have to be asked again" in result.out
    assert own.synth(server.url, "--batch", "collect").out == ""
    own.synth(server.url, "--batch", "submit")
    assert server.requests("batch_1") == server.requests("batch_0")


def test_expired_with_partial_output(own: Asking, server: BatchServer) -> None:
    """What was answered in time is kept and only the rest is sent again."""
    own.synth(server.url, "--batch", "submit")
    requests = server.requests("batch_0")
    late = [expired_row(r) for r in requests[5:]]
    server.end("batch_0", "expired", output=answers(server, "batch_0")[:5], errors=late)
    result = own.synth(server.url, "--batch", "collect")
    assert "13 failed: batch_expired: The completion window expired." in result.out
    assert "5 of 18 requests are answered; 13 have to be asked again" in result.out
    own.synth(server.url, "--batch", "submit")
    assert server.requests("batch_1") == requests[5:]


def test_an_answer_that_was_cut_short_is_followed_up_online(
    own: Asking, server: BatchServer
) -> None:
    """It is an answer, so no batch asks it again; the run does, once, with twice the tokens."""
    own.synth(server.url, "--batch", "submit")
    good = answers(server, "batch_0")
    good[3]["response"]["body"]["choices"][0]["finish_reason"] = "length"
    server.end("batch_0", output=good)
    result = own.synth(server.url, "--batch", "collect")
    assert "18 of 18 requests are answered; next: make synth\n  1 were cut short" in result.out
    assert "nothing to submit" in own.synth(server.url, "--batch", "submit").out
    with ScriptedServer(lambda _: Reply("Who of them built it?")) as online:
        assert own.synth(online.url).code == 0
    assert [body["max_tokens"] for body in online.requests] == [128]


def test_duplicates_unknown_ids_and_broken_lines_are_counted(
    own: Asking, server: BatchServer
) -> None:
    own.synth(server.url, "--batch", "submit")
    good = answers(server, "batch_0")
    foreign = answer_row(server.requests("batch_0")[0] | {"custom_id": "other"}, "whose?")
    later = [answer_row(r, "a second answer") for r in server.requests("batch_0")[:3]]
    server.end("batch_0", output=[foreign, *good, b"{broken", *later])
    result = own.synth(server.url, "--batch", "collect")
    [row] = [line.split() for line in result.out.splitlines() if line.startswith("requests-")]
    assert row == ["requests-00000.jsonl", "18", "3", "1", "1", "0"]
    assert {entry["content"] for entry in logged(own)}.isdisjoint({"whose?", "a second answer"})


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_a_batch_without_any_file(own: Asking, server: BatchServer, status: str) -> None:
    """Its reason is shown and its requests are free again."""
    own.synth(server.url, "--batch", "submit")
    server.end("batch_0", status)
    reason = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}
    server.batches["batch_0"]["errors"] = {"object": "list", "data": [reason]}
    for action in ("status", "collect"):
        shown = own.synth(server.url, "--batch", action).out
        assert f"{status}: token_limit_exceeded: Enqueued token limit reached" in shown
    assert "18 have to be asked again" in shown
    assert own.synth(server.url, "--batch", "submit").code == 0
    assert len(server.batches) == 2


def test_a_file_that_is_gone_frees_its_requests(own: Asking, server: BatchServer) -> None:
    own.synth(server.url, "--batch", "submit")
    server.end("batch_0", output=answers(server, "batch_0"))
    server.contents.clear()
    result = own.synth(server.url, "--batch", "collect")
    assert "is gone (kept 30 days by the service)" in result.out
    assert "18 have to be asked again" in result.out


def test_a_wrong_key_ends_in_one_line(
    own: Asking, server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_NAME, "sk-wrong\n")
    result = own.synth(server.url, "--batch", "submit")
    assert result.code == 2
    assert result.err.splitlines()[-1] == (
        f"synth: error: {server.url} refused: HTTP 401 Incorrect API key provided: ***; "
        f"check the key in {KEY_NAME}"
    )
    assert len(state(own).batches) == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--batch", "submit", "--dry-run"], "--batch and --dry-run exclude each other"),
        (["--batch", "status", "--preview", "1"], "--batch and --preview exclude each other"),
        (["--batch-output", "x"], "--batch-output names files to collect: add --batch collect"),
        (
            ["--batch", "submit", "synthesis.base_url=''", "synthesis.local_server='gemma-3-270m'"],
            "a Batch API is one hosted service: set synthesis.base_url and synthesis.model",
        ),
        (["--batch", "write", "synthesis.prompt='base'"], "vllm run-batch takes chat completions"),
        (["--batch", "status", "--", "--runner=FlinkRunner"], "synth runs no Beam pipeline"),
        (["--batch", "collect", "--batch-output", "/none/*"], "no file matches '/none/*'"),
    ],
    ids=["dry-run", "preview", "output", "local", "base", "beam", "none"],
)
def test_what_cannot_be_is_said(own: Asking, arguments: list[str], problem: str) -> None:
    result = own.synth(NOWHERE, *arguments)
    assert result.code == 2
    assert problem in result.err


def test_batches_of_another_service_are_not_mixed(own: Asking, server: BatchServer) -> None:
    own.synth(server.url, "--batch", "submit")
    result = own.synth(NOWHERE, "--batch", "collect")
    assert f"requests-00000.jsonl was made for {server.url}; collect it with" in result.err


def test_a_batch_that_may_pass_a_cap_is_not_sent(own: Asking, server: BatchServer) -> None:
    """It ends with the status of a spent budget; no file stays, nothing is recorded."""
    small = "synthesis.batch.max_requests_per_file=4"
    result = own.synth(server.url, "--batch", "submit", small, "synthesis.max_requests=17")
    assert result.code == 3
    assert "the batch may take more than synthesis.max_requests = 17" in result.err
    assert list((own.out / "batches").glob("*")) == []
    prices = ["synthesis.input_price=1.0", "synthesis.output_price=2.0"]
    caps = ["synthesis.max_requests=18", "synthesis.max_usd=0.01"]
    sent = own.synth(server.url, "--batch", "submit", *prices, *caps)
    assert "  18 requests, at most about " in sent.out
    assert " tokens, $0.00\n" in sent.out
    assert len(server.batches) == 1


def test_status_before_any_batch(own: Asking, server: BatchServer) -> None:
    assert "no batch was submitted" in own.synth(server.url, "--batch", "status").out
    assert server.calls == []


def test_files_for_vllm_and_back(own: Asking, tmp_path: Path) -> None:
    """`write` prints the commands; their output files are collected, bad rows too."""
    cut = "synthesis.batch.max_requests_per_file=10"
    written = own.synth(NOWHERE, "--batch", "write", cut)
    folder = own.out / "batches" / "vllm"
    assert "synth: wrote 18 requests to 2 files; run:" in written.out
    source, target = folder / "requests-00001.jsonl", folder / "output-00001.jsonl"
    assert f"  vllm run-batch -i {source} -o {target} --model scripted\n" in written.out
    for number in (0, 1):
        text = (folder / f"requests-{number:05d}.jsonl").read_text()
        rows = [_vllm_row(json.loads(line)) for line in text.splitlines()]
        rows[0] |= {"response": {"status_code": 400, "request_id": "v"}, "error": "too long"}
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"output-{number:05d}.jsonl").write_text(lines)
    pattern = folder / "output-*.jsonl"
    result = own.synth(NOWHERE, "--batch", "collect", "--batch-output", pattern)
    assert "2 failed: HTTP 400 too long" in result.out
    assert "16 of 18 requests are answered; 2 have to be asked again" in result.out
    again = own.synth(NOWHERE, "--batch", "write")
    assert "synth: wrote 2 requests to 1 files" in again.out
    assert sorted(p.name for p in folder.glob("requests-*")) == ["requests-00000.jsonl"]


def _vllm_row(request: dict[str, Any]) -> dict[str, Any]:
    row = answer_row(request, question_for(request))
    row["response"]["body"]["choices"][0]["stop_reason"] = None
    row["response"]["body"]["prompt_logprobs"] = None
    return row | {"id": "vllm-1"}
