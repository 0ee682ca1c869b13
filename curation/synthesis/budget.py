"""What a run may cost: reserved before a request leaves, reconciled when its answer is in."""

from __future__ import annotations

from dataclasses import dataclass

_ROUNDING = 1e-9  # USD; sums of floats drift by less


@dataclass(slots=True)
class Usage:
    """What requests took: counts, tokens, and USD where the prices are known."""

    requests: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    usd: float = 0.0

    def add(self, given: int, cached: int, made: int, reasoning: int, usd: float) -> None:
        """Count a request with its input, cached, output and reasoning tokens."""
        self.requests += 1
        self.input_tokens += given
        self.cached_tokens += cached
        self.output_tokens += made
        self.reasoning_tokens += reasoning
        self.usd += usd

    @property
    def tokens(self) -> int:
        """Input and output; cached tokens are among the input, reasoning among the output."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a request may cost at most."""

    tokens: int
    usd: float


class Budget:
    """Caps on a run's USD, tokens and requests (0: none).

    `charged` is what counts against the caps: usage, and the whole reservation of a request
    whose answer was lost on the way, since the server may bill it.
    """

    def __init__(self, max_usd: float, max_tokens: int, max_requests: int) -> None:
        self._max_usd = max_usd
        self._max_tokens = max_tokens
        self._max_requests = max_requests
        self._usd = 0.0
        self._tokens = 0
        self._requests = 0
        self._open_usd = 0.0
        self._open_tokens = 0
        self.open_requests = 0
        """Requests reserved and not settled."""

    def reserve(self, wanted: Reservation) -> bool:
        """Set the cost of a request aside; False where a cap might be passed."""
        if self.passed_by(wanted):
            return False
        self._requests += 1
        self.open_requests += 1
        self._open_tokens += wanted.tokens
        self._open_usd += wanted.usd
        return True

    def settle(self, reserved: Reservation, tokens: int, usd: float) -> None:
        """Replace a reservation by what the request took."""
        self.open_requests -= 1
        self._open_tokens -= reserved.tokens
        self._open_usd -= reserved.usd
        self._tokens += tokens
        self._usd += usd

    def passed_by(self, wanted: Reservation) -> str:
        """Return which cap a request might pass and how much of it is spent; "" for none."""
        usd = self._usd + self._open_usd + wanted.usd
        tokens = self._tokens + self._open_tokens + wanted.tokens
        if self._max_requests and self._requests >= self._max_requests:
            return f"synthesis.max_requests = {self._max_requests:,}: {self._requests:,} sent"
        if self._max_tokens and tokens > self._max_tokens:
            return (
                f"synthesis.max_tokens = {self._max_tokens:,}: {self._tokens:,} taken, "
                f"the next request may take {wanted.tokens:,}"
            )
        if self._max_usd and usd > self._max_usd + _ROUNDING:
            return (
                f"synthesis.max_usd = {self._max_usd:g}: ${self._usd:.4f} spent, "
                f"the next request may cost ${wanted.usd:.6f}"
            )
        return ""
