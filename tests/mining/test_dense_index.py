"""Every index against numpy's sort: exact ones equal it, others say how near they come."""

from __future__ import annotations

import re
from pathlib import Path

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError
from mining.index import DenseIndex, search
from mining.index_auto import choose, efforts, recall
from mining.index_config import IndexConfig
from mining.index_exact import exact_block
from mining.index_faiss import Effort
from mining.index_kernels import TorchTop, faiss_top
from mining.shards import Shards, as_shards
from mining.top import merge_top

faiss.omp_set_num_threads(1)


def clustered(count: int, width: int = 32, seed: int = 0) -> np.ndarray:
    """Return unit vectors around 40 centres, as texts of some topics are."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((40, width))
    rows = centres[draw.integers(0, 40, count)] + 0.6 * draw.standard_normal((count, width))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


PASSAGES, QUERIES = clustered(3000), clustered(60, seed=1)


def oracle(queries: np.ndarray, passages: np.ndarray, depth: int) -> np.ndarray:
    """Return the numbers of the best by fp64 scores, equal ones by number."""
    scores = queries.astype(np.float64) @ passages.astype(np.float64).T
    return np.argsort(-scores, axis=1, kind="stable")[:, :depth]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    cuts=st.lists(st.integers(0, 90), max_size=5),
    depth=st.integers(1, 100),
)
def test_the_best_of_shards_are_the_best_of_the_whole(
    seed: int, cuts: list[int], depth: int
) -> None:
    """Searched apart and merged, or in parts as one; whole numbers tie all the time."""
    draw = np.random.default_rng(seed)
    queries = draw.integers(-2, 3, (7, 4)).astype(np.float32)
    passages = draw.integers(-2, 3, (90, 4)).astype(np.float16)
    parts = [part for part in np.split(passages, sorted(cuts)) if len(part)]
    whole = search(queries, passages, depth)
    starts = np.cumsum([0, *map(len, parts)])
    lists = [search(queries, part, depth) for part in parts]
    lists = [(s, n + start) for (s, n), start in zip(lists, starts.tolist(), strict=False)]
    for found in (merge_top(lists, depth), search(queries, Shards(parts), depth)):
        assert np.array_equal(found[0], whole[0])
        assert np.array_equal(found[1], whole[1])
    assert np.array_equal(whole[1], oracle(queries, passages, depth))


@pytest.mark.parametrize("memory_mb", [0.01, 0.3, 64])
@pytest.mark.parametrize("devices", [0, 1, 3], ids=["faiss", "torch", "torch on three devices"])
def test_memory_and_kernel_change_no_bit(memory_mb: float, devices: int) -> None:
    """Scores are summed pair by pair, so where a row lies in a block does not matter."""
    kernel = TorchTop([torch.device("cpu")] * devices) if devices else faiss_top
    found = exact_block(QUERIES, as_shards(PASSAGES), 120, kernel, memory_mb)
    whole = search(QUERIES, PASSAGES, 120)
    assert np.array_equal(found[0], whole[0])
    assert np.array_equal(found[1], whole[1])
    assert np.array_equal(found[1], oracle(QUERIES, PASSAGES, 120))


def test_more_equal_passages_than_candidates() -> None:
    """300 copies tie over the cut: the smaller numbers are taken, however few were proposed."""
    passages = np.concatenate([PASSAGES[:400], np.repeat(PASSAGES[5:6], 300, 0), PASSAGES[400:900]])
    _, numbers = search(PASSAGES[5:6], passages, 20, memory_mb=0.05)
    assert numbers[0].tolist() == [5, *range(400, 419)]


def test_a_kernel_that_misses_the_order_by_rounding_is_mended() -> None:
    """The proposals' scores are off in their last bits, as those of other devices are."""

    def rough(queries: np.ndarray, passages: np.ndarray, depth: int) -> tuple:
        noise = np.random.default_rng(0).uniform(-2e-7, 2e-7, (len(queries), len(passages)))
        scores = (queries @ passages.T + noise).astype(np.float32)
        best = np.argsort(-scores, axis=1)[:, :depth]
        return np.take_along_axis(scores, best, 1), best.astype(np.int64)

    near = np.repeat(PASSAGES[:50], 40, 0)  # 40 of nearly one score each
    near = near + np.random.default_rng(1).uniform(-1e-7, 1e-7, near.shape).astype(np.float32)
    found = exact_block(QUERIES, as_shards(near), 30, rough, 8)
    whole = search(QUERIES, near, 30)
    assert np.array_equal(found[1], whole[1])


@pytest.mark.parametrize("factory", ["PQ16x4fs", "HNSW16", "IVF16,Flat", "IVF16,PQ16x4fs", "SQ8"])
def test_an_approximate_index_orders_exactly_and_tells_its_recall(factory: str) -> None:
    """In several pieces: scores are those of the vectors, R@100 is what numpy counts."""
    said: list[str] = []
    config = IndexConfig(factory=factory, memory_mb=64, recall_queries=60)
    index = DenseIndex.build(PASSAGES, config, queries=QUERIES, depth=100, say=said.append)
    scores, numbers = index.search(QUERIES, 100)
    assert scores.shape == numbers.shape == (60, 100)
    expected = oracle(QUERIES, PASSAGES, 100)
    exact_scores = np.take_along_axis(QUERIES @ PASSAGES.T, numbers, 1)
    np.testing.assert_allclose(scores, exact_scores, atol=1e-6)
    assert (np.diff(scores, axis=1) <= 0).all()
    hits = sum(
        len(set(a) & set(b)) for a, b in zip(numbers.tolist(), expected.tolist(), strict=True)
    )
    assert index.recall is not None
    assert index.recall.at_100 == pytest.approx(hits / 6000)
    assert hits / 6000 >= 0.97
    assert said[-1].startswith(f"index {factory} (refine ")
    assert f"R@100 {hits / 6000:.4f}, ranks 0-100" in said[-1]


