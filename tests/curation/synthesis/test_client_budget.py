"""Caps on money, tokens and requests, counted by the server."""

from pathlib import Path
from typing import Any

import pytest

from curation.errors import BudgetError
from tests.curation.synthesis.asking import ask, asks, known, prompt_of, raw, simulate
from tests.curation.synthesis.simulated import SimulatedPool
from tests.llm_server import Reply, ScriptedServer, usage_of

PRICES = {"input_price": 2.0, "cached_input_price": 1.0, "output_price": 10.0}
GIVEN, MADE = 40, 60
EACH_USD = (GIVEN * 2.0 + MADE * 10.0) / 1e6
CAPS = {
    "max_requests": (100, 1.0),
    "max_tokens": (100 * (GIVEN + MADE), GIVEN + MADE),
    "max_usd": (100 * EACH_USD, EACH_USD),
}
NAMES = [f"n{i:<90}" for i in range(400)]  # estimated at 46 tokens


@pytest.mark.parametrize("concurrency", [1, 8, 64])
@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize("factor", [1, 4], ids=["honest", "dearer"])
def test_a_cap_is_passed_by_less_than_a_window(
    tmp_path: Path, cap: str, concurrency: int, factor: int
) -> None:
    """Where requests take what was estimated none is passed; four times as dear, not by more
    than what was in flight. Nothing is given away either."""
    usage = (GIVEN * factor, MADE * factor)
    pool = SimulatedPool(lambda body: Reply(f"about {prompt_of(body)}", usage=usage))
    limit, each = CAPS[cap]
    options = PRICES | {cap: limit, "concurrency": concurrency, "max_output_tokens": 64}
    with pytest.raises(BudgetError, match=rf"^stopped at synthesis\.{cap} = ") as caught:
        simulate(pool, tmp_path, asks(*NAMES, max_output_tokens=64), **options)
    each = each if cap == "max_requests" else each * factor
    spent = len(pool.sent) * each
    allowed = 0 if cap == "max_requests" or factor == 1 else concurrency * each
    assert spent <= limit * (1 + 1e-9) + allowed
    assert spent >= 0.8 * limit
    assert len(known(tmp_path)) == len(pool.sent)
    assert f"{len(pool.sent):,} answers of this run are kept" in str(caught.value)


def test_a_second_run_goes_on_where_the_first_stopped(tmp_path: Path) -> None:
    """Caps are per run; what was paid for is not asked again."""
    pool = SimulatedPool(lambda body: Reply("x"))
    for total in (150, 300):
        with pytest.raises(BudgetError):
            simulate(pool, tmp_path, asks(*NAMES), max_requests=150)
        assert len(known(tmp_path)) == len(pool.sent) == total
    simulate(pool, tmp_path, asks(*NAMES), max_requests=150)
    assert len(known(tmp_path)) == len(pool.sent) == 400


def test_a_cap_that_is_just_enough_stops_nothing(tmp_path: Path) -> None:
    pool = SimulatedPool(lambda body: Reply("x"))
    simulate(pool, tmp_path, asks(*NAMES), max_requests=400)
    assert len(known(tmp_path)) == 400


def test_what_the_server_bills_for_a_broken_answer_counts(tmp_path: Path) -> None:
    """Null choices with usage are paid for; the run's usage and the cap both know."""
    broken = raw({"choices": None, "usage": usage_of((GIVEN, MADE))})
    pool = SimulatedPool(lambda _: broken)
    cap = 20 * (GIVEN + MADE)
    with pytest.raises(BudgetError):
        simulate(pool, tmp_path, asks(*NAMES), max_tokens=cap, max_attempts=50, concurrency=2)
    assert 15 <= len(pool.sent) <= 20
    assert known(tmp_path) == {}


def test_what_may_be_billed_counts_against_the_cap(tmp_path: Path) -> None:
    """Answers that got lost on the way, and answers without usage, count as reserved."""
    for reply in (Reply(drop=True), Reply("x", usage=None)):
        pool = SimulatedPool(lambda _, reply=reply: reply)
        with pytest.raises(BudgetError, match=r"synthesis\.max_tokens = 1,000: "):
            simulate(
                pool, tmp_path / str(reply.drop), asks(*NAMES, max_output_tokens=64),
                max_tokens=1000, max_attempts=90, concurrency=4,
            )  # fmt: skip
        assert 8 <= len(pool.sent) <= 9  # 64 + 16 for the frame + 30 each


def test_cached_tokens_are_cheaper(server: ScriptedServer, tmp_path: Path) -> None:
    usage: dict[str, Any] = usage_of((100, 10)) | {"prompt_tokens_details": {"cached_tokens": 60}}
    choice = {"finish_reason": "stop", "message": {"content": "x"}}
    server.script = lambda _: raw({"model": "m", "choices": [choice], "usage": usage})
    client = ask(server.url, tmp_path, asks("a"), **PRICES)
    assert client.usage.usd == pytest.approx((40 * 2 + 60 * 1 + 10 * 10) / 1e6)
    assert known(tmp_path)["a"].cached_tokens == client.usage.cached_tokens == 60
