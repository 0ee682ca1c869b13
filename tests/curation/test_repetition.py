"""Repetition against a plain count, and its laws."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.repetition import DUPLICATE_SIZES, TOP_SIZES, repeated_shares
from curation.words import split_words

FEW = st.lists(st.sampled_from(["a", "bb", "c", "dd", "東", "ee"]), max_size=60).map(" ".join)
PROSE = "one two three four five six seven eight nine ten eleven twelve "


def shares(*texts: str) -> list[dict[str, float]]:
    columns = repeated_shares(split_words(texts))
    return [{name: float(c[i]) for name, c in columns.items()} for i in range(len(texts))]


def plain(text: str) -> dict[str, float]:
    """The definitions, written down without arrays."""
    words = text.split()
    total = max(1, sum(map(len, words)))
    found: dict[str, float] = {}
    for n in TOP_SIZES:
        grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
        held = [sum(map(len, gram)) * count for gram, count in grams.items() if count > 2]
        found[f"top_{n}gram_share"] = min(1.0, max(held, default=0) / total)
    for n in DUPLICATE_SIZES:
        seen: set[tuple[str, ...]] = set()
        covered: set[int] = set()
        for i in range(len(words) - n + 1):
            gram = tuple(words[i : i + n])
            covered |= set(range(i, i + n)) if gram in seen else set()
            seen.add(gram)
        found[f"duplicate_{n}gram_share"] = sum(len(words[i]) for i in covered) / total
    return found


@given(st.lists(FEW, min_size=1, max_size=4))
@settings(deadline=None, max_examples=100)
def test_shares_are_those_of_a_plain_count(texts: list[str]) -> None:
    """Also in a batch, where other texts say the same."""
    for text, found in zip(texts, shares(*texts), strict=True):
        assert found == pytest.approx(plain(text))


@given(FEW, st.integers(2, 4))
@settings(deadline=None, max_examples=60)
def test_repeating_a_text_raises_its_repetition(text: str, times: int) -> None:
    """No share falls, and all lie in 0..1."""
    once, often = shares(text, " ".join([text] * times))
    assert all(0 <= share <= 1 for share in (*once.values(), *often.values()))
    assert all(often[name] >= once[name] - 1e-12 for name in once)


@pytest.mark.parametrize("times", [2, 3, 10])
def test_n_copies_are_duplicates_but_for_the_first(times: int) -> None:
    """Of n copies of a text without repeats n - 1 are repeats."""
    once, often = shares(PROSE, PROSE * times)
    assert set(once.values()) == {0.0}
    for n in DUPLICATE_SIZES:
        assert often[f"duplicate_{n}gram_share"] == pytest.approx((times - 1) / times)


def test_what_two_texts_share_is_no_repeat() -> None:
    """Equal texts in one batch do not see each other."""
    assert shares(PROSE, PROSE) == shares(PROSE) * 2
