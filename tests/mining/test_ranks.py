"""Exact ranks among a pool, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mining.ranks import own_scores, ranks_among, without_rivals

CPU = torch.device("cpu")


def vectors(count: int, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float16)


NO_DOCUMENT = np.zeros(50, np.uint64)


def ignoring(own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return without_rivals(own, np.zeros(len(own), np.uint64), NO_DOCUMENT)


@pytest.mark.parametrize("block", [1, 7, 50, 1000])
def test_ranks_are_one_plus_what_scores_above(block: int) -> None:
    """Any block size gives the rank that a sort gives, in the pool or outside it."""
    queries, pool = vectors(40, 1), vectors(50, 2)
    own = np.concatenate([np.arange(30), np.full(10, -1)])
    positives = np.concatenate([pool[:30], vectors(10, 3)])
    documents = np.arange(40).astype(np.uint64) % 5
    pool_documents = np.arange(50).astype(np.uint64) % 7
    scores = own_scores(queries, positives)
    ignored = without_rivals(own, documents, pool_documents)
    found = ranks_among(queries, scores, ignored, pool, CPU, block)
    table = queries.astype(np.float32) @ pool.astype(np.float32).T
    expected = []
    for i in range(40):
        rivals = [
            j
            for j in range(50)
            if j != own[i] and not (documents[i] and documents[i] == pool_documents[j])
        ]
        expected.append(1 + sum(table[i, j] > scores[i] for j in rivals))
    assert found.tolist() == expected
    assert found.dtype == np.int32
    everyone = ranks_among(queries, scores, ignoring(own), pool, CPU, block)
    assert (found <= everyone).all()
    assert (found < everyone).any()


def test_a_positive_does_not_compete_with_itself() -> None:
    """However its own score rounds: the best stays first."""
    pool = vectors(20, 4)
    lowered = own_scores(pool, pool) - np.float32(1e-3)
    ranks = ranks_among(pool, lowered, ignoring(np.arange(20)), pool, CPU)
    assert set(ranks.tolist()) == {1}


def test_more_queries_than_a_batch() -> None:
    """Queries are taken in batches; the last is short."""
    pool = vectors(10, 5)
    queries = np.concatenate([pool] * 250)
    own = np.tile(np.arange(10), 250)
    ranks = ranks_among(queries, own_scores(queries, queries), ignoring(own), pool, CPU)
    assert ranks.tolist() == [1] * 2500
