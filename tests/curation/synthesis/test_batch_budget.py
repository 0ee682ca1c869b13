"""A batch is counted before it is sent."""

from typing import Any

import pytest

from curation.errors import BudgetError
from curation.synthesis.batch_budget import BatchEstimate
from curation.synthesis.config import SynthesisConfig
from tests.curation.synthesis.asking import asks


def estimate(**options: Any) -> BatchEstimate:
    prices: dict[str, Any] = {"input_price": 3.0, "output_price": 12.0}
    config = SynthesisConfig(base_url="http://x/v1", model="m", **prices, **options)
    [endpoint] = config.all_endpoints()
    return BatchEstimate(config, endpoint)


def test_tokens_and_half_the_price_are_counted() -> None:
    """30 characters are 10 tokens, a frame takes 16, an answer up to 64."""
    found = estimate()
    assert len(list(found.counted(asks("x" * 30, "y" * 30)))) == 2
    assert (found.requests, found.tokens) == (2, 2 * (10 + 16 + 64))
    assert found.usd == pytest.approx(2 * 0.5 * (26 * 3.0 + 64 * 12.0) / 1e6)


@pytest.mark.parametrize(
    ("cap", "fitting", "passed"),
    [("max_requests", 2, 1), ("max_tokens", 180, 179), ("max_usd", 0.00085, 0.00084)],
)
def test_a_cap_is_not_passed(cap: str, fitting: float, passed: float) -> None:
    requests = asks("x" * 30, "y" * 30)
    assert len(list(estimate(**{cap: fitting}).counted(requests))) == 2
    with pytest.raises(BudgetError, match=rf"synthesis\.{cap} = .* nothing was submitted"):
        list(estimate(**{cap: passed}).counted(requests))
