"""Which translations are too many for their sentence."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.translation_caps import SENTENCE_KEY, sentence_keys, surplus, translation_hash

ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12), st.sampled_from([0.0, 1.0, 2.0])))


def keys(rows: list[tuple[int, int, float]]) -> np.ndarray:
    return np.array(rows, SENTENCE_KEY)


def test_the_best_are_kept() -> None:
    """By score, then by hash; other sentences are untouched."""
    rows = [(1, 10, 1.1), (1, 11, 1.3), (1, 12, 1.2), (2, 13, 1.0), (2, 14, 1.0)]
    assert surplus(keys(rows), 2).tolist() == [10]
    assert surplus(keys(rows), 1).tolist() == [10, 12, 14]
    assert surplus(keys(rows), 3).tolist() == []
    assert surplus(keys([]), 1).tolist() == []


@given(ROWS, st.integers(1, 4))
@settings(deadline=None, max_examples=200)
def test_against_plain_python(rows: list[tuple[int, int, float]], most: int) -> None:
    """Repeated rows count once, with their best score."""
    best: dict[tuple[int, int], float] = {}
    for sentence, pair, score in rows:
        best[sentence, pair] = max(score, best.get((sentence, pair), score))
    place: Counter[int] = Counter()
    dropped = set()
    for (sentence, pair), _ in sorted(best.items(), key=lambda i: (i[0][0], -i[1], i[0][1])):
        place[sentence] += 1
        if place[sentence] > most:
            dropped.add(pair)
    assert surplus(keys(rows), most).tolist() == sorted(dropped)


@given(ROWS, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100)
def test_order_does_not_matter(rows: list[tuple[int, int, float]], order: object) -> None:
    """However the rows come in."""
    expected = surplus(keys(rows), 2).tolist()
    order.shuffle(rows)  # type: ignore[attr-defined]
    assert surplus(keys(rows), 2).tolist() == expected


def test_a_translation_has_one_hash_in_both_directions() -> None:
    """Folded as duplicates are; another pair has another."""
    assert translation_hash("Yes", "Ja") == translation_hash("ja ", "yes")
    assert translation_hash("Yes", "Ja") != translation_hash("Yes", "Oui")


def test_a_sentence_is_asked_for_per_language() -> None:
    """128 references of one sentence in as many languages are not too many."""
    found = sentence_keys(["Yes"] * 3, ["Ja", "Oui", "Jo"], ["de", "fr", "de"], [1.5, None, 1.2])
    assert found["sentence"][0] == found["sentence"][2] != found["sentence"][1]
    assert found["score"].tolist() == pytest.approx([1.5, 0.0, 1.2])
