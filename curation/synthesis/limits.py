"""How fast an endpoint is asked: tokens per minute, requests in flight, pauses.

Times are seconds of a monotonic clock, always passed in: simulated time is time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_CUT = 0.75
_COOLDOWN = 2.0  # seconds in which a burst of overloads counts once
_SUCCESSES_PER_STEP = 25
_SLOW_FACTOR = 4.0  # latency so many times above the usual is overload
_SAMPLES_BEFORE = 50  # answers before the usual latency is known
_LONGEST_BACKOFF = 60.0


class TokenBucket:
    """A limit per minute that no window of 60 s passes; a cost above half of it is the exception.

    The bucket holds a second's worth, or the largest cost so far, and refills with what is left
    of the minute.
    """

    def __init__(self, per_minute: int, now: float) -> None:
        self._per_minute = per_minute
        self._at = now
        self._resize(max(1.0, per_minute / 60))
        self._level = self._capacity

    def wait(self, cost: float, now: float) -> float:
        """Return the seconds until `cost` may be taken."""
        if cost > self._capacity:
            self._resize(min(cost, self._per_minute / 2))
        self._refill(now)
        lacking = min(cost, self._capacity) - self._level
        return max(0.0, lacking / self._rate) if lacking > 1e-9 else 0.0

    def take(self, cost: float, now: float) -> None:
        """Take a cost; a negative one gives back what was taken too much."""
        self._refill(now)
        self._level = min(self._capacity, self._level - cost)

    def _refill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
        self._at = now

    def _resize(self, capacity: float) -> None:
        self._capacity = max(1.0, capacity)
        self._rate = (self._per_minute - self._capacity + 1) / 60


class AdaptiveLimit:
    """Requests in flight: x0.75 on overload, once in 2 s; +1 per 25 answers, up to `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._successes = 0
        self._cut_at = -math.inf
        self._usual = 0.0
        self._recent = 0.0
        self._samples = 0

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return max(1, int(self._limit))

    def overloaded(self, now: float) -> None:
        """Cut the limit, unless it was cut just before."""
        if now - self._cut_at >= _COOLDOWN:
            self._cut_at = now
            self._successes = 0
            self._limit = max(1.0, self._limit * _CUT)

    def succeeded(self, latency: float, now: float) -> None:
        """Count an answer; cut the limit where latency has climbed far above the usual.

        The usual latency follows slowly (1 in 500), so that what lasts becomes usual.
        """
        self._samples += 1
        weight = max(1 / self._samples, 0.002)
        self._usual += (latency - self._usual) * weight
        self._recent += (latency - self._recent) * max(1 / self._samples, 0.1)
        if self._samples > _SAMPLES_BEFORE and self._recent > _SLOW_FACTOR * self._usual:
            if now - self._cut_at >= self._recent:  # the answers to the last cut are in
                self.overloaded(now)
            return
        self._successes += 1
        if self._successes >= _SUCCESSES_PER_STEP:
            self._successes = 0
            self._limit = min(float(self._most), self._limit + 1)


def backoff(attempt: int) -> float:
    """Return the pause after a failed attempt (from 0): 0.5·2^n s, at most 60, with jitter."""
    return float(min(_LONGEST_BACKOFF, 0.5 * 2 ** min(attempt, 10)) * random.uniform(0.5, 1.0))


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds a server asks to wait: `retry-after-ms`, else seconds or an HTTP date."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "").strip()
    seconds = _number(text)
    if seconds is not None or not text:
        return seconds
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def _number(text: str) -> float | None:
    """Return a plain decimal number, None for anything else (signs, inf, 1e9)."""
    text = text.strip()
    is_plain = text.isascii() and text.replace(".", "", 1).isdecimal()
    return float(text) if is_plain and len(text) < 20 else None
