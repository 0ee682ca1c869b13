"""Asking an OpenAI-compatible server many things at once, politely and only once each."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import openai

from curation.errors import ConfigError, ServiceError
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.requests import Request
from curation.synthesis.responses import Response, ResponseLog

_TERMINAL = (400, 401, 403, 404, 422)
_LONGEST_WAIT = 60.0
_LONGEST_REQUESTED_WAIT = 600.0  # of a server's Retry-After, in seconds
_GIVE_UP_AFTER = 8  # requests that failed for good before the first success: nobody is there


@dataclass(slots=True)
class Client:
    """Sends requests with bounded concurrency and its own retries; the log keeps the answers."""

    config: SynthesisConfig
    base_url: str
    api_key: str = field(repr=False)
    log: ResponseLog
    on_answer: Callable[[int], None]
    """Called with the number of requests settled so far."""
    failures: Counter[str] = field(default_factory=Counter)
    _settled: int = 0
    _succeeded: int = 0

    def __post_init__(self) -> None:
        self.api_key = self.api_key.strip()  # a key read from a file ends in a newline
        if not (self.api_key.isascii() and self.api_key.isprintable()):
            raise ConfigError(
                f"the key in {self.config.api_key_env} holds characters that no key has; "
                "copy it again"
            )

    def ask_all(self, requests: Sequence[Request]) -> None:
        """Ask for all answers that the log does not hold; raise `ServiceError` if it is hopeless.

        Requests that fail after all attempts are counted in `failures` and asked again by the
        next run.
        """
        try:
            asyncio.run(self._ask_all(requests))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _ask_all(self, requests: Sequence[Request]) -> None:
        wanted = {request.key: request for request in requests}
        queue = iter([request for key, request in wanted.items() if key not in self.log.known])
        async with openai.AsyncOpenAI(
            base_url=self.base_url,
            api_key=self.api_key,
            max_retries=0,
            timeout=self.config.timeout_seconds,
        ) as server:

            async def worker() -> None:
                for request in queue:
                    await self._ask(server, request)
                    self._settled += 1
                    self.on_answer(self._settled)

            async with asyncio.TaskGroup() as group:
                for _ in range(self.config.concurrency):
                    group.create_task(worker())
        if not self.log.known:
            self._give_up_if_hopeless(1)

    async def _ask(self, server: openai.AsyncOpenAI, request: Request) -> None:
        problem = ""
        for attempt in range(self.config.max_attempts):
            try:
                response = await self._once(server, request)
            except openai.APIStatusError as error:
                problem = self._status_problem(error)
                wait = _wait_seconds(attempt, error.response.headers.get("retry-after"))
            except (openai.APIConnectionError, _MalformedAnswerError, ValueError) as error:
                problem = str(error.__cause__ or error) or type(error).__name__
                wait = _wait_seconds(attempt, None)
            else:
                self.log.append(response)
                self._succeeded += 1
                return
            if attempt + 1 < self.config.max_attempts:
                await asyncio.sleep(wait)
        self.failures[self._without_key(problem)] += 1
        self._give_up_if_hopeless(_GIVE_UP_AFTER)

    def _give_up_if_hopeless(self, least: int) -> None:
        """Raise `ServiceError` when nothing succeeded and `least` requests failed for good."""
        if not self._succeeded and self.failures.total() >= least:
            raise ServiceError(
                f"{self.base_url} gave no usable answer to {self.failures.total()} requests "
                f"({', '.join(self.failures)}); check synthesis.base_url and that the server runs"
            )

    def _without_key(self, message: str) -> str:
        """Return a message with the key blanked out: some servers repeat it."""
        is_secret = len(self.api_key) > len("none")
        return message.replace(self.api_key, "***") if is_secret else message

    def _status_problem(self, error: openai.APIStatusError) -> str:
        """Return a short name of a status that may pass; raise `ServiceError` for others."""
        code = getattr(error, "code", None)
        if error.status_code in _TERMINAL or code == "insufficient_quota":
            raise ServiceError(
                f"{self.base_url} refused: HTTP {error.status_code} "
                f"{self._without_key(error.message)}; check "
                f"synthesis.model = {self.config.model!r} and the key in {self.config.api_key_env}"
            ) from error
        return f"HTTP {error.status_code}"

    async def _once(self, server: openai.AsyncOpenAI, request: Request) -> Response:
        body: dict[str, Any] = request.body
        asked: Awaitable[Any]
        if request.kind == "completion":
            asked = server.completions.create(**body)
        else:
            asked = server.chat.completions.create(**body)
        return _parsed(await asked, request.key)


class _MalformedAnswerError(Exception):
    """The server answered with something that is no completion."""


def _parsed(completion: Any, key: str) -> Response:
    """Return the answer; raise `_MalformedAnswerError` for HTML with status 200 or null choices."""
    try:
        choice = completion.choices[0]
        message = getattr(choice, "message", None)
        text = choice.text if message is None else message.content
        refusal = getattr(message, "refusal", None)
        usage = completion.usage
        return Response(
            key=key,
            content=(text or "").encode("utf-8", "replace").decode(),  # lone surrogates: no UTF-8
            finish_reason="refusal" if refusal else str(choice.finish_reason),
            model=str(completion.model),
            input_tokens=int(usage.prompt_tokens) if usage else 0,
            output_tokens=int(usage.completion_tokens) if usage else 0,
            created_at=int(getattr(completion, "created", 0) or 0),
        )
    except (AttributeError, TypeError, IndexError):
        raise _MalformedAnswerError("the answer is no completion") from None


def _wait_seconds(attempt: int, retry_after: str | None) -> float:
    """Return the pause before the next attempt: the server's wish, else 0.5·2^n with jitter."""
    if retry_after and retry_after.replace(".", "", 1).isdecimal():
        return min(_LONGEST_REQUESTED_WAIT, float(retry_after))
    return float(min(_LONGEST_WAIT, 0.5 * 2**attempt) * random.uniform(0.5, 1.0))
