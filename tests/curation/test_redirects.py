"""Redirects: which article they meet, and which of them are worth a pair."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.records import Document, Reject
from curation.redirects import Redirect, alternative_titles, matches, title_key


def redirect(title: str, number: int = 0) -> Redirect:
    return Redirect(f"w:{number}", "w", "en", title, 7)


def decided(title: str, others: list[str], most: int = 9) -> dict[str, str]:
    """Each redirect with the reason why it is left out, "" for a kept one."""
    document = Document("w:1", "w", title, "text")
    found = alternative_titles(document, [redirect(t, i) for i, t in enumerate(others)], most)
    return {
        item.excerpt if isinstance(item, Reject) else item: getattr(item, "reason", "")
        for item in found
    }


SAME = ["New York", " new_York", "New  York", "_New York_", ":New York", "New\u200b York"]


@pytest.mark.parametrize("spelling", SAME)
def test_titles_that_are_one_page_have_one_key(spelling: str) -> None:
    """Underscores, spaces and the case of the first letter do not tell titles apart."""
    spelling = spelling.strip()
    assert title_key("w", "en", spelling) == title_key("w", "en", "New York")


def test_other_pages_have_other_keys() -> None:
    """Case inside, source and language do tell them apart."""
    keys = [
        title_key(*name)
        for name in (("w", "en", "Aa"), ("w", "en", "AA"), ("w", "de", "Aa"), ("v", "en", "Aa"))
    ]
    assert len(set(keys)) == 4
    assert title_key("w", None, "A") == title_key("w", "", "a")


LEFT_OUT = {
    "big APPLE": "",
    "Gotham": "",
    "NEW YORK": "redirect_is_variant",
    "Néw-York!": "redirect_is_variant",
    "ISO 3166-2:36": "redirect_is_code",
    "Q60": "redirect_is_code",
    "10001": "redirect_is_code",
    "https://nyc.gov": "redirect_is_code",
    "🗽": "redirect_is_code",
}


def test_variants_and_codes_are_left_out() -> None:
    """What differs in case, accents or punctuation alone teaches nothing; a code is no query."""
    assert decided("New York", list(LEFT_OUT)) == LEFT_OUT


@pytest.mark.parametrize(
    "title", ["ニューヨーク", "紐約", "Нью-Йорк", "نيويورك", "World War II", "C++", "R2-D2 (robot)"]
)
def test_names_in_any_script_are_kept(title: str) -> None:
    """Letters count, not Latin ones."""
    assert decided("New York", [title]) == {title: ""}


def test_of_two_variants_one_is_kept() -> None:
    """Redirects that differ in case only are one alternative."""
    reasons = decided("New York", ["Big Apple", "big apple", "BIG APPLE"])
    assert Counter(reasons.values()) == {"redirect_is_variant": 2, "": 1}


@given(st.permutations(["Alpha", "Beta", "Gamma", "Delta", "Epsilon"]), st.integers(0, 5))
def test_the_choice_does_not_depend_on_the_order(titles: list[str], most: int) -> None:
    """At most so many are kept, the same ones in the same order; the others are counted."""
    found = decided("X", titles, most)
    assert list(found.items()) == list(decided("X", sorted(titles), most).items())
    assert (
        Counter(found.values()) == Counter({"": most, "redirect_over_limit": 5 - most}) + Counter()
    )


KEYS = st.lists(st.integers(0, 6), max_size=12)


@given(KEYS, KEYS)
def test_the_join_is_every_equal_pair(targets: list[int], titles: list[int]) -> None:
    """As the nested loop finds them."""
    titles.sort()
    rows, columns = matches(np.array(targets, np.uint64), np.array(titles, np.uint64))
    expected = [
        (i, j)
        for i, j in itertools.product(range(len(targets)), range(len(titles)))
        if targets[i] == titles[j]
    ]
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == expected
