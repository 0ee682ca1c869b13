"""Texts in parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mining.text_parts import ListedTexts, texts_digest


@given(st.lists(st.text(max_size=3), max_size=20), st.integers(1, 30))
def test_the_parts_are_the_texts(texts: list[str], size: int) -> None:
    """Every part but the last is full, and none is empty."""
    parts = ListedTexts(texts, size)
    found = [parts.part(number) for number in range(len(parts))]
    assert [text for part in found for text in part] == texts
    assert [len(part) for part in found] == parts.rows()
    assert all(rows == size for rows in parts.rows()[:-1])
    assert 0 not in parts.rows()


@given(st.lists(st.text(max_size=5), max_size=6), st.lists(st.text(max_size=5), max_size=6))
def test_equal_digests_mean_equal_lists(one: list[str], other: list[str]) -> None:
    """Also where joined texts are equal: ["ab", "c"] and ["a", "bc"]."""
    assert (texts_digest(one) == texts_digest(other)) == (one == other)
    joined = ["".join(one)]
    assert (texts_digest(one) == texts_digest(joined)) == (one == joined)
