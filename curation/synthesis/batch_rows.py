"""Reading the output and error files of batches, hosted ones and those of `vllm run-batch`.

A line holds `custom_id`, `response` (`status_code`, `body`) and `error`. Nothing else is relied
on: files come in any order and may repeat, lack or invent lines.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from curation import storage
from curation.synthesis.replies import Problem, read_completion
from curation.synthesis.responses import Response, ResponseLog

_MOST_PROBLEM_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Row:
    """One line: the answer to a request, or why there is none."""

    key: str
    response: Response | None
    problem: str = ""


def read_row(line: bytes, endpoint: str) -> Row | None:
    """Return what a line says; None for one that is no line of such a file.

    The completion in it is read like that of an online request; `endpoint` is noted with it.
    """
    try:
        row = json.loads(line)
        key = row["custom_id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(key, str):
        return None
    response = row.get("response")
    if row.get("error") or not isinstance(response, dict) or _status(response) != 200:
        return Row(key, None, problem_of(row))
    return _answered(key, response.get("body"), endpoint)


def _answered(key: str, body: Any, endpoint: str) -> Row:
    answer = read_completion(body)
    if isinstance(answer, Problem):
        return Row(key, None, answer.name)
    tokens = answer.tokens
    created = body.get("created")
    response = Response(
        key=key,
        content=answer.content,
        finish_reason=answer.finish_reason,
        model=answer.model,
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        created_at=created if type(created) is int else 0,
        endpoint=endpoint,
        cached_tokens=tokens.cached,
        reasoning_tokens=tokens.reasoning,
    )
    return Row(key, response)


def _status(response: dict[str, Any]) -> int:
    status = response.get("status_code")
    return status if isinstance(status, int) else 0


def problem_of(row: dict[str, Any]) -> str:
    """Return why a row holds no answer: the status with the code or message of its error.

    The error is a text, an object, or an object in an object (`vllm run-batch`); hosted
    services put it into the body of the response.
    """
    response = row.get("response")
    response = response if isinstance(response, dict) else {}
    body = response.get("body")
    error = row.get("error") or (body.get("error") if isinstance(body, dict) else None)
    if isinstance(error, dict):
        error = error.get("error") or error
    if isinstance(error, dict):
        error = ": ".join(str(error[k]) for k in ("code", "message") if error.get(k))
    status = _status(response)
    parts = (f"HTTP {status}" if status else "", str(error or ""))
    return " ".join(part for part in parts if part)[:_MOST_PROBLEM_CHARACTERS] or "no response"


@dataclass(slots=True)
class Harvest:
    """What files gave: counts of lines by outcome, and the problems of failed requests."""

    outcomes: Counter[str]
    """answered, repeated, unknown, malformed, failed."""
    problems: Counter[str]

    @classmethod
    def empty(cls) -> Harvest:
        """Return a harvest of nothing."""
        return cls(Counter(), Counter())


def collect_file(
    path: str, keys: Container[str], endpoint: str, log: ResponseLog, harvest: Harvest
) -> None:
    """Append the answers of an output or error file to the log; the first of a key counts.

    `keys` are the requests that were sent: other lines are counted as unknown and left out.
    """
    with storage.open_read(path) as handle:
        for line in handle:  # splits at \n alone: answers may hold other line breaks
            if line.strip():
                outcome = _collect(read_row(line, endpoint), keys, log, harvest.problems)
                harvest.outcomes[outcome] += 1


def _collect(
    row: Row | None, keys: Container[str], log: ResponseLog, problems: Counter[str]
) -> str:
    if row is None:
        return "malformed"
    if row.key not in keys:
        return "unknown"
    if row.response is None:
        problems[row.problem] += 1
        return "failed"
    if row.key in log:
        return "repeated"
    log.append(row.response)
    return "answered"
