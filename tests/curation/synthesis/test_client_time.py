"""Limits and pauses over minutes and hours of simulated time."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from curation.errors import ServiceError
from tests.curation.synthesis.asking import asks, in_turn, known, prompt_of, raw, simulate
from tests.curation.synthesis.simulated import SimulatedPool
from tests.llm_server import Reply, usage_of

NAMES = [f"n{i}" for i in range(3000)]


def fine(body: dict[str, Any]) -> Reply:
    return Reply(f"about {prompt_of(body)}")


def busiest_minute(times: list[float], weights: list[float]) -> float:
    """Return the most that any window of 60 s holds."""
    most, start, total = 0.0, 0, 0.0
    for at, weight in zip(times, weights, strict=True):
        total += weight
        while times[start] <= at - 60 + 1e-6:
            total -= weights[start]
            start += 1
        most = max(most, total)
    return most


@pytest.mark.parametrize("rpm", [7, 120, 600])
def test_requests_per_minute_hold_and_are_used(tmp_path: Path, rpm: int) -> None:
    pool = SimulatedPool(fine, latency=0.2)
    simulate(pool, tmp_path, asks(*NAMES[: rpm * 4]), rpm=rpm, concurrency=32)
    times = [at for at, _ in pool.sent]
    assert busiest_minute(times, [1.0] * len(times)) <= rpm
    assert times[-1] <= 4 * 60 * 1.05


@pytest.mark.parametrize("used", [(500, 20), (1500, 60)], ids=["estimated", "more"])
def test_tokens_per_minute_hold(tmp_path: Path, used: tuple[int, int]) -> None:
    """By what the server counts, once the first answers have told what a prompt takes."""
    pool = SimulatedPool(lambda _: Reply("x", usage=used), latency=0.5)
    prompts = [f"{name} " + "words " * 250 for name in NAMES[:400]]
    simulate(pool, tmp_path, asks(*prompts), tpm=60_000, concurrency=64)
    times = [at for at, _ in pool.sent]
    settled = [i for i, at in enumerate(times) if at > 60]
    most = busiest_minute([times[i] for i in settled], [float(sum(used))] * len(settled))
    assert most <= 60_000 * 1.02
    assert times[-1] < 1.35 * 60 * 400 * sum(used) / 60_000


@pytest.mark.parametrize(
    "headers",
    [{"Retry-After": "900"}, {"Retry-After-Ms": "900000"}],
    ids=["seconds", "milliseconds"],
)
@pytest.mark.parametrize("status", [429, 503, 500])
def test_the_whole_endpoint_waits_as_long_as_it_asks(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    """Above two minutes too, and every request, not only the one that was told."""
    seen = iter([Reply(status=status, headers=headers)])
    pool = SimulatedPool(lambda body: next(seen, fine(body)))
    simulate(pool, tmp_path, asks(*NAMES[:20]), concurrency=4)
    times = [at for at, _ in pool.sent]
    assert len(times) == 21
    assert sorted(times)[:4] == [0.0] * 4
    assert all(at >= 901 for at in times[4:])
    assert len(known(tmp_path)) == 20


def test_a_wait_of_days_is_the_users_decision(tmp_path: Path) -> None:
    pool = SimulatedPool(lambda _: Reply(status=429, headers={"Retry-After": "86400"}))
    with pytest.raises(ServiceError, match=r"asks to wait 86,400 s; run it again then$"):
        simulate(pool, tmp_path, asks(*NAMES[:20]), concurrency=4)
    assert len(pool.sent) == 4


def test_a_burst_of_429_slows_down_once_and_costs_no_request(tmp_path: Path) -> None:
    """A server that takes 10 at once of 64 gets all its work done by 10 or fewer, soon."""
    pool = SimulatedPool(lambda _: Reply("x"))
    pool.script = lambda body: fine(body) if pool._in_flight <= 10 else Reply(status=429)
    client = simulate(pool, tmp_path, asks(*NAMES[:1000]), concurrency=64, max_attempts=3)
    assert len(known(tmp_path)) + client.failures.total() == 1000
    assert client.failures.total() <= 2
    refused = len(pool.sent) - 1000
    assert refused < 600
    assert pool.sent[-1][0] < 300  # at least 100 s of work


def test_overload_for_ever_ends_the_run(tmp_path: Path) -> None:
    for reply in (Reply(status=429), Reply(status=429, headers={"Retry-After": "0"})):
        pool = SimulatedPool(lambda _, reply=reply: reply)
        with pytest.raises(ServiceError, match=r"is overloaded: HTTP 429 \d+ times"):
            simulate(pool, tmp_path, asks(*NAMES), concurrency=8, max_attempts=5)
        assert len(pool.sent) < 400


def test_climbing_latency_lowers_concurrency(tmp_path: Path) -> None:
    """A server whose answers take 20 times longer under more than 16 at once is asked less."""
    pool = SimulatedPool(fine, latency=0.1)
    pool.script = lambda body: Reply(
        "x", delay=2.0 if pool._in_flight > 16 and len(pool.sent) > 400 else 0.0
    )
    simulate(pool, tmp_path, asks(*NAMES[:2000]), concurrency=48)
    assert pool.most_in_flight == 48
    assert max(in_flight_at(pool, at) for at in (4, 5, 6)) <= 38
    assert min(in_flight_at(pool, at) for at in (4, 5, 6, 7)) < 36


def in_flight_at(pool: SimulatedPool, at: float) -> int:
    """Return how many requests were sent in the two seconds before a time."""
    return sum(at - 2 < sent <= at for sent, _ in pool.sent)


def hostile(body: dict[str, Any], draw: random.Random, billed: Counter[str]) -> Reply:
    """Fail three times in ten, in every way; count what is billed."""
    prompt = prompt_of(body)
    kind = draw.choice(["429", "429-after", "500", "html", "null", "cut", "drop", "drip"])
    if draw.random() >= 0.3:
        billed[prompt] += 1
        text = draw.choice(["Who built it?", "", "Кто это построил?"])
        return Reply(text, usage=(100, 10))
    if kind == "null":
        billed[prompt] += 1
        return raw({"choices": None, "usage": usage_of((100, 10))})
    return {
        "429": Reply(status=429),
        "429-after": Reply(status=429, headers={"Retry-After": "2"}),
        "500": Reply(status=500, raw=b"oops"),
        "html": Reply(raw=b"<html>login</html>"),
        "cut": Reply(raw=b'{"choices": [{"mess'),
        "drop": Reply(drop=True),
        "drip": Reply("late", delay=1000.0),
    }[kind]


def test_an_hour_of_a_hostile_server(tmp_path: Path) -> None:
    """No request lost or counted twice, the ledger is the server's, and the run ends."""
    draw, billed = random.Random(4), Counter[str]()
    pool = SimulatedPool(lambda body: hostile(body, draw, billed), latency=2.0)
    client = simulate(pool, tmp_path, asks(*NAMES), concurrency=8, timeout_seconds=60)
    hours = pool.sent[-1][0] / 3600
    assert hours > 1.0
    answers = known(tmp_path)
    log = (tmp_path / "responses.jsonl").read_text().splitlines()
    assert len(log) == len(answers) == client.answered
    assert len(answers) + client.failures.total() == client.settled == len(NAMES)
    assert client.usage.requests == len(pool.sent)
    assert client.usage.tokens == 110 * billed.total()
    assert sum(a.attempts for a in answers.values()) <= len(pool.sent)
    pool.script = fine
    pool.sent.clear()
    again = simulate(pool, tmp_path, asks(*NAMES), concurrency=8)
    assert {prompt_of(body) for _, body in pool.sent} == set(NAMES) - set(answers)
    assert again.failures == {}
    assert set(known(tmp_path)) == set(NAMES)


