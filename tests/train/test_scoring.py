"""The scores of M3 against loops over texts and tokens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize, pad

from train.scoring import (
    Embeddings,
    Packed,
    all_scores,
    concatenate,
    dense_scores,
    multi_vector_rescore,
    multi_vector_scores,
    pack,
    ragged,
    sparse_matrix,
    sparse_scores,
    weighted_sum,
)

torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other

SEEDS = st.integers(0, 2**31)
HEADS = [dense_scores, sparse_scores, multi_vector_scores]


def embed(seed: int, count: int, length: int = 9, *, width: int = 4) -> Embeddings:
    """Random texts of 2 to `length` tokens, ids from a small vocabulary so that tokens recur."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, length + 1, (count, 1), generator=draw)
    places = torch.arange(length)
    real = places < lengths
    ids = torch.randint(5, 12, (count, length), generator=draw)
    ids = ids.masked_fill(places == 0, 0).masked_fill(places == lengths - 1, 2)
    ids = ids.masked_fill(~real, 1)
    weights = torch.rand(count, length, generator=draw).masked_fill(ids < 5, 0.0)
    mask = real & (places > 0)
    vectors = normalize(torch.randn(count, length, width, generator=draw), dim=-1)
    dense = normalize(torch.randn(count, 6, generator=draw), dim=-1)
    return Embeddings(dense, weights, vectors * mask[..., None], ids, mask)


def dense_loop(q: Embeddings, p: Embeddings, i: int, j: int) -> Tensor:
    return (q.dense[i] * p.dense[j]).sum()


def sparse_loop(q: Embeddings, p: Embeddings, i: int, j: int) -> Tensor:
    def by_token(e: Embeddings, n: int) -> dict[int, Tensor]:
        best: dict[int, Tensor] = {}
        for token, weight in zip(e.ids[n].tolist(), e.weights[n], strict=True):
            if token not in best or weight > best[token]:
                best[token] = weight
        return best

    query, passage = by_token(q, i), by_token(p, j)
    products = [query[t] * passage[t] for t in query if t in passage]
    return sum(products, torch.tensor(0.0))


def multi_loop(q: Embeddings, p: Embeddings, i: int, j: int) -> Tensor:
    passage = [v for v, real in zip(p.vectors[j], p.mask[j], strict=True) if real]
    query = [v for v, real in zip(q.vectors[i], q.mask[i], strict=True) if real]
    best = [torch.stack([(a * b).sum() for b in passage]).max() for a in query]
    return sum(best, torch.tensor(0.0)) / len(query)


LOOPS = {"dense": dense_loop, "sparse": sparse_loop, "multi_vector": multi_loop}


def by_loop(loop: Callable[..., Tensor], q: Embeddings, p: Embeddings) -> Tensor:
    return torch.stack(
        [torch.stack([loop(q, p, i, j) for j in range(len(p))]) for i in range(len(q))]
    )


