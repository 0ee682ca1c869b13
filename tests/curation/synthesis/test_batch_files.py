"""Request files: what services and vLLM take, streamed, cut, whole or not at all."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.batch_create_params import BatchCreateParams
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.completion_create_params import (
    CompletionCreateParamsNonStreaming as PlainParams,
)
from pydantic import TypeAdapter

from curation.errors import ConfigError, InputError
from curation.synthesis.batch_config import BatchConfig
from curation.synthesis.batch_files import read_keys, request_line, write_files
from curation.synthesis.requests import Request
from tests.batch_server import input_problems
from tests.curation.synthesis.asking import asks

BODIES = {
    "/v1/chat/completions": TypeAdapter(CompletionCreateParamsNonStreaming),
    "/v1/completions": TypeAdapter(PlainParams),
}


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("style", ["instruct", "base"])
def test_files_pass_the_rules_of_services(tmp_path: Path, style: str) -> None:
    """Each line fits the client's own types; the service's rules hold for the whole file."""
    stop = ("\n", "?") if style == "base" else ()
    requests = asks(*(f"k{i} Où ? 日本 \u2028 \x85" for i in range(5)), style=style, stop=stop)
    [file] = write_files(requests, str(tmp_path), BatchConfig())
    content = (tmp_path / file.name).read_bytes()
    TypeAdapter(BatchCreateParams).validate_python(
        {"completion_window": "24h", "endpoint": file.url, "input_file_id": "f", "metadata": None}
    )
    assert input_problems(content, file.url) == []
    rows = [json.loads(line) for line in content.decode().splitlines()]  # at every line break
    for row, request in zip(rows, requests, strict=True):
        BODIES[file.url].validate_python(row["body"], strict=True)
        assert row["body"] == request.body
        assert row["custom_id"] == request.key
    assert (file.requests, file.bytes, file.model) == (5, len(content), "m")


def vllm_problem(line: bytes) -> str:
    """Return why `vllm run-batch` would not answer a line, "" if it would.

    Of its input it wants `custom_id`, `method` and `url` as text and a body that fits the url:
    chat completions of the text interfaces, no `/v1/completions`. Bodies with `stream` or more
    stops than it takes are refused; `messages` is the only field that a body must have.
    """
    row = json.loads(line)
    if not all(isinstance(row.get(name), str) for name in ("custom_id", "method", "url")):
        return "field"
    if row["url"] != "/v1/chat/completions":
        return f"URL {row['url']}"
    body = row["body"]
    wanted = {"messages": list, "max_tokens": int, "temperature": float, "seed": int}
    good = all(isinstance(body[name], kind) for name, kind in wanted.items() if name in body)
    return "" if good and body.get("messages") and not body.get("stream") else "body"


@pytest.mark.parametrize(("style", "problem"), [("instruct", ""), ("base", "URL /v1/completions")])
def test_vllm_takes_chat_and_nothing_else(style: str, problem: str) -> None:
    """Which is why `--batch write` refuses base prompts."""
    [request] = asks("k", style=style)
    assert vllm_problem(request_line(request)) == problem


@settings(deadline=None, max_examples=40)
@given(
    texts=st.lists(st.text(max_size=30), max_size=12),
    most=st.integers(1, 5),
    kilobytes=st.floats(0.4, 2),
)
def test_files_hold_all_requests_within_the_limits(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], most: int, kilobytes: float
) -> None:
    """Concatenated, the files are the requests' lines; none could take the next one's first."""
    folder = tmp_path_factory.mktemp("files")
    config = BatchConfig(max_requests_per_file=most, max_file_megabytes=kilobytes / 1000)
    requests = [replace(r, key=f"k{i}") for i, r in enumerate(asks(*texts))]
    written = write_files(requests, str(folder), config)
    lines = [request_line(request) for request in requests]
    contents = list(files_of(folder).values())
    assert b"".join(contents) == b"".join(lines)
    assert [file.name for file in written] == [
        f"requests-{i:05d}.jsonl" for i in range(len(contents))
    ]
    for this, following in zip(contents, [*contents[1:], b""], strict=False):
        count, first = this.count(b"\n"), following.index(b"\n") + 1 if following else 0
        assert 0 < count <= most
        assert len(this) <= config.max_bytes
        assert not first or count == most or len(this) + first > config.max_bytes


def test_files_hold_one_model_each(tmp_path: Path) -> None:
    """A batch of a hosted service takes one model and one interface."""
    mixed = [*asks("a", "b"), *asks("c", style="base"), *asks("d")]
    mixed[1] = replace(mixed[1], body=mixed[1].body | {"model": "n"})
    written = write_files(mixed, str(tmp_path), BatchConfig(), first=7)
    found = [(f.name, f.url, f.model, list(read_keys(str(tmp_path / f.name)))) for f in written]
    assert found == [
        ("requests-00007.jsonl", "/v1/chat/completions", "m", ["a", "d"]),
        ("requests-00008.jsonl", "/v1/chat/completions", "n", ["b"]),
        ("requests-00009.jsonl", "/v1/completions", "m", ["c"]),
    ]


def test_an_error_on_the_way_leaves_no_half_file(tmp_path: Path) -> None:
    """What was full is there, what was being written is not, and no temporary file either."""

    def failing() -> Iterator[Request]:
        yield from asks("a", "b", "c")
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match=r"^gone$"):
        write_files(failing(), str(tmp_path), BatchConfig(max_requests_per_file=2))
    assert list(files_of(tmp_path)) == ["requests-00000.jsonl"]


def test_a_request_larger_than_a_file_is_refused(tmp_path: Path) -> None:
    """With the option to raise."""
    config = BatchConfig(max_file_megabytes=0.001)
    with pytest.raises(ConfigError, match=r"raise synthesis\.batch\.max_file_megabytes"):
        write_files(asks("k" * 2000), str(tmp_path), config)
    assert files_of(tmp_path) == {}


def test_memory_does_not_grow_with_the_requests(tmp_path: Path) -> None:
    """20,000 requests of 1 kB take no more memory than 2,000."""

    def peak(count: int) -> int:
        [body] = [request.body for request in asks("x" * 1000)]
        stream = (Request(f"{i:032x}", "chat", body) for i in range(count))
        tracemalloc.start()
        write_files(stream, str(tmp_path / str(count)), BatchConfig())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak(20_000) < peak(2_000) + 100_000


@pytest.mark.parametrize(
    ("option", "value"),
    [("max_requests_per_file", 50_001), ("max_requests_per_file", 0), ("max_file_megabytes", 201)],
)
def test_limits_of_services_are_not_passed(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"synthesis\.batch\.{option} = "):
        BatchConfig(**{option: value})


def test_a_missing_request_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"requests-00000\.jsonl is missing"):
        list(read_keys(str(tmp_path / "requests-00000.jsonl")))