def test_a_cut_answer_is_asked_once_more_with_twice_the_tokens(tmp_path: Path) -> None:
    """Both answers are logged; the longer one is the one to use, at the price of both."""
    pool = SimulatedPool(
        lambda body: Reply("a longer one" if body["max_tokens"] > 64 else "a lon",
                           finish_reason="length" if body["max_tokens"] == 64 else "stop")
    )  # fmt: skip
    client = simulate(pool, tmp_path, asks("a", "b"))
    assert sorted(body["max_tokens"] for _, body in pool.sent) == [64, 64, 128, 128]
    final = client.log.final("a")
    assert final is not None
    assert (final.key, final.content, final.finish_reason) == ("a", "a longer one", "stop")
    assert (final.input_tokens, final.output_tokens, final.attempts) == (20, 10, 2)
    assert [a.content for a in client.log.read(["b", "c", "a"])] == ["a longer one"] * 2
    assert (client.settled, client.answered) == (2, 4)
    simulate(pool, tmp_path, asks("a", "b"))
    assert len(pool.sent) == 4


def test_a_follow_up_that_a_kill_prevented_is_made_up_for(tmp_path: Path) -> None:
    pool = SimulatedPool(lambda _: Reply("cut", finish_reason="length"))
    simulate(pool, tmp_path, asks("a"))
    log = tmp_path / "responses.jsonl"
    log.write_text(log.read_text().splitlines()[0] + "\n")
    simulate(pool, tmp_path, asks("a"))
    assert [body["max_tokens"] for _, body in pool.sent] == [64, 128, 128]
    simulate(pool, tmp_path, asks("a"))
    assert len(pool.sent) == 3  # cut short again: that is how it ends


def test_a_longer_answer_than_the_model_gives_fails_alone(tmp_path: Path) -> None:
    too_many = Reply(status=400, raw=b'{"error": {"message": "max_tokens is too large"}}')
    pool = SimulatedPool(in_turn(Reply("cut", finish_reason="length"), too_many))
    client = simulate(pool, tmp_path, asks("a", "b"))
    assert client.failures == {"HTTP 400": 2}
    assert {k: a.finish_reason for k, a in known(tmp_path).items()} == {
        "a": "length",
        "b": "length",
    }
