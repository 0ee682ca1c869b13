"""Generic titles and caps on hosts: decided on thin keys, in any order."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import caps
from curation.caps import HOST_KEY, TITLE_KEY, generic_titles, host_of, over_cap, title_hash

ROWS = st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=40)


@given(ROWS, st.integers(1, 4), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100)
def test_titles_of_many_texts_are_generic(
    rows: list[tuple[int, int, int]], limit: int, order: object
) -> None:
    """Counted are different texts and different documents, whichever are fewer."""
    found = generic_titles(np.array(rows, TITLE_KEY), limit).tolist()
    texts, ids = defaultdict(set), defaultdict(set)
    for title, text, identity in rows:
        texts[title].add(text)
        ids[title].add(identity)
    assert found == sorted(t for t in texts if min(len(texts[t]), len(ids[t])) > limit)
    order.shuffle(rows)  # type: ignore[attr-defined]
    assert generic_titles(np.array(rows, TITLE_KEY), limit).tolist() == found


@given(ROWS, st.integers(1, 3), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100)
def test_a_cap_keeps_so_many_pairs_of_a_host(
    rows: list[tuple[int, int, int]], cap: int, order: object
) -> None:
    """Those of the smallest hashes; the documents that share a dropped pair all lose it."""
    found = over_cap(np.array(rows, HOST_KEY), cap).tolist()
    pairs = defaultdict(set)
    for host, pair, _ in rows:
        pairs[host].add(pair)
    dropped = {(host, pair) for host in pairs for pair in sorted(pairs[host])[cap:]}
    assert found == sorted({row for row in rows if row[:2] in dropped})
    order.shuffle(rows)  # type: ignore[attr-defined]
    assert over_cap(np.array(rows, HOST_KEY), cap).tolist() == found


def test_membership_is_by_pair_and_document() -> None:
    """A pair of another document is not dropped."""
    rows = np.array([(1, 10, 100), (1, 11, 101)], HOST_KEY)
    pairs, documents = np.array([10, 10, 11], np.uint64), np.array([100, 101, 101], np.uint64)
    assert caps.contains(rows, pairs, documents).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://www.News.example:8080/a?b", "news.example"),
        ("http://a.b.example", "a.b.example"),
        ("news.example/a", ""),
        ("", ""),
        ("http://[broken", ""),
    ],
)
def test_hosts(url: str, host: str) -> None:
    """Lower case, without `www.` and port; what is no address has none."""
    assert host_of(url) == host


def test_a_title_is_one_whatever_its_case() -> None:
    """In one source."""
    assert title_hash("web", "Home ") == title_hash("web", "HOME")
    assert title_hash("web", "Home") != title_hash("news", "Home")