def test_a_corpus_in_pieces_is_searched_as_a_whole(tmp_path: Path) -> None:
    """Where a piece holds no more than 6,144 vectors, the best of all pieces are merged."""
    passages, queries = clustered(9000, 128), clustered(40, 128, seed=1)
    config = IndexConfig(factory="Flat,Refine(Flat)", memory_mb=64, refine=1)
    index = DenseIndex.build(passages, config, queries=queries, folder=str(tmp_path))
    assert index.pieces is not None
    assert index.pieces.starts == [0, 6144]
    index.pieces.memory_mb = 0.1  # none stays open
    _, numbers = index.search(queries, 50)
    assert np.array_equal(numbers, oracle(queries, passages, 50))


def test_what_an_index_does_not_find_is_missing() -> None:
    """One list of sixteen is searched: fewer than were asked for, the rest -1 and -inf."""
    config = IndexConfig(factory="IVF16,Flat", nprobe=1, refine=1, memory_mb=64)
    said: list[str] = []
    index = DenseIndex.build(PASSAGES, config, queries=QUERIES, say=said.append)
    scores, numbers = index.search(QUERIES, 2500)
    assert (numbers[:, -1] == -1).all()
    assert np.isneginf(scores[numbers < 0]).all()
    assert np.isfinite(scores[numbers >= 0]).all()
    assert "its recall is below mining.index.min_recall = 0.97" in said[-1]


@pytest.mark.parametrize(
    ("queries", "memory_mb", "expected"),
    [
        (1000, 2048, "Flat: 1,000 queries x 5,000,000 passages = 5.0e\\+09 pairs: exact"),
        (1_000_000, 2048, "PQ96x4fs: .* more than .*exact_pairs = 1e\\+11: 229 MB .* of 502 MB"),
        (1_000_000, 256, "PQ96x4fs: .*: 229 MB of codes, 48 bytes a vector, in pieces of 54 MB"),
    ],
    ids=["few pairs", "one piece", "five pieces"],
)
def test_auto_follows_size_and_memory(queries: int, memory_mb: float, expected: str) -> None:
    """5 million vectors of 384 numbers; the reason names the options."""
    choice = choose(IndexConfig(memory_mb=memory_mb), 5_000_000, 384, queries)
    assert re.match(expected, f"{choice.factory}: {choice.why}")


def test_auto_searches_exactly_where_its_index_finds_too_little() -> None:
    """Vectors without any structure, at a recall of 1: told, and exact."""
    noise = np.random.default_rng(3).standard_normal((12_000, 32)).astype(np.float32)
    config = IndexConfig(exact_pairs=0, min_recall=1.0, refine=1)
    said: list[str] = []
    index = DenseIndex.build(noise, config, queries=noise[:40], say=said.append)
    assert said[-1] == (
        "index PQ8x4fs does not reach mining.index.min_recall = 1.0: searching exactly instead"
    )
    assert index.recall is None
    assert np.array_equal(index.search(noise[:40], 10)[1], oracle(noise[:40], noise, 10))


def test_effort_grows_and_keeps_what_is_given() -> None:
    """Options that are set stay; the others double up to all lists, 64 candidates, ef 1024."""
    tried = list(efforts(IndexConfig(), 100, graph=False))
    assert tried[0] == Effort(2, 16, 0)
    assert tried[-1] == Effort(64, 100, 0)
    assert list(efforts(IndexConfig(refine=4), 0, graph=False)) == [Effort(4, 0, 0)]
    assert {e.refine for e in efforts(IndexConfig(refine=3), 50, graph=True)} == {3}
    assert list(efforts(IndexConfig(), 0, graph=True))[-1] == Effort(64, 0, 1024)


def test_recall_of_a_window() -> None:
    """Ranks 1 and 2 of the exact list, wherever they are among the first three found."""
    exact = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    found = np.array([[3, 9, 2, 1], [6, 5, 0, 7]])
    assert recall(found, exact, 1, 3) == 0.75
    assert recall(found, exact) == 6 / 8


@pytest.mark.parametrize("factory", ["IVFx", "IVF60000,Flat", "PQ7", "nonsense"])
def test_a_factory_string_that_faiss_refuses_is_named(factory: str) -> None:
    """With its reason, and strings that work."""
    with pytest.raises(ConfigError, match=f"mining.index.factory = '{factory}' does not work"):
        DenseIndex.build(PASSAGES, IndexConfig(factory=factory))


def test_a_missing_device_is_refused() -> None:
    """Not replaced by another one."""
    with pytest.raises(ConfigError, match=r"mining\.index\.device = 'cuda:7'"):
        search(QUERIES, PASSAGES, 5, device="cuda:7")
    with pytest.raises(ConfigError, match=r"mining\.index\.device = 'gpu' is no device"):
        search(QUERIES, PASSAGES, 5, device="gpu")


def test_a_device_that_fails_while_it_searches_is_named() -> None:
    """It was there when the search began."""
    lost = TorchTop([torch.device("cpu"), torch.device("cuda", 63)])
    with pytest.raises(ConfigError, match=r"mining.index.device: searching on cpu, cuda:63 failed"):
        exact_block(QUERIES, as_shards(PASSAGES), 5, lost, 64)
