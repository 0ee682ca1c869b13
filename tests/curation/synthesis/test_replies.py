"""What a reply means, and what a server refuses to take."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from curation.synthesis.http1 import Reply
from curation.synthesis.parameters import refused_parameter, step_for, stepped_down
from curation.synthesis.replies import Answer, Problem, Tokens, Trouble, read_reply

NOW = datetime(2026, 11, 27, tzinfo=UTC)
BODY: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "x"}],
    "max_tokens": 64,
    "temperature": 0.4,
    "seed": 0,
    "stop": ["\n"],
    "response_format": {"type": "json_schema"},
}


def read(data: Any, status: int = 200, **headers: str) -> Answer | Problem:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_reply(Reply(status, named, body), BODY, NOW)


def completion(choice: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"model": "served", "choices": [choice], **rest}


USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "prompt_tokens_details": {"cached_tokens": 64},
    "completion_tokens_details": {"reasoning_tokens": 7},
}


def test_an_answer_with_all_it_took() -> None:
    choice = {"finish_reason": "stop", "message": {"content": "Who?"}}
    wanted = Answer("Who?", "stop", "served", Tokens(100, 20, 64, 7))
    assert read(completion(choice, usage=USAGE)) == wanted


@pytest.mark.parametrize(
    ("choice", "content", "reason"),
    [
        ({"text": " built", "finish_reason": "length"}, " built", "length"),
        ({"message": {"content": None}, "finish_reason": "length"}, "", "length"),
        ({"message": {"content": None, "refusal": "no"}, "finish_reason": "stop"}, "", "refusal"),
        ({"message": {"content": ""}, "finish_reason": "content_filter"}, "", "content_filter"),
        ({"message": {"content": "x"}, "finish_reason": None}, "x", ""),
        ({"message": {"content": "\ud83d"}, "finish_reason": "stop"}, "?", "stop"),
    ],
    ids=["completion", "reasoning-only", "refusal", "filter", "no-reason", "surrogate"],
)
def test_answers_of_every_kind(choice: dict[str, Any], content: str, reason: str) -> None:
    answer = read(completion(choice))
    assert isinstance(answer, Answer)
    assert (answer.content, answer.finish_reason, answer.tokens) == (content, reason, Tokens())


@pytest.mark.parametrize(
    "data",
    [
        b"<html>", b"", b"{", b"\xff", b"null", b"[]", b'"x"', b"{}", {"choices": None},
        {"choices": []}, {"choices": [None]}, {"choices": [{}]}, {"choices": {"a": 1}},
        completion({"message": None}), completion({"message": {"content": 7}}),
        completion({"message": {"content": ["x"]}}), {"error": {"message": "busy"}},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_completion_is_tried_again(data: Any) -> None:
    problem = read(data)
    assert isinstance(problem, Problem)
    assert (problem.trouble, problem.name) == (Trouble.FAILED, "the answer is no completion")


@pytest.mark.parametrize(
    "data",
    [
        {"choices": None, "usage": USAGE},
        completion({"finish_reason": "error", "message": {"content": "x"}}, usage=USAGE),
    ],
    ids=["null-choices", "error-choice"],
)
def test_what_the_server_bills_is_told_though_it_is_no_answer(data: Any) -> None:
    problem = read(data)
    assert isinstance(problem, Problem)
    assert (problem.trouble, problem.tokens) == (Trouble.FAILED, Tokens(100, 20, 64, 7))


@pytest.mark.parametrize(
    "usage",
    [None, 7, [], {}, {"prompt_tokens": "9"}, {"prompt_tokens": -1}, {"prompt_tokens": 1.5},
     {"prompt_tokens": True}, {"prompt_tokens": None, "prompt_tokens_details": None}],
    ids=str,
)  # fmt: skip
def test_strange_usage_counts_nothing(usage: Any) -> None:
    choice = {"finish_reason": "stop", "message": {"content": "Who?"}}
    answer = read(completion(choice, usage=usage))
    assert isinstance(answer, Answer)
    assert answer.tokens == Tokens()


@pytest.mark.parametrize(
    ("status", "error", "trouble"),
    [
        (429, {"code": "rate_limit_exceeded"}, Trouble.OVERLOADED),
        (429, {"code": "insufficient_quota"}, Trouble.REFUSED),
        (429, {"type": "insufficient_quota"}, Trouble.REFUSED),
        (503, {}, Trouble.OVERLOADED),
        (529, {}, Trouble.OVERLOADED),
        (408, {}, Trouble.FAILED),
        (500, {}, Trouble.FAILED),
        (502, {}, Trouble.FAILED),
        (400, {"message": "no"}, Trouble.REFUSED),
        (401, {}, Trouble.REFUSED),
        (403, {}, Trouble.REFUSED),
        (404, {}, Trouble.REFUSED),
        (422, {}, Trouble.REFUSED),
        (301, {}, Trouble.REFUSED),
        (400, {"code": "context_length_exceeded", "param": "max_tokens"}, Trouble.REJECTED),
        (400, {"message": "This model's maximum context length is 8192"}, Trouble.REJECTED),
        (400, {"code": "unsupported_parameter", "param": "seed"}, Trouble.UNSUPPORTED),
    ],
    ids=lambda value: str(value),
)
def test_statuses(status: int, error: dict[str, str], trouble: Trouble) -> None:
    problem = read({"error": error}, status)
    assert isinstance(problem, Problem)
    assert (problem.trouble, problem.name) == (
        trouble,
        "the prompt is too long for the model" if trouble is Trouble.REJECTED else f"HTTP {status}",
    )


@pytest.mark.parametrize("code", ["content_filter", "content_policy_violation", "invalid_prompt"])
def test_a_filtered_prompt_is_an_answer(code: str) -> None:
    """It is known, and not asked again."""
    answer = read({"error": {"code": code}}, 400)
    assert isinstance(answer, Answer)
    assert (answer.content, answer.finish_reason) == ("", "content_filter")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"error": {"message": "bad key"}}, "bad key"),
        ({"error": "bad key"}, "bad key"),
        ({"detail": "bad key"}, "bad key"),
        ({"object": "error", "message": "bad key"}, "bad key"),
        (b" plain text\n", "plain text"),
        (b"x" * 10_000, "x" * 300),
        (b"", ""),
    ],
    ids=["openai", "string", "fastapi", "vllm", "text", "long", "empty"],
)
def test_the_message_of_an_error(data: Any, message: str) -> None:
    problem = read(data, 401)
    assert isinstance(problem, Problem)
    assert problem.message == message


def test_a_wish_to_wait_is_passed_on() -> None:
    problem = read(b"", 429, retry_after="900")
    assert isinstance(problem, Problem)
    assert problem.wait == 900.0


@pytest.mark.parametrize(
    ("message", "named", "code", "parameter"),
    [
        (
            ("Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead."),
            *("max_tokens", "unsupported_parameter", "max_tokens"),
        ),
        (
            ("Unsupported value: 'temperature' does not support 0.4 with this model. "
            "Only the default (1) value is supported."),
            *("temperature", "unsupported_value", "temperature"),
        ),
        ("Invalid parameter: response_format json_schema unsupported", "", "", "response_format"),
        ("json_schema is not supported by this server", "", "", "response_format"),
        ("Unrecognized request argument supplied: seed", "", "", "seed"),
        (("[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not "
         "permitted'}]"), "", "", "seed"),
        ("unknown field `stop`", "", "", "stop"),
        ("not supported", "response_format.type", "", "response_format"),
        ("temperature must be at most 1.0", "temperature", "invalid_value", ""),
        ("Unsupported parameter: 'logit_bias'", "logit_bias", "unsupported_parameter", ""),
        ("model not supported", "model", "", ""),
        ("bad request", "", "", ""),
    ],
    ids=["max_tokens", "temperature", "format", "schema", "seed", "forbidden", "stop", "dotted",
         "range", "foreign", "model", "nothing"],
)  # fmt: skip
def test_the_refused_parameter(message: str, named: str, code: str, parameter: str) -> None:
    """Only what is in the body and can be done without; a value out of range is the user's."""
    assert refused_parameter(message, named, code, BODY) == parameter


def test_steps_rename_and_leave_out() -> None:
    steps = [step_for(name) for name in ("max_tokens", "seed", "temperature", "response_format")]
    assert steps == ["max_completion_tokens", "no_seed", "no_temperature", "no_response_format"]
    body = stepped_down(BODY, steps)
    assert body == {
        "model": "m", "messages": BODY["messages"], "max_completion_tokens": 64, "stop": ["\n"],
    }  # fmt: skip
    assert stepped_down(BODY, []) is BODY
