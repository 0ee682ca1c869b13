"""Asking OpenAI-compatible servers many things at once, politely and only once each."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from curation.errors import BudgetError, ServiceError
from curation.synthesis.attempt import Attempt
from curation.synthesis.budget import Budget, Usage
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.connections import Pool, open_pool
from curation.synthesis.endpoints import EndpointConfig, key_of
from curation.synthesis.follow_up import follow_up
from curation.synthesis.limits import backoff
from curation.synthesis.replies import Answer, Problem, Trouble
from curation.synthesis.requests import Request
from curation.synthesis.responses import Response, ResponseLog
from curation.synthesis.server import Server
from curation.synthesis.work import Missing, Work

_SYNC_SECONDS = 5.0  # what a power cut may cost

Loops = Callable[[], asyncio.AbstractEventLoop]
Opener = Callable[[EndpointConfig, str], Pool]


def _open_pool(endpoint: EndpointConfig, key: str) -> Pool:
    return open_pool(endpoint.base_url, key)


@dataclass(slots=True)
class Client:
    """Asks what the log does not hold; the log keeps the answers, memory none of them.

    `usage`, `failures` and `settled` are this run's; another thread may read them meanwhile.
    """

    config: SynthesisConfig
    log: ResponseLog
    endpoints: Sequence[EndpointConfig] = ()
    """Default: those of the config."""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    """Where the keys are."""
    on_answer: Callable[[int], None] = lambda _: None
    """Called with the number of requests settled so far."""
    open_pool: Opener = _open_pool
    new_loop: Loops | None = None
    usage: Usage = field(default_factory=Usage)
    """What this run took, with replies that the server billed though they were no answers."""
    failures: Counter[str] = field(default_factory=Counter)
    """Requests that failed for good, by cause; the next run asks them again."""
    ended: list[str] = field(default_factory=list)
    """Why endpoints are not asked any more."""
    settled: int = 0
    answered: int = 0
    _servers: list[Server] = field(default_factory=list)
    _keys: dict[str, str] = field(default_factory=dict, repr=False)
    _budget: Budget = field(init=False)
    _work: Work = field(init=False)
    _missing: Missing = field(init=False)
    _budget_end: str = ""

    def __post_init__(self) -> None:
        self.endpoints = self.endpoints or self.config.all_endpoints()
        self._keys = {e.api_key_env: key_of(e, self.environment) for e in self.endpoints}
        config = self.config
        self._budget = Budget(config.max_usd, config.max_tokens, config.max_requests)
        self._missing = Missing(self.log, ())

    @property
    def known(self) -> int:
        """Requests so far that the log answers."""
        return self._missing.known

    @property
    def in_flight(self) -> int:
        """Requests in flight now."""
        return sum(server.in_flight for server in self._servers)

    @property
    def concurrency(self) -> int:
        """Requests that may be in flight now."""
        return sum(server.limit.limit for server in self._servers if not server.end)

    def ask_all(self, requests: Iterable[Request]) -> None:
        """Ask for all answers that the log does not hold.

        Raises `ServiceError` if no endpoint is left to ask, `BudgetError` if a cap is reached.
        Requests that fail after all attempts are counted in `failures`.
        """
        try:
            with asyncio.Runner(loop_factory=self.new_loop) as runner:
                runner.run(self.run(requests))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def run(self, requests: Iterable[Request]) -> None:
        """Do the same in a loop that runs already; errors come in an exception group."""
        self.log.open()
        self._missing = Missing(self.log, requests)
        self._work = Work(self._missing)
        self._servers = [self._server(endpoint) for endpoint in self.endpoints]
        try:
            async with asyncio.TaskGroup() as group:
                syncing = group.create_task(self._keep_synced())
                serving = [group.create_task(self._serve(s, group)) for s in self._servers]
                await asyncio.gather(*serving)
                while self.in_flight:
                    await asyncio.sleep(0.05)
                syncing.cancel()
        finally:
            self.log.sync()
            for server in self._servers:
                await server.pool.close()
        self._raise_unless_done()

    def _server(self, endpoint: EndpointConfig) -> Server:
        pool = self.open_pool(endpoint, self._keys[endpoint.api_key_env])
        config = self.config
        now = asyncio.get_running_loop().time()
        return Server(endpoint, pool, config.max_attempts, config.timeout_seconds, now)

    @property
    def _is_over(self) -> bool:
        return bool(self._budget_end) or self._work.is_done

    async def _keep_synced(self) -> None:
        while True:
            await asyncio.sleep(_SYNC_SECONDS)
            await asyncio.to_thread(self.log.sync)

    async def _serve(self, server: Server, group: asyncio.TaskGroup) -> None:
        """Start requests to one endpoint whenever it has room, until nothing is left."""
        while not (server.end or self._is_over):
            server.wake.clear()
            following = self._next(server)
            if isinstance(following, Attempt):
                group.create_task(self._ask(following))
            elif not self._is_over:
                await _wait(server.wake, following)
        self._wake_all()

    def _next(self, server: Server) -> Attempt | float:
        """Return the next request to send to an endpoint, else the seconds to wait for one."""
        now = asyncio.get_running_loop().time()
        wait = server.wait_for_room(now)
        if wait > 0:
            return wait
        item = self._work.take(now)
        if item is None:
            return self._work.wait(now)
        wait = server.wait_for_tokens(item, now)
        if wait > 0:
            self._work.put_back(item, now)
            return wait
        reserved = server.reservation(item)
        if not self._budget.reserve(reserved):
            self._work.put_back(item, now)
            if not self._budget.open_requests:
                self._budget_end = self._budget.passed_by(reserved)
                return 0.0  # nothing is on its way that would wake us
            return math.inf
        server.sending(reserved, now)
        item.sent += 1
        return Attempt(server, item, reserved, server.steps, server.body_of(item), now)

    async def _ask(self, attempt: Attempt | float) -> None:
        """Send a request, and in its place the next: without a turn of the loop between them."""
        while isinstance(attempt, Attempt):
            server = attempt.server
            outcome = await attempt.outcome(self.config.timeout_seconds)
            server.in_flight -= 1
            now = asyncio.get_running_loop().time()
            self._settle(attempt, outcome)
            if isinstance(outcome, Answer):
                server.answered(now - attempt.sent_at, now)
                self._keep(attempt, outcome, now)
            else:
                self._handle(attempt, outcome, now)
            self._wake_all()
            attempt = math.inf if server.end or self._is_over else self._next(server)

    def _settle(self, attempt: Attempt, outcome: Answer | Problem) -> None:
        """Replace the reservation by what the server billed, or may have."""
        tokens = outcome.tokens
        self.usage.add(
            tokens.input, tokens.cached, tokens.output, tokens.reasoning, attempt.cost(outcome)
        )
        used, usd = attempt.bill(outcome)
        attempt.server.took(attempt.item, attempt.reserved, used, tokens.input)
        self._budget.settle(attempt.reserved, used, usd)

    def _keep(self, attempt: Attempt, answer: Answer, now: float) -> None:
        """Log an answer, and ask for a longer one where it was cut short."""
        request, tokens = attempt.item.request, answer.tokens
        response = Response(
            key=request.key,
            content=answer.content,
            finish_reason=answer.finish_reason,
            model=answer.model,
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            created_at=int(time.time()),
            endpoint=attempt.server.config.label,
            cached_tokens=tokens.cached,
            reasoning_tokens=tokens.reasoning,
            attempts=attempt.item.sent,
            steps=",".join(attempt.steps),
            follows=request.follows,
        )
        self.log.append(response)
        self.answered += 1
        longer = follow_up(request, response)
        if longer:
            self._work.add(longer, now)
        else:
            self._missing.answered(request)
        self._done(is_last=not longer)

    def _handle(self, attempt: Attempt, problem: Problem, now: float) -> None:
        """Ask again, give the request up, or give the endpoint up."""
        server, item, trouble = attempt.server, attempt.item, problem.trouble
        is_longer = bool(item.request.follows)  # refused where a model's cap is lower
        if trouble is Trouble.REJECTED or (trouble is Trouble.REFUSED and is_longer):
            self._fail(problem)
        elif trouble is Trouble.UNSUPPORTED and server.step_down(problem, attempt.steps):
            self._work.put_back(item, now)
        elif trouble in (Trouble.UNSUPPORTED, Trouble.REFUSED):
            server.refuse(problem, str(attempt.body["model"]))
            self._work.put_back(item, now)
        else:
            self._try_again(attempt, problem, now)

    def _try_again(self, attempt: Attempt, problem: Problem, now: float) -> None:
        item = attempt.item
        item.failed += attempt.server.failed(problem, attempt.sent_at, now)
        if item.failed >= self.config.max_attempts:
            self._fail(problem)
            return
        is_told = problem.wait is not None  # then the endpoint rests, not the request
        self._work.put_back(item, now if is_told else now + backoff(max(0, item.failed - 1)))

    def _fail(self, problem: Problem) -> None:
        self.failures[self._safe(problem.name)] += 1
        self._done(is_last=True)

    def _done(self, *, is_last: bool) -> None:
        self._work.settled()
        if is_last:
            self.settled += 1
            self.on_answer(self.settled)

    def _wake_all(self) -> None:
        for server in self._servers:
            server.wake.set()

    def _safe(self, message: str) -> str:
        """Return a message with the keys blanked out: some servers repeat them."""
        for key in self._keys.values():
            if key != "none":
                message = message.replace(key, "***")
        return message

    def _raise_unless_done(self) -> None:
        self.ended = [self._safe(server.end) for server in self._servers if server.end]
        if self._budget_end:
            raise BudgetError(
                f"stopped at {self._budget_end}; {self.answered:,} answers of this run are kept, "
                "raise the cap and run it again for the others"
            )
        if not self._work.is_done:
            raise ServiceError("; ".join(self.ended))
        if self.failures and not self.answered and not self.log.usage:
            raise ServiceError(self._safe(self._servers[0].no_answer()))


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, or for some seconds."""
    if seconds == math.inf:
        await event.wait()
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
