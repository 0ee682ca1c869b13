"""The paid step of `synth`: requests → answers in the log, with a progress line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain

from curation.synthesis.budget import Usage
from curation.synthesis.client import Client
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.requests import Request
from curation.synthesis.responses import ResponseLog
from pipelines.terminal import Progress, State, say


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run of `ask` did."""

    usage: Usage
    """Requests, tokens and USD of this run."""
    asked: int = 0
    """Questions that the log had no answer to."""
    known: int = 0
    """Questions that it had an answer to."""


def ask(
    config: SynthesisConfig, log: ResponseLog, requests: Iterable[Request], total: int
) -> Asked:
    """Ask for what the log does not hold; `total` is the number of requests.

    The log is locked meanwhile and readable afterwards. Where nothing is missing no server is
    needed. Raises `BudgetError` and `ServiceError` with what was paid for in the log.
    """
    log.open()
    try:
        known, missing = _first_missing(log, iter(requests))
        if missing is None:
            return Asked(Usage(), known=known)
        earlier = _describe(config, log)
        with running(config) as served:
            client = Client(served, log)
            with Progress("synth", "answers", lambda: state(client, known, total)):
                client.ask_all(missing)
    finally:
        log.close()
    _report(client, earlier)
    return Asked(client.usage, client.settled, known + client.known)


def _first_missing(
    log: ResponseLog, requests: Iterator[Request]
) -> tuple[int, Iterator[Request] | None]:
    """Return how many requests are known before the first missing one, and that and the rest."""
    known = 0
    for request in requests:
        if not log.is_settled(request.key):
            return known, chain([request], requests)
        known += 1
    return known, None


@contextmanager
def running(config: SynthesisConfig) -> Iterator[SynthesisConfig]:
    """Yield the config with an endpoint, of a local server that runs for the block if asked."""
    if not config.local_server:
        yield config
        return
    from pipelines.demo import llm_server

    with llm_server.running(config.local_server) as url:
        yield replace(config, local_server="", base_url=url)


def state(client: Client, known: int, total: int) -> State:
    """Return where the client stands, for the progress line."""
    done = known + client.known + client.settled
    return State(min(1.0, done / max(1, total)), client.settled, detail(client, total - done))


def detail(client: Client, left: int) -> str:
    """Return tokens, cost so far and in the end, requests in flight and failures."""
    usage = client.usage
    parts = [f"{usage.tokens:,} tokens"]
    if usage.usd:
        each = usage.usd / max(1, client.settled)
        parts.append(f"${usage.usd:.2f} of about ${usage.usd + each * left:.2f}")
    parts.append(f"{client.in_flight}/{client.concurrency} in flight")
    if client.failures:
        kinds = ", ".join(f"{name} {count:,}" for name, count in client.failures.most_common(3))
        parts.append(f"{client.failures.total():,} failed: {kinds}")
    return ", ".join(parts)


def _describe(config: SynthesisConfig, log: ResponseLog) -> str:
    """Return what the answers of earlier runs took, at the prices of today's endpoints."""
    answers = sum(usage.requests for usage in log.usage.values())
    tokens = sum(usage.tokens for usage in log.usage.values())
    prices = {endpoint.label: endpoint for endpoint in config.all_endpoints()}
    usd = sum(
        prices[label].cost(usage.input_tokens, usage.cached_tokens, usage.output_tokens)
        for label, usage in log.usage.items()
        if label in prices
    )
    cost = f", ${usd:.2f}" if usd else ""
    return f"{answers:,} answers, {tokens:,} tokens{cost}" if answers else ""


def _report(client: Client, earlier: str) -> None:
    """Print what the run took, what earlier runs took, and what went wrong."""
    usage = client.usage
    cost = f", ${usage.usd:.2f}" if usage.usd else ""
    before = f"; the log held {earlier}" if earlier else ""
    say(f"  this run: {usage.requests:,} requests, {usage.tokens:,} tokens{cost}{before}")
    for reason in client.ended:
        say(f"  not asked any more: {reason}")
    for problem, count in client.failures.most_common():
        say(
            f"  {count:,} requests failed after {client.config.max_attempts} attempts: {problem}; "
            "run it again to ask only these"
        )
