"""What a request is named by."""

from typing import Any

import pytest

from curation.synthesis.config import SynthesisConfig
from curation.synthesis.requests import kind_of, request_body, request_key

BASE: dict[str, Any] = {"base_url": "http://x", "model": "m"}


def key(
    prompt: str = "ask", version: str = "v1", stop: tuple[str, ...] = (), **options: Any
) -> str:
    config = SynthesisConfig(**(BASE | options))
    return request_key(request_body(kind_of(config), prompt, stop, config), version)


@pytest.mark.parametrize(
    ("change", "is_other"),
    [
        ({"prompt": "ask "}, True),
        ({"version": "v2"}, True),
        ({"stop": ("?",)}, True),
        ({"model": "n"}, True),
        ({"temperature": 0.5}, True),
        ({"seed": 1}, True),
        ({"max_output_tokens": 65}, True),
        ({"answer": True, "max_output_tokens": 128}, True),
        ({"concurrency": 9}, False),
        ({"base_url": "http://y"}, False),
        ({"timeout_seconds": 9.0}, False),
        ({"max_copied_share": 0.1}, False),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_key_names_all_that_decides_an_answer_and_nothing_else(change: Any, is_other: bool) -> None:
    assert (key(**change) != key()) == is_other


def test_key_does_not_depend_on_the_order_of_a_body() -> None:
    body = {"a": 1, "b": {"c": 2, "d": 3}}
    assert request_key(body, "v") == request_key({"b": {"d": 3, "c": 2}, "a": 1}, "v")


def test_answers_are_asked_in_a_strict_schema() -> None:
    body = request_body("chat", "p", (), SynthesisConfig(answer=True, max_output_tokens=128))
    asked = body["response_format"]["json_schema"]
    assert asked["strict"] is True
    assert asked["schema"]["required"] == ["question", "answer", "evidence"]
    assert asked["schema"]["additionalProperties"] is False
    assert "response_format" not in request_body("chat", "p", (), SynthesisConfig())


def test_kinds_differ() -> None:
    assert "messages" in request_body("chat", "p", (), SynthesisConfig())
    assert request_body("completion", "p", ("x",), SynthesisConfig())["stop"] == ["x"]
