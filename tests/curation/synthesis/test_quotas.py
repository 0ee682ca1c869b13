"""How many documents of each language and source are drawn: as many as can be, and no more."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError
from curation.synthesis import quotas

LANGUAGES = ("de", "en", "fr", "sw", "zh-Hant")
SOURCES = ("web", "wiki/pedia")
COUNTS = st.dictionaries(
    st.tuples(st.sampled_from(LANGUAGES), st.sampled_from(SOURCES)), st.integers(1, 300), min_size=1
)
QUOTAS = st.dictionaries(
    st.sampled_from(("de", "en", "sw/web", "fr/wiki/pedia", "*/web", "*/wiki/pedia")),
    st.integers(0, 200),
)


def test_shares_are_those_of_the_paper() -> None:
    """All 13 languages share out 41,434 documents as the table has them."""
    found = {(language, "web"): 20_000 for language in quotas.PAPER}
    whole = sum(quotas.PAPER.values())
    assert whole == 41_434
    assert quotas.allocate(found, whole, 0, {}) == quotas.PAPER
    thousand = quotas.allocate(found, 1000, 0, {})
    assert sum(thousand.values()) == 1000
    assert thousand["en"] == thousand["zh"] == 241
    assert thousand["fr"] == 39


def test_a_language_outside_the_table_weighs_its_median() -> None:
    """Thai is the median; written variants weigh what their language does."""
    found = {(language, "web"): 9_999 for language in ("th", "sw", "zh-Hant", "en")}
    given = quotas.allocate(found, 1000, 0, {})
    assert given["sw"] == given["th"]
    assert given["zh-Hant"] == given["en"]


@settings(deadline=None, max_examples=200)
@given(found=COUNTS, documents=st.integers(1, 900), each=st.integers(0, 90), limits=QUOTAS)
def test_quotas_are_filled_and_never_passed(
    found: dict[tuple[str, str], int], documents: int, each: int, limits: dict[str, int]
) -> None:
    """A language gets its quota, else its share of what is left, as far as it has documents."""
    given_ = quotas.allocate(found, documents, each, limits)
    room: Counter[str] = Counter()
    for (language, source), number in found.items():
        most = limits.get(f"{language}/{source}", limits.get(f"*/{source}", number))
        room[language] += min(number, most)
    named = {language: limits[language] for language in room if language in limits}
    for language, number in given_.items():
        assert number <= room[language]
        if language in named:
            assert number == min(room[language], named[language])
        elif each:
            assert number == min(room[language], each)
    if not each:
        others = sum(n for language, n in given_.items() if language not in named)
        left = max(0, documents - sum(given_[language] for language in named))
        assert others == min(left, sum(n for language, n in room.items() if language not in named))


@settings(deadline=None)
@given(total=st.integers(0, 10**6), weights=st.lists(st.integers(1, 10**4), min_size=1, max_size=9))
def test_shares_sum_to_the_total(total: int, weights: list[int]) -> None:
    """Each share is its exact value rounded up or down."""
    named = {str(i): weight for i, weight in enumerate(weights)}
    shares = quotas.apportion(total, named)
    assert sum(shares.values()) == total
    for name, share in shares.items():
        assert abs(share - total * named[name] / sum(weights)) < 1


@settings(deadline=None)
@given(
    sources=st.lists(st.sampled_from(SOURCES), max_size=60),
    count=st.integers(0, 40),
    limits=QUOTAS,
    order=st.randoms(use_true_random=False),
)
def test_the_first_are_drawn_within_the_quotas_of_sources(
    sources: list[str], count: int, limits: dict[str, int], order: random.Random
) -> None:
    """In any order of the candidates: no source above its quota, none left out that has room."""
    listed = [(i * 7919 % 61, source, i) for i, source in enumerate(sources)]
    chosen = quotas.draw(listed, count, "fr", limits)
    taken = Counter(sources[i] for i in chosen)
    rooms = {
        source: min(
            sources.count(source), limits.get(f"fr/{source}", limits.get(f"*/{source}", 99))
        )
        for source in SOURCES
    }
    assert all(taken[source] <= room for source, room in rooms.items())
    assert len(chosen) == min(count, sum(rooms.values()))
    order.shuffle(listed)
    assert quotas.draw(listed, count, "fr", limits) == chosen
    places = [i * 7919 % 61 for i in chosen]
    assert places == sorted(places)


def test_a_quota_on_nothing_is_named() -> None:
    """The message names the key and what there is."""
    found = {("de", "web"): 5, ("en", "wiki"): 2}
    quotas.check_known({"de": 1, "en/wiki": 1, "*/web": 1}, found)
    with pytest.raises(ConfigError, match="names '\\*/news', 'de/wiki', 'fr', of which no"):
        quotas.check_known({"fr": 1, "de": 2, "de/wiki": 3, "*/news": 1}, found)
    with pytest.raises(ConfigError, match=r"there are de/web, en/wiki$"):
        quotas.check_known({"fr": 1}, found)
