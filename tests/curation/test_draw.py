"""Draws: stable, proportionate, and blind to order, split and other draws."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.draw import is_drawn, rank

IDS = [f"enwiki:{i}" for i in range(20_000)]


def test_rank_is_stable_across_versions() -> None:
    """A changed hash would silently move every split: the value is pinned."""
    assert rank("enwiki:12", "held-out", 0) == 5212583390991451260
    assert rank("Überlingen", "source", 7) == 12825526371756564613


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 1.0])
def test_share_is_met(share: float) -> None:
    """The number drawn is within five standard deviations of the share; 0 and 1 are exact."""
    drawn = sum(is_drawn(i, "source", share) for i in IDS)
    deviation = (share * (1 - share) * len(IDS)) ** 0.5
    assert abs(drawn - share * len(IDS)) <= 5 * deviation


@given(
    identity=st.text(max_size=12),
    low=st.floats(0, 1),
    high=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=100)
def test_larger_share_contains_the_smaller(
    identity: str, low: float, high: float, seed: int
) -> None:
    """Raising a share adds records and takes none away; any text is an id."""
    low, high = sorted((low, high))
    if is_drawn(identity, "source", low, seed):
        assert is_drawn(identity, "source", high, seed)
    assert is_drawn(identity, "source", 1.0, seed)
    assert not is_drawn(identity, "source", 0.0, seed)
    assert 0 <= rank(identity, "source", seed) < 2**64


def test_draw_does_not_depend_on_order() -> None:
    """The same ids are drawn out of any order and any split of the input."""
    shuffled = IDS[:]
    random.Random(1).shuffle(shuffled)
    halves = shuffled[:7000], shuffled[7000:]
    drawn = {i for half in halves for i in half if is_drawn(i, "source", 0.2)}
    assert drawn == {i for i in IDS if is_drawn(i, "source", 0.2)}


@pytest.mark.parametrize(
    ("purpose", "seed"), [("held-out", 0), ("source", 1)], ids=["purpose", "seed"]
)
def test_draws_are_independent(purpose: str, seed: int) -> None:
    """Being drawn for one purpose or seed says nothing about another."""
    first = [i for i in IDS if is_drawn(i, "source", 0.3)]
    both = sum(is_drawn(i, purpose, 0.3, seed) for i in first)
    assert abs(both - 0.3 * len(first)) <= 5 * (0.21 * len(first)) ** 0.5


def test_purpose_and_id_do_not_run_together() -> None:
    """("a", "bc") and ("ab", "c") are two draws."""
    assert rank("bc", "a") != rank("c", "ab")
