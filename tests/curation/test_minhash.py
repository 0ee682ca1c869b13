"""Signatures, bands and similarities against plain Python and against the theory."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import minhash
from curation.errors import ConfigError
from curation.minhash import NearDuplicateConfig, as_sets, band_hashes, jaccard, signatures
from curation.shingles import Shingles

CONFIG = NearDuplicateConfig()
sets = st.lists(st.lists(st.integers(0, 12), max_size=12), min_size=1, max_size=8)


def shingles_of(lists: list[list[int]]) -> Shingles:
    """Return lists of small numbers as n-grams that differ in their upper halves."""
    offsets = np.concatenate([[0], np.cumsum([len(x) for x in lists])]).astype(np.int64)
    values = np.array([v for x in lists for v in x], np.uint64)
    return Shingles(values << np.uint64(32), offsets)


@given(lists=sets)
@settings(deadline=None, max_examples=60)
def test_minima_are_those_of_the_permutations(lists: list[list[int]]) -> None:
    """Each minimum equals the one that Python's integers give; chunks make no difference."""
    factors, terms = minhash._permutations(6, 3)
    found = signatures(shingles_of(lists), 6, 3)
    for row, values in zip(found.tolist(), lists, strict=True):
        for minimum, a, b in zip(row, factors.tolist(), terms.tolist(), strict=True):
            assert a % 2 == 1
            assert minimum == min(((a * v + b) % 2**32 for v in values), default=2**32 - 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minhash, "_CHUNK", 3)
        assert signatures(shingles_of(lists), 6, 3).tolist() == found.tolist()


def test_equal_minima_estimate_the_similarity() -> None:
    """Over 300 pairs the estimate has no bias, and the error that 112 minima must have."""
    random.seed(0)
    total, shared = 300, 200
    similarity = shared / (2 * total - shared)
    lists = [[random.getrandbits(32) for _ in range(2 * total - shared)] for _ in range(300)]
    left = signatures(shingles_of([x[:total] for x in lists]), 112, 0)
    right = signatures(shingles_of([x[-total:] for x in lists]), 112, 0)
    estimates = (left == right).mean(axis=1)
    error = (similarity * (1 - similarity) / 112) ** 0.5
    assert abs(estimates.mean() - similarity) < 4 * error / 300**0.5
    assert 0.85 * error < estimates.std() < 1.15 * error


def test_a_band_is_shared_where_all_its_minima_are() -> None:
    """Equal bands have equal hashes, others not, and equal minima in another band differ too."""
    minima = np.zeros((3, 6), np.uint32)
    minima[1, 4] = 1
    minima[2] = 7
    folded = minhash.fold_bands(minima, 3)
    assert (folded[0] == folded[1]).tolist() == [True, True, False]
    assert len(np.unique(folded)) == 3 + 1 + 3


def test_texts_without_ngrams_have_no_bands() -> None:
    """A text of fewer words than an n-gram is left to exact deduplication."""
    hashes, has_any = band_hashes(CONFIG.shingle(["one two three", "a b c d e", ""]), CONFIG)
    assert has_any.tolist() == [False, True, False]
    assert hashes.shape == (1, CONFIG.bands)


def test_the_seed_decides_the_bands() -> None:
    """The same seed gives the same hashes for good; another seed others."""
    ngrams = CONFIG.shingle(["some words that make one text"])
    first, _ = band_hashes(ngrams, CONFIG)
    again, _ = band_hashes(ngrams, NearDuplicateConfig())
    other, _ = band_hashes(ngrams, NearDuplicateConfig(seed=1))
    assert first.tolist() == again.tolist()
    assert not set(first.ravel().tolist()) & set(other.ravel().tolist())
    assert hex(int(first[0, 0])) == "0x598a8f8e4ae0205f"


@given(lists=sets, pairs=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=10))
@settings(deadline=None, max_examples=80)
def test_jaccard_equals_that_of_sets(lists: list[list[int]], pairs: list[tuple[int, int]]) -> None:
    """Repeated n-grams count once; two empty sets have nothing in common."""
    pairs = [(a % len(lists), b % len(lists)) for a, b in pairs]
    found = jaccard(
        as_sets(shingles_of(lists)),
        np.array([a for a, _ in pairs], np.int64),
        np.array([b for _, b in pairs], np.int64),
    )
    wanted = [
        len(set(lists[a]) & set(lists[b])) / max(1, len(set(lists[a]) | set(lists[b])))
        for a, b in pairs
    ]
    assert found.tolist() == wanted


def test_jaccard_of_many_pairs_in_passes() -> None:
    """More n-grams than one pass holds: the result is the same as pair by pair."""
    random.seed(1)
    lists = [random.sample(range(2000), 900) for _ in range(40)]
    texts = as_sets(shingles_of(lists))
    left = np.array([i % 40 for i in range(3000)])
    right = np.array([(i * 7 + 3) % 40 for i in range(3000)])
    found = jaccard(texts, left, right)
    for index in range(0, 3000, 97):
        one, other = set(lists[left[index]]), set(lists[right[index]])
        assert found[index] == len(one & other) / len(one | other)


@pytest.mark.parametrize(
    ("name", "value"),
    [("threshold", 1.1), ("ngram", 0), ("character_ngram", 0), ("bands", 0), ("rows", 65)],
)
def test_ranges_are_checked(name: str, value: float) -> None:
    """A value out of range names its key."""
    with pytest.raises(ConfigError, match=f"curation.near_duplicates.{name}"):
        NearDuplicateConfig(**{name: value})