@settings(deadline=None, max_examples=15)
@given(SEEDS, st.integers(1, 4), st.integers(1, 5))
@pytest.mark.parametrize("head", [0, 1, 2], ids=list(LOOPS))
def test_scores_equal_a_loop(head: int, seed: int, queries: int, passages: int) -> None:
    """Each head's (Q, P) matrix is the formula of the paper, pair by pair."""
    q, p = embed(seed, queries, 6), embed(seed + 1, passages)
    expected = by_loop(list(LOOPS.values())[head], q, p)
    torch.testing.assert_close(all_scores(q, p)[head], expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("head", [0, 1, 2], ids=list(LOOPS))
def test_gradients_equal_a_loops(head: int) -> None:
    """The vectorised scores send the same gradients back as the loop."""
    gradients = []
    for compute in (lambda q, p: all_scores(q, p)[head], None):
        q, p = embed(3, 3, 6), embed(4, 4)
        leaves = [t.requires_grad_() for t in (*q.tensors(), *p.tensors())]
        scores = compute(q, p) if compute else by_loop(list(LOOPS.values())[head], q, p)
        scores.backward(torch.linspace(-1, 1, scores.numel()).view_as(scores))
        gradients.append([t.grad for t in leaves])
    mine, theirs = gradients
    touched = [g is not None for g in mine]
    assert touched == [n == head or n == head + 3 for n in range(6)]
    for a, b in zip(mine, theirs, strict=True):
        if a is not None:
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def tokens(ids: list[list[int]], weights: list[list[float]]) -> Embeddings:
    width = torch.tensor(ids)
    blank = torch.zeros(*width.shape, 2)
    return Embeddings(blank[:, 0], torch.tensor(weights), blank, width, width > 0)


def test_repeated_token_counts_once_with_its_largest_weight() -> None:
    """5: max(1, 3) · 2, 6: 2 · max(1, 4), 9 is not shared: 14."""
    q = tokens([[5, 5, 6]], [[1.0, 3.0, 2.0]])
    p = tokens([[5, 6, 6, 9]], [[2.0, 1.0, 4.0, 8.0]])
    assert sparse_scores(q, p).tolist() == [[14.0]]


def test_texts_without_a_shared_token_score_zero() -> None:
    """The special tokens that all texts share have no weight."""
    q = tokens([[0, 5, 2]], [[0.0, 3.0, 0.0]])
    p = tokens([[0, 6, 2], [0, 4, 2]], [[0.0, 1.0, 0.0], [0.0, 2.0, 0.0]])
    assert sparse_scores(q, p).tolist() == [[0.0, 0.0]]


def test_sparse_matrix_has_a_column_per_wanted_token_only() -> None:
    """Ids of a 250,000-piece vocabulary do not widen the matrix; unwanted tokens are cut."""
    texts = tokens([[249_999, 7, 7], [3, 249_999, 8]], [[1.0, 2.0, 5.0], [9.0, 4.0, 9.0]])
    matrix = sparse_matrix(ragged(texts), torch.tensor([7, 249_999]))
    assert matrix.tolist() == [[5.0, 1.0], [0.0, 4.0]]


def vectors(rows: list[list[list[float]]], mask: list[list[bool]]) -> Embeddings:
    found = torch.tensor(rows)
    ids = torch.zeros(found.shape[:2], dtype=torch.long)
    return Embeddings(found[:, 0], found[..., 0], found, ids, torch.tensor(mask))


def test_multi_vector_score_is_the_mean_of_best_matches() -> None:
    """Query tokens match 1.0 and 0.6: mean 0.8."""
    q = vectors([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]], [[False, True, True]])
    p = vectors([[[9.0, 9.0], [1.0, 0.0], [0.8, 0.6]]], [[False, True, True]])
    torch.testing.assert_close(multi_vector_scores(q, p), torch.tensor([[0.8]]))


def test_padding_does_not_lift_a_negative_best_match_to_zero() -> None:
    """The reference clamps at 0 where a passage is padded; here it stays -1."""
    q = vectors([[[1.0, 0.0]]], [[True]])
    p = vectors([[[-1.0, 0.0], [0.0, 0.0]]], [[True, False]])
    assert multi_vector_scores(q, p).tolist() == [[-1.0]]


def test_passage_without_tokens_matches_nothing() -> None:
    """Its score is 0, not -inf or NaN."""
    q, p = embed(1, 2), embed(2, 2)
    p.mask[1] = False
    scores = multi_vector_scores(q, p)
    assert scores[:, 1].tolist() == [0.0, 0.0]
    torch.testing.assert_close(scores[:, :1], multi_vector_scores(q, p.select(slice(0, 1))))


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.integers(1, 2000))
def test_multi_vector_score_does_not_depend_on_the_chunk(seed: int, max_elements: int) -> None:
    """Any memory limit, even one below a single passage, gives the same matrix."""
    q, p = embed(seed, 3), embed(seed + 1, 7)
    whole = multi_vector_scores(q, p)
    torch.testing.assert_close(multi_vector_scores(q, p, max_elements), whole)


