"""Limits in simulated time: what a minute holds, how concurrency adapts, how long to wait."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.synthesis.limits import AdaptiveLimit, TokenBucket, backoff, retry_after

NOW = datetime(2026, 11, 27, 12, 0, 0, tzinfo=UTC)


def taken(
    bucket: TokenBucket, costs: list[float], pauses: list[float]
) -> list[tuple[float, float]]:
    """Take each cost as soon as it may be, after a pause; return when and how much."""
    now, log = 0.0, []
    for cost, pause in zip(costs, pauses, strict=True):
        now += pause
        while (wait := bucket.wait(cost, now)) > 0:
            now += wait
        bucket.take(cost, now)
        log.append((now, cost))
    return log


@given(
    limit=st.integers(1, 5000),
    events=st.lists(
        st.tuples(st.floats(0.001, 1), st.sampled_from([0, 0, 0, 0.5, 90])), max_size=80
    ),
)
def test_no_minute_holds_more_than_the_limit(limit: int, events: list[tuple[float, float]]) -> None:
    """Whatever comes when, windows of 60 s hold the limit, for costs up to half of it."""
    costs = [max(1.0, share * limit / 2) for share, _ in events]
    log = taken(TokenBucket(limit, 0.0), costs, [pause for _, pause in events])
    for start, _ in log:
        window = sum(cost for at, cost in log if start <= at < start + 60 - 1e-6)
        assert window <= limit + 1 + 1e-6


@pytest.mark.parametrize("limit", [1, 2, 59, 60, 600, 100_000])
def test_the_limit_is_used(limit: int) -> None:
    """Someone who always has something to send gets 97 % of the limit or more."""
    bucket, now, count = TokenBucket(limit, 0.0), 0.0, 0
    end = 600.0 if limit < 1000 else 120.0
    while now < end:
        wait = bucket.wait(1, now)
        now += wait
        if not wait:
            bucket.take(1, now)
            count += 1
    assert count >= 0.97 * limit * end / 60


def test_what_was_taken_too_much_is_given_back() -> None:
    """An estimate of 50 that turns out as 10 leaves room for 40 more."""
    bucket = TokenBucket(6000, 0.0)
    bucket.take(100, 0.0)
    assert bucket.wait(40, 0.0) > 0
    bucket.take(-40, 0.0)
    assert bucket.wait(40, 0.0) == 0


def test_a_cost_above_the_limit_passes_alone() -> None:
    """It waits for half a minute's worth and leaves a debt, so that nothing waits for ever."""
    bucket = TokenBucket(600, 0.0)
    wait = bucket.wait(1000, 0.0)
    assert 0 < wait < 120
    bucket.take(1000, wait)
    assert 60 < bucket.wait(1, wait) < 180


def test_a_burst_of_overloads_counts_once() -> None:
    """x0.75 at most every two seconds, never below one."""
    limit = AdaptiveLimit(64)
    for at in (10.0, 10.1, 11.9):
        limit.overloaded(at)
    assert limit.limit == 48
    limit.overloaded(12.0)
    assert limit.limit == 36
    for at in range(20, 60, 2):
        limit.overloaded(float(at))
    assert limit.limit == 1


def test_25_answers_give_one_place_back() -> None:
    """Up to the configured concurrency and not beyond."""
    limit = AdaptiveLimit(8)
    limit.overloaded(0.0)
    assert limit.limit == 6
    for count, expected in ((24, 6), (1, 7), (25, 8), (100, 8)):
        for _ in range(count):
            limit.succeeded(0.1, 5.0)
        assert limit.limit == expected


def test_climbing_latency_is_overload_and_lasting_latency_is_usual() -> None:
    """Ten times the usual latency cuts the limit; what stays so long enough does not."""
    limit, now, seen = AdaptiveLimit(64), 0.0, []
    for latency, count in ((0.1, 200), (1.0, 3000)):
        for _ in range(count):
            now += latency / 16
            limit.succeeded(latency, now)
            seen.append(limit.limit)
    assert min(seen[:200]) == 64
    assert 1 < min(seen) < 50
    assert limit.limit == 64


def test_noise_in_latency_is_no_overload() -> None:
    """Answers of 0.1 to 0.6 s in any order change nothing."""
    limit = AdaptiveLimit(16)
    for i in range(2000):
        limit.succeeded(0.1 + (i * 7919 % 50) / 100, i / 10)
    assert limit.limit == 16


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "900"}, 900.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Fri, 27 Nov 2026 12:05:00 GMT"}, 300.0),
        ({"retry-after": "Fri, 27 Nov 2026 12:05:00 -0000"}, 300.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "9" * 40}, None),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds before seconds before dates; nonsense is no wish."""
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize("attempt", [0, 1, 5, 7, 100, 10**6])
def test_backoff_doubles_up_to_a_minute(attempt: int) -> None:
    """Half to all of 0.5·2^n seconds, never above 60."""
    full = min(60.0, 0.5 * 2.0 ** min(attempt, 20))
    draws = [backoff(attempt) for _ in range(50)]
    assert full / 2 <= min(draws) < max(draws) <= full
    assert not math.isnan(sum(draws))
