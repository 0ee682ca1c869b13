"""The inverted index against dense matrices, in memory and on disk."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import InputError
from mining.csr import concatenate, cut, in_order
from mining.sparse_index import Csr, SparseIndex
from train import scoring
from train.scoring import Embeddings

VOCABULARY = 23


def random_csr(texts: int, seed: int, *, whole: bool = False) -> tuple[Csr, np.ndarray]:
    """Return vectors, some of them empty, and the same as a dense matrix."""
    draw = np.random.default_rng(seed)
    dense = draw.integers(1, 4, (texts, VOCABULARY)).astype(np.float32)
    if not whole:
        dense *= draw.random((texts, VOCABULARY), dtype=np.float32)
    dense *= draw.random((texts, VOCABULARY)) < draw.random((texts, 1))
    rows, tokens = np.nonzero(dense)
    return Csr.from_entries(rows, tokens, dense[rows, tokens], texts, "largest"), dense


def expected(scores: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the best of dense scores by a stable sort, what scores 0 as missing."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    best = np.take_along_axis(scores, order, 1)
    missing = np.full((len(scores), depth - order.shape[1]), -1)
    numbers = np.hstack([np.where(best > 0, order, -1), missing])
    values = np.hstack([np.where(best > 0, best, -np.inf), np.where(missing < 0, -np.inf, 0)])
    return values, numbers


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 90), st.integers(1, 100), st.sampled_from([1, 7, 64]))
def test_search_equals_a_dense_product(seed: int, texts: int, depth: int, block: int) -> None:
    """Whole weights give exact scores and many ties; blocks of any size find the same."""
    passages, dense = random_csr(texts, seed, whole=True)
    queries, wanted = random_csr(5, seed + 1, whole=True)
    scores, numbers = SparseIndex.build(passages, VOCABULARY, block).search(queries, depth)
    values, order = expected(wanted @ dense.T, depth)
    assert scores.dtype == np.float32
    assert numbers.dtype == np.int64
    assert np.array_equal(numbers, order)
    assert np.array_equal(scores, values)


def test_many_texts_take_the_bound_and_the_blocks() -> None:
    """More than two scores for each group that bounds the best: the quick way, over two blocks."""
    passages, dense = random_csr(9000, 3, whole=True)
    queries, wanted = random_csr(4, 4, whole=True)
    for block in (1 << 16, 5000):
        scores, numbers = SparseIndex.build(passages, VOCABULARY, block).search(queries, 300)
        values, order = expected(wanted @ dense.T, 300)
        assert np.array_equal(numbers, order)
        assert np.array_equal(scores, values)


def test_only_allowed_texts_are_found() -> None:
    """The best of the allowed ones, as if there were no others."""
    passages, dense = random_csr(200, 5, whole=True)
    queries, wanted = random_csr(6, 6, whole=True)
    allowed = np.random.default_rng(7).random(200) < 0.3
    found = SparseIndex.build(passages, VOCABULARY, 64).search(queries, 40, allowed)
    values, order = expected(np.where(allowed, wanted @ dense.T, 0), 40)
    assert np.array_equal(found[1], order)
    assert np.array_equal(found[0], values)


@pytest.mark.parametrize("how", ["save", "write", "write in parts"])
def test_a_folder_gives_the_same_index(tmp_path: Path, how: str) -> None:
    """Mapped arrays find what arrays in memory find, and say how many texts there are."""
    passages, _ = random_csr(150, 8)
    queries, _ = random_csr(5, 9)
    index = SparseIndex.build(passages, VOCABULARY, 64)
    folder = str(tmp_path / "index")
    if how == "save":
        index.save(folder)
    else:
        parts = [passages] if how == "write" else [passages.rows(0, 31), passages.rows(31, 150)]
        SparseIndex.write(folder, iter(parts), VOCABULARY, 64)
    opened = SparseIndex.open(folder)
    assert len(opened) == len(index) == 150
    for one, other in zip(opened.search(queries, 9), index.search(queries, 9), strict=True):
        assert np.array_equal(one, other)


def test_a_folder_that_is_none_or_of_another_format_is_refused(tmp_path: Path) -> None:
    """The message names the folder and what to do."""
    with pytest.raises(InputError, match=r"holds no sparse\.json"):
        SparseIndex.open(str(tmp_path))
    (tmp_path / "sparse.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(InputError, match="has format 99, this program reads 1: build it anew"):
        SparseIndex.open(str(tmp_path))


def test_nothing_to_find() -> None:
    """No texts, no shared token, a token beyond the vocabulary: rows of -1."""
    queries = Csr.from_entries(
        np.array([0, 0]), np.array([2, VOCABULARY + 5]), np.ones(2, np.float32), 2, "largest"
    )
    empty = SparseIndex.build(concatenate([]), VOCABULARY)
    scores, numbers = empty.search(queries, 3)
    assert np.array_equal(numbers, np.full((2, 3), -1))
    assert np.array_equal(scores, np.full((2, 3), -np.inf, np.float32))
    one = Csr.from_entries(np.zeros(1, np.int64), np.array([2]), np.ones(1, np.float32), 1, "sum")
    assert SparseIndex.build(one, VOCABULARY).search(queries, 2)[1].tolist() == [[0, -1], [-1, -1]]


def embeddings(seed: int, texts: int = 6, length: int = 12) -> Embeddings:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, VOCABULARY, (texts, length), generator=draw)
    real = torch.arange(length) < torch.randint(1, length + 1, (texts, 1), generator=draw)
    weights = torch.rand(texts, length, generator=draw) * real
    weights *= torch.rand(texts, length, generator=draw) < 0.8
    mask = real.clone()
    mask[:, 0] = False
    return Embeddings(torch.zeros(texts, 2), weights, torch.zeros(texts, length, 2), ids, mask)


def test_scores_are_the_models_own() -> None:
    """Index, single products and `scoring.sparse_scores` agree on embeddings."""
    queries, passages = embeddings(1), embeddings(2, texts=40)
    wanted = scoring.sparse_scores(queries, passages).numpy()
    q, p = Csr.of(queries), Csr.of(passages)
    scores, numbers = SparseIndex.build(p, VOCABULARY, 16).search(q, 40)
    for row in range(len(queries)):
        found = numbers[row] >= 0
        assert found.sum() == (wanted[row] > 0).sum()
        np.testing.assert_allclose(
            scores[row][found], wanted[row][numbers[row][found]], rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(q.dots(row, p), wanted[row], rtol=1e-5, atol=1e-6)


def test_a_repeated_token_counts_with_its_largest_weight_or_the_sum() -> None:
    """Weights of 0 are no entries."""
    rows, tokens = np.array([1, 0, 1, 1]), np.array([4, 2, 4, 3])
    weights = np.array([0.5, 0.0, 2.0, 1.0], np.float32)
    largest = Csr.from_entries(rows, tokens, weights, 3, "largest")
    assert largest.indptr.tolist() == [0, 0, 2, 2]
    assert largest.tokens.tolist() == [3, 4]
    assert largest.weights.tolist() == [1.0, 2.0]
    assert Csr.from_entries(rows, tokens, weights, 3, "sum").weights.tolist() == [1.0, 2.5]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.lists(st.integers(0, 9), max_size=6), st.integers(1, 8))
def test_parts_are_rearranged_without_loss(seed: int, sizes: list[int], size: int) -> None:
    """Cutting and joining, and putting batches in order, keep every text."""
    whole, dense = random_csr(sum(sizes), seed)
    borders = np.cumsum([0, *sizes])
    parts = [whole.rows(int(a), int(b)) for a, b in pairwise(borders)]
    pieces = list(cut(parts, size))
    assert [len(piece) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
    order = np.random.default_rng(seed).permutation(len(whole))
    batches = [(order[i : i + 4], whole.take(order[i : i + 4])) for i in range(0, len(whole), 4)]
    for same in (concatenate(pieces), concatenate(parts), in_order(batches)):
        for name in ("indptr", "tokens", "weights"):
            assert np.array_equal(getattr(same, name), getattr(whole, name))
    assert int(whole.indptr[-1]) == np.count_nonzero(dense)