def widened(e: Embeddings, extra: int) -> Embeddings:
    return Embeddings(
        e.dense,
        pad(e.weights, [0, extra]),
        pad(e.vectors, [0, 0, 0, extra]),
        pad(e.ids, [0, extra], value=1),
        pad(e.mask, [0, extra]),
    )


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.integers(1, 9), st.integers(0, 9))
def test_scores_ignore_padding(seed: int, more: int, less: int) -> None:
    """Queries and passages padded further keep all three scores."""
    q, p = embed(seed, 3), embed(seed + 1, 4)
    plain, wide = all_scores(q, p), all_scores(widened(q, more), widened(p, less))
    for a, b in zip(plain, wide, strict=True):
        torch.testing.assert_close(a, b)


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.permutations(range(4)), st.permutations(range(5)))
@pytest.mark.parametrize("score", HEADS, ids=list(LOOPS))
def test_scores_follow_a_permutation(
    score: Callable[..., Tensor], seed: int, rows: list[int], columns: list[int]
) -> None:
    """Shuffled texts give the shuffled matrix."""
    q, p = embed(seed, 4), embed(seed + 1, 5)
    shuffled = score(q.select(torch.tensor(rows)), p.select(torch.tensor(columns)))
    torch.testing.assert_close(shuffled, score(q, p)[rows][:, columns])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["fp16", "bf16"])
def test_scores_of_short_floats_are_summed_in_fp32(dtype: torch.dtype) -> None:
    """Half-precision embeddings score as their exact fp32 values do."""
    half, full = [], []
    for e in (embed(1, 3), embed(2, 4)):
        short = [t.to(dtype) for t in e.tensors()]
        half.append(Embeddings(*short, e.ids, e.mask))
        full.append(Embeddings(*(t.float() for t in short), e.ids, e.mask))
    for a, b in zip(all_scores(*half), all_scores(*full), strict=True):
        assert a.dtype == torch.float32
        assert torch.equal(a, b)


def test_weighted_sum_is_the_papers_ensemble() -> None:
    """1 · 0.5 + 0.3 · 10 + 2 · 0.25 = 4."""
    parts = (torch.tensor([0.5]), torch.tensor([10.0]), torch.tensor([0.25]))
    torch.testing.assert_close(weighted_sum(parts, (1.0, 0.3, 2.0)), torch.tensor([4.0]))


def test_concatenate_joins_texts_of_different_lengths() -> None:
    """Nothing changes but padding, which has no weight and no mask."""
    short, long = embed(1, 2, 4), embed(2, 3, 7)
    both = concatenate([short, long])
    assert len(both) == 5
    assert torch.equal(both.dense, torch.cat([short.dense, long.dense]))
    for whole, part in zip(
        both.select(slice(0, 2)).tensors()[1:], short.tensors()[1:], strict=True
    ):
        assert torch.equal(whole[:, :4], part)
        assert not whole[:, 4:].any()
    assert not both.mask[:2, 4:].any()
    assert torch.equal(both.select(slice(2, 5)).ids, long.ids)


def test_pack_leaves_padding_out() -> None:
    """Vectors lie end to end, and `starts` delimits each text."""
    parts = [embed(1, 2, 4), embed(2, 3, 7)]
    packed = pack(parts)
    expected = [v for part in parts for v in part.vectors[part.mask]]
    assert torch.equal(packed.vectors, torch.stack(expected))
    counts = [int(n) for part in parts for n in part.mask.sum(1)]
    assert packed.starts.tolist() == np.cumsum([0, *counts]).tolist()


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.lists(st.integers(0, 8), min_size=1, max_size=12))
def test_rescore_equals_the_plain_score(seed: int, numbers: list[int]) -> None:
    """Any choice of packed passages, in any order and repeated, gets its column's score."""
    q, parts = embed(seed, 1), [embed(seed + 1, 4, 5), embed(seed + 2, 5)]
    rescored = multi_vector_rescore(q, pack(parts), torch.tensor(numbers))
    plain = multi_vector_scores(q, concatenate(parts))[0, numbers]
    torch.testing.assert_close(rescored, plain)


def test_rescore_of_fp16_vectors_is_summed_in_fp32() -> None:
    """Documents are kept in fp16 for evaluation; only that rounding shows."""
    q, p = embed(1, 1), embed(2, 6)
    packed = pack([p])
    short = Packed(packed.vectors.half(), packed.starts)
    exact = Packed(packed.vectors.half().float(), packed.starts)
    numbers = torch.arange(6)
    assert torch.equal(
        multi_vector_rescore(q, short, numbers), multi_vector_rescore(q, exact, numbers)
    )
