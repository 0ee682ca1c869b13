"""Caps: what is reserved counts at once, what was taken counts in the end."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import ConfigError
from curation.synthesis.budget import Budget, Reservation
from curation.synthesis.config import SynthesisConfig
from curation.synthesis.endpoints import EndpointConfig


def test_no_cap_stops_nothing() -> None:
    budget = Budget(0.0, 0, 0)
    assert all(budget.reserve(Reservation(10**9, 1e6)) for _ in range(100))


@given(
    cap=st.integers(1, 1000),
    events=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50), st.booleans()), max_size=60),
)
def test_reserved_costs_never_pass_a_cap(cap: int, events: list[tuple[int, int, bool]]) -> None:
    """With estimates that hold, what was taken and what is open stay within tokens and USD."""
    budget = Budget(cap / 100, cap, 0)
    open_: list[Reservation] = []
    taken = 0
    for wanted, used, settles in events:
        if budget.reserve(Reservation(wanted, wanted / 100)):
            open_.append(Reservation(wanted, wanted / 100))
        assert taken + sum(r.tokens for r in open_) <= cap
        assert budget.open_requests == len(open_)
        if settles and open_:
            reserved = open_.pop(0)
            real = min(used, reserved.tokens)
            budget.settle(reserved, real, real / 100)
            taken += real


@pytest.mark.parametrize(
    ("caps", "message"),
    [
        ((0.01, 0, 0), "synthesis.max_usd = 0.01: $0.0080 spent, the next request may cost $0.004"),
        ((0.0, 100, 0), "synthesis.max_tokens = 100: 80 taken, the next request may take 40"),
        ((0.0, 0, 1), "synthesis.max_requests = 1: 1 sent"),
    ],
    ids=["usd", "tokens", "requests"],
)
def test_the_reason_names_cap_and_spending(caps: tuple[float, int, int], message: str) -> None:
    budget = Budget(*caps)
    assert budget.reserve(Reservation(40, 0.004))
    budget.settle(Reservation(40, 0.004), 80, 0.008)
    assert not budget.reserve(Reservation(40, 0.004))
    assert budget.passed_by(Reservation(40, 0.004)).startswith(message)


@pytest.mark.parametrize(
    ("prices", "tokens", "usd"),
    [
        ((1.0, None, 2.0), (1_000_000, 0, 500_000), 2.0),
        ((1.0, None, 2.0), (1_000_000, 400_000, 0), 1.0),
        ((1.0, 0.5, 2.0), (1_000_000, 400_000, 0), 0.8),
        ((0.15, 0.0, 0.6), (2_000_000, 2_000_000, 1), 0.6e-6),
        ((None, None, None), (1_000_000, 0, 1_000_000), 0.0),
    ],
    ids=["plain", "cached-same", "cached-half", "cached-free", "unpriced"],
)
def test_cost(
    prices: tuple[float | None, float | None, float | None],
    tokens: tuple[int, int, int],
    usd: float,
) -> None:
    given_, cached, made = prices
    endpoint = EndpointConfig(
        base_url="http://x", input_price=given_, cached_input_price=cached, output_price=made
    )
    assert endpoint.cost(*tokens) == pytest.approx(usd, abs=1e-12)


ENDPOINT = {"base_url": "https://api.example:8443/v1"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"max_usd": 5.0, **ENDPOINT},
            (
                "synthesis.max_usd = 5 needs input_price and output_price of api.example:8443: "
                "USD per million tokens, 0.0 where it is free"
            ),
        ),
        (
            {"max_usd": 5.0, "input_price": 1.0, **ENDPOINT},
            "synthesis.max_usd = 5 needs input_price and output_price of api.example:8443",
        ),
        (
            {"endpoints": (EndpointConfig(base_url="http://x"),), **ENDPOINT},
            "synthesis.base_url and [[synthesis.endpoints]] exclude each other",
        ),
        ({"rpm": -1}, "synthesis.rpm = -1 is outside 0 .. "),
        ({"max_tokens": -1}, "synthesis.max_tokens = -1 is outside"),
        ({"input_price": -0.1}, "synthesis.input_price = -0.1 is outside"),
        ({"base_url": "llm.example/v1"}, "synthesis.base_url = 'llm.example/v1' is no URL"),
        ({"base_url": "http://x:y/v1"}, "synthesis.base_url = 'http://x:y/v1' is no URL"),
        ({"base_url": "http://x/v1\r\nX: y"}, "synthesis.base_url = 'http://x/v1\\r\\nX: y' is no"),
        ({"base_url": "https://me:secret@x/v1"}, "synthesis.base_url holds a user or password; "),
    ],
    ids=["usd", "usd-output", "both", "rpm", "tokens", "price", "url", "port", "header", "secret"],
)
def test_mistakes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}") as caught:
        SynthesisConfig(**options)
    assert "secret@" not in str(caught.value)


def test_a_free_endpoint_may_stand_beside_a_paid_one() -> None:
    paid = EndpointConfig(base_url="https://a/v1", input_price=1.0, output_price=2.0)
    free = EndpointConfig(base_url="http://b/v1", input_price=0.0, output_price=0.0)
    config = SynthesisConfig(endpoints=(paid, free), max_usd=1.0)
    assert config.all_endpoints() == (paid, free)


def test_the_simple_form_is_one_endpoint() -> None:
    config = SynthesisConfig(base_url="http://x/v1", rpm=7, tpm=8, concurrency=9, input_price=0.5)
    (endpoint,) = config.all_endpoints()
    assert (endpoint.base_url, endpoint.rpm, endpoint.tpm) == ("http://x/v1", 7, 8)
    assert (endpoint.concurrency, endpoint.input_price, endpoint.model) == (9, 0.5, "")
    assert SynthesisConfig(local_server="gemma-3-270m").all_endpoints() == ()
