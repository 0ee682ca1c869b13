"""The multi-vector score: its own backward pass against torch's, and what it keeps."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from train.maxsim import maxsim, starts_of

torch.set_num_threads(1)

COUNTS = st.lists(st.integers(0, 6), min_size=1, max_size=6)


def draw(seed: int, counts: list[int], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return vectors of texts with so many tokens each, as a leaf, and the counts."""
    generator = torch.Generator().manual_seed(seed)
    vectors = normalize(torch.randn(sum(counts), 5, generator=generator, dtype=dtype), dim=-1)
    return vectors.requires_grad_(), torch.tensor(counts)


def naive(tokens: Tensor, token_counts: Tensor, vectors: Tensor, lengths: Tensor) -> Tensor:
    """Return the scores pair by pair, by torch's own graph."""
    ends = [list(pairwise(starts_of(counts).tolist())) for counts in (token_counts, lengths)]
    rows = []
    for a, b in ends[0]:
        row = [
            (tokens[a:b] @ vectors[c:d].T).max(-1).values.mean()
            if b > a and d > c
            else (tokens.sum() + vectors.sum()) * 0.0
            for c, d in ends[1]
        ]
        rows.append(torch.stack(row))
    return torch.stack(rows)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), COUNTS, COUNTS, st.integers(1, 300))
def test_scores_and_gradients_equal_torchs(
    seed: int, queries: list[int], passages: list[int], max_elements: int
) -> None:
    """Texts of any lengths, without tokens too, in chunks of any size."""
    results = []
    for compute in (naive, lambda *a: maxsim(*a, max_elements)):
        tokens, token_counts = draw(seed, queries)
        vectors, lengths = draw(seed + 1, passages)
        scores = compute(tokens, token_counts, vectors, lengths)
        scores.backward(torch.linspace(-1, 2, scores.numel(), dtype=scores.dtype).view_as(scores))
        results.append((scores.detach(), tokens.grad, vectors.grad))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("max_elements", [1, 40, 1 << 20])
def test_gradcheck(max_elements: int) -> None:
    """Numerical derivatives agree, whatever the chunks."""
    tokens, token_counts = draw(1, [3, 1, 4])
    vectors, lengths = draw(2, [2, 0, 5, 3])
    assert torch.autograd.gradcheck(
        lambda t, v: maxsim(t, token_counts, v, lengths, max_elements), (tokens, vectors)
    )


def test_backward_keeps_positions_only() -> None:
    """Beside its inputs 4 bytes per query token and passage; products would be 32 times as many."""
    tokens, token_counts = draw(1, [8] * 16, torch.float32)
    vectors, lengths = draw(2, [32] * 24, torch.float32)
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        scores = maxsim(tokens, token_counts, vectors, lengths)
    inputs = [tokens, vectors]
    positions = 4 * len(tokens) * len(lengths)
    small = 8 * (2 * len(tokens) + 2 * len(lengths)) + 4 * len(scores)
    extra = sum(kept.values()) - sum(t.untyped_storage().nbytes() for t in inputs)
    assert positions <= extra <= positions + small


@pytest.mark.parametrize("max_elements", [1 << 12, 1 << 15])
def test_no_intermediate_is_larger_than_the_limit(max_elements: int) -> None:
    """Forward and backward: only inputs, their gradients and the positions may be larger."""
    tokens, token_counts = draw(1, [8] * 16, torch.float32)
    vectors, lengths = draw(2, [32] * 24, torch.float32)
    with _Largest() as largest:
        scores = maxsim(tokens, token_counts, vectors, lengths, max_elements)
        scores.sum().backward()
    needed = {tuple(t.shape) for t in (tokens, vectors)} | {(len(tokens), len(lengths))}
    others = {shape: n for shape, n in largest.sizes.items() if shape not in needed}
    assert max(others.values()) <= max_elements
    assert max(others.values()) > max_elements // 4
    products = len(tokens) * len(vectors)
    assert products > 2 * max_elements


class _Largest(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes the shapes of all tensors that operations make."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[tuple[int, ...], int] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        for tensor in found if isinstance(found, tuple | list) else [found]:
            if isinstance(tensor, Tensor):
                self.sizes[tuple(tensor.shape)] = tensor.numel()
        return found
