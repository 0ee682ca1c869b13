"""One endpoint while a run lasts: when it may be asked, and what became of its requests."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import Any

from curation.synthesis.budget import Reservation
from curation.synthesis.connections import Pool
from curation.synthesis.endpoints import EndpointConfig
from curation.synthesis.limits import AdaptiveLimit, TokenBucket, backoff
from curation.synthesis.parameters import step_for, stepped_down
from curation.synthesis.replies import Problem, Trouble
from curation.synthesis.work import Item

_PATIENCE = 3600.0  # a longer Retry-After is a quota: better started again than waited for
_FAILURES_IN_A_ROW = 8  # then the endpoint rests; 30 % at random get there once in 15,000
_BELIEVED_BURSTS = 3  # from then on a Retry-After of 0 s is no help
_OVERLOADS_PER_ATTEMPT = 4  # bursts of overload without an answer before an endpoint is given up


class Server:
    """An endpoint with its limits; it is dead once `end` tells why."""

    def __init__(
        self, config: EndpointConfig, pool: Pool, attempts: int, patience: float, now: float
    ) -> None:
        self.config = config
        self.pool = pool
        self.wake = asyncio.Event()
        self.end = ""
        """Why it is not asked any more; empty while it is."""
        self.steps: tuple[str, ...] = ()
        """What it does not take (`parameters.py`)."""
        self.in_flight = 0
        self.limit = AdaptiveLimit(config.concurrency)
        self._attempts = attempts
        self._patience = patience
        self._paused_until = -math.inf
        self._requests = TokenBucket(config.rpm, now) if config.rpm else None
        self._tokens = TokenBucket(config.tpm, now) if config.tpm else None
        self._tokens_per_estimate = 1.0
        self._answers = 0
        self._answered_at = now
        self._failures: Counter[str] = Counter()
        self._in_a_row = 0
        self._bursts = 0
        self._burst_at = -math.inf

    def wait_for_room(self, now: float) -> float:
        """Return the seconds until one more request may leave; inf while all places are taken."""
        if self.in_flight >= self.limit.limit:
            return math.inf
        paused = self._paused_until - now
        return max(0.0, paused, self._requests.wait(1, now) if self._requests else 0.0)

    def wait_for_tokens(self, item: Item, now: float) -> float:
        """Return the seconds until the tokens of a request are within the limit."""
        return self._tokens.wait(self.reservation(item).tokens, now) if self._tokens else 0.0

    def reservation(self, item: Item) -> Reservation:
        """Return what a request may take at most, by the experience with this endpoint."""
        estimate = math.ceil(item.input_tokens * self._tokens_per_estimate)
        usd = self.config.cost(estimate, 0, item.output_tokens)
        return Reservation(estimate + item.output_tokens, usd)

    def body_of(self, item: Item) -> dict[str, Any]:
        """Return the body as this endpoint takes it."""
        body = item.request.body
        if self.config.model:
            body = body | {"model": self.config.model}
        return stepped_down(body, self.steps)

    def sending(self, reserved: Reservation, now: float) -> None:
        """Count a request against the limits."""
        self.in_flight += 1
        if self._requests:
            self._requests.take(1, now)
        if self._tokens:
            self._tokens.take(reserved.tokens, now)

    def took(self, item: Item, reserved: Reservation, used: int, input_tokens: int) -> None:
        """Correct the limits by the tokens that a request took, and the estimates to come."""
        if self._tokens:
            self._tokens.take(used - reserved.tokens, asyncio.get_running_loop().time())
        if input_tokens:
            ratio = min(4.0, input_tokens / item.input_tokens)
            self._tokens_per_estimate += (ratio - self._tokens_per_estimate) * 0.05

    def answered(self, latency: float, now: float) -> None:
        """Count an answer."""
        self._answers += 1
        self._answered_at = now
        self._in_a_row = 0
        self._bursts = 0
        self.limit.succeeded(latency, now)

    def step_down(self, problem: Problem, used: tuple[str, ...]) -> bool:
        """Do without a parameter from now on; False where that was done already for `used`."""
        step = step_for(problem.parameter)
        undone = step_for(step) if step in ("max_tokens", "max_completion_tokens") else ""
        if step in used or undone in used:
            return False
        if step not in self.steps:
            self.steps = (*self.steps, step)
        return True

    def failed(self, problem: Problem, sent_at: float, now: float) -> bool:
        """Count a failure; return whether it counts against the request's attempts."""
        self._failures[problem.name] += 1
        self._in_a_row += 1
        if problem.wait is not None:
            self._pause(problem.wait, now)
        if problem.trouble in (Trouble.OVERLOADED, Trouble.UNREACHABLE):
            is_first = self._burst(problem, sent_at, now)
            return is_first and problem.trouble is Trouble.OVERLOADED  # or it was not sent
        if self._in_a_row % _FAILURES_IN_A_ROW == 0:
            self._pause(backoff(self._in_a_row // _FAILURES_IN_A_ROW), now)
        if not self._answers and self._in_a_row >= _FAILURES_IN_A_ROW * self._attempts:
            self.end = self.end or self.no_answer()
        return True

    def refuse(self, problem: Problem, model: str) -> None:
        """Stop asking after a refusal for good."""
        said = f" {problem.message}" if problem.message else ""
        self.end = self.end or (
            f"{self.config.base_url} refused: {problem.name}{said}; check "
            f"synthesis.model = {model!r} and the key in {self.config.api_key_env}"
        )

    def no_answer(self) -> str:
        """Return that no request has got an answer."""
        causes = ", ".join(self._failures)
        return (
            f"{self.config.base_url} gave no usable answer to {self._failures.total()} requests "
            f"({causes}); check synthesis.base_url and that the server runs"
        )

    def _burst(self, problem: Problem, sent_at: float, now: float) -> bool:
        """Count what belongs to one burst once: slow down, rest, and give up after many."""
        if problem.trouble is Trouble.OVERLOADED:
            self.limit.overloaded(now)
        if sent_at < self._burst_at:
            return False
        self._burst_at = now
        self._bursts += 1
        rests = self._bursts > 1 and problem.wait is None  # nothing was answered since the last
        if rests or self._bursts > _BELIEVED_BURSTS or problem.trouble is Trouble.UNREACHABLE:
            self._pause(backoff(self._bursts - 1), now)
        if self._bursts >= self._most_bursts(problem, now):
            self.end = self.end or self._given_up(problem)
        return True

    def _given_up(self, problem: Problem) -> str:
        if problem.trouble is Trouble.UNREACHABLE:
            return (
                f"{self.config.base_url} cannot be reached: {problem.name}; "
                "check synthesis.base_url and that the server runs"
            )
        return (
            f"{self.config.base_url} is overloaded: {problem.name} {self._bursts} times without "
            "an answer; lower synthesis.rpm, tpm or concurrency, or run it again later"
        )

    def _most_bursts(self, problem: Problem, now: float) -> float:
        if problem.trouble is Trouble.OVERLOADED:
            return _OVERLOADS_PER_ATTEMPT * self._attempts
        is_restarting = self._answers and now - self._answered_at < 3 * self._patience
        return math.inf if is_restarting else self._attempts

    def _pause(self, seconds: float, now: float) -> None:
        if seconds > _PATIENCE:
            self.end = self.end or (
                f"{self.config.base_url} asks to wait {seconds:,.0f} s; run it again then"
            )
        self._paused_until = max(self._paused_until, now + seconds)
