"""Parts of the limits: together the whole, and none of them unlimited by accident."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import BudgetError, ConfigError
from curation.synthesis.budget import Usage
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.endpoints import EndpointConfig
from curation.synthesis.shares import left_of, share_of

PRICES: dict[str, Any] = {"input_price": 1.0, "output_price": 2.0}
WHOLE = ("concurrency", "rpm", "tpm", "max_requests", "max_tokens")


@given(amount=st.integers(1, 500), shards=st.integers(1, 50))
def test_parts_sum_up(amount: int, shards: int) -> None:
    """No part is 0, which would mean no limit: such a limit is refused."""
    limits = dict.fromkeys(WHOLE, amount)
    config = SynthesisConfig(
        base_url="http://x/v1", ask_on_workers=shards, max_usd=9.0, **PRICES, **limits
    )
    if amount < shards:
        with pytest.raises(ConfigError, match=r"cannot be shared by synthesis\.ask_on_workers"):
            share_of(config, 0)
        return
    parts = [share_of(config, shard) for shard in range(shards)]
    for name in WHOLE:
        values = [getattr(part, name) for part in parts]
        assert (sum(values), max(values) - min(values) <= 1, min(values) > 0) == (
            amount,
            True,
            True,
        )
    assert sum(part.max_usd for part in parts) == pytest.approx(9.0)


def test_no_limit_stays_none_and_endpoints_are_shared_too() -> None:
    endpoints = (
        EndpointConfig(base_url="http://x/v1", concurrency=7, rpm=9),
        EndpointConfig(base_url="http://y/v1"),
    )
    config = SynthesisConfig(endpoints=endpoints, ask_on_workers=2)
    part = share_of(config, 0)
    assert [(e.concurrency, e.rpm, e.tpm) for e in part.endpoints] == [(4, 5, 0), (4, 0, 0)]
    assert (part.rpm, part.tpm, part.max_usd, part.max_requests) == (0, 0, 0.0, 0)
    narrow = (EndpointConfig(base_url="http://x/v1", concurrency=1),)
    with pytest.raises(ConfigError, match=r"concurrency = 1 cannot be shared"):
        share_of(SynthesisConfig(endpoints=narrow, ask_on_workers=2), 0)


def test_what_an_attempt_used_is_gone() -> None:
    config = SynthesisConfig(base_url="http://x/v1", max_requests=5, max_usd=1.0, **PRICES)
    used = Usage(requests=2, input_tokens=10, output_tokens=5, usd=0.25)
    left = left_of(config, used)
    assert (left.max_requests, left.max_tokens, left.max_usd) == (3, 0, 0.75)
    with pytest.raises(BudgetError, match=r"share of synthesis\.max_requests is spent \(5\)"):
        left_of(config, Usage(requests=5))
