"""The objective against float64 numpy and closed-form gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from train.loss_config import LossConfig
from train.losses import distillation, info_nce, m3_loss
from train.negatives import false_negatives

torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other

SEEDS = st.integers(0, 2**31)
UNIT = (1.0, 1.0, 1.0)


def draw_scores(seed: int, queries: int = 3, passages: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    generator = np.random.default_rng(seed)
    scores = [generator.uniform(-1, 1, (queries, passages)) for _ in range(3)]
    return tuple(map(torch.from_numpy, scores))  # type: ignore[return-value]


def draw_targets(seed: int, queries: int = 3, passages: int = 5) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(passages, size=queries))


def log_softmax(rows: Any) -> Any:
    shifted = rows - rows.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def softmax(rows: Any) -> Any:
    return np.exp(log_softmax(rows))


def oracle(scores: Any, targets: Any, config: LossConfig) -> tuple[float, float, dict[str, float]]:
    """Return (L, L', parts) of the paper's section 3.2 in float64."""
    heads = [score.numpy() / config.temperature for score in scores]
    inter = sum(w * head for w, head in zip(config.ensemble_weights, heads, strict=True))
    rows = np.arange(len(targets))
    own = [-log_softmax(head)[rows, targets].mean() for head in (*heads, inter)]
    learned = [-(softmax(inter) * log_softmax(head)).sum(1).mean() for head in heads]
    plain = (np.dot(config.loss_weights, own[:3]) + own[3]) / 4
    distilled = np.dot(config.loss_weights, learned) / 3
    names = ("dense", "sparse", "multi_vector", "ensemble")
    parts = dict(zip(names, own, strict=True)) | {"distillation": distilled}
    return plain, distilled, parts


CONFIGS = {
    "paper": LossConfig(),
    "unit weights": LossConfig(ensemble_weights=UNIT, loss_weights=UNIT),
    "warm": LossConfig(temperature=0.7, ensemble_weights=(0.2, 2.0, 0.0), loss_weights=(0, 1, 3)),
}


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.integers(1, 4), st.integers(1, 6))
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_m3_loss_equals_numpy(config: LossConfig, seed: int, queries: int, passages: int) -> None:
    """L_final = (L + L') / 2, and every logged part, to 12 digits."""
    scores = draw_scores(seed, queries, passages)
    targets = draw_targets(seed, queries, passages)
    loss = m3_loss(scores, targets, config)
    plain, distilled, parts = oracle(scores, targets, config)
    assert float(loss.total) == pytest.approx((plain + distilled) / 2, rel=1e-12, abs=1e-12)
    assert loss.parts == pytest.approx(parts, rel=1e-12, abs=1e-12)


def test_without_self_distillation_only_the_contrastive_mean_is_left() -> None:
    """The total is L itself, not halved, and no distillation is logged."""
    scores, targets = draw_scores(1), draw_targets(1)
    loss = m3_loss(scores, targets, LossConfig(self_distillation=False))
    assert float(loss.total) == pytest.approx(oracle(scores, targets, LossConfig())[0], rel=1e-12)
    assert list(loss.parts) == ["dense", "sparse", "multi_vector", "ensemble"]


def test_note_form_is_twice_the_loss_with_unit_weights() -> None:
    """The paper's first version, L + L' with all weights 1, has the same minimum."""
    scores, targets, config = draw_scores(2), draw_targets(2), CONFIGS["unit weights"]
    plain, distilled, _ = oracle(scores, targets, config)
    total = float(m3_loss(scores, targets, config).total)
    assert 2 * total == pytest.approx(plain + distilled, rel=1e-12)


def test_info_nce_by_hand() -> None:
    """Logits 2 and 0: -log(e² / (e² + 1)); with the other target 2 more."""
    scores = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    expected = math.log1p(math.exp(-2.0))
    assert float(info_nce(scores, torch.tensor([0]))) == pytest.approx(expected, rel=1e-12)
    assert float(info_nce(scores, torch.tensor([1]))) == pytest.approx(expected + 2, rel=1e-12)


def test_gradcheck() -> None:
    """Numerical derivatives agree for InfoNCE, the student, and the undistilled objective."""
    scores, targets = draw_scores(5, 2, 3), draw_targets(5, 2, 3)
    leaves = tuple(s.requires_grad_() for s in scores)
    config = LossConfig(temperature=0.5, self_distillation=False)
    assert torch.autograd.gradcheck(lambda s: info_nce(s, targets), leaves[:1])
    assert torch.autograd.gradcheck(lambda s: distillation(scores[1].detach(), s), leaves[:1])
    assert torch.autograd.gradcheck(lambda *s: m3_loss(s, targets, config).total, leaves)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_gradient_is_the_closed_form_with_a_detached_teacher(config: LossConfig) -> None:
    """dL/ds_h = ½·[λ_h(p_h - y) + w_h(p_inter - y)]/4τQ + ½·λ_h(p_h - p_inter)/3τQ."""
    scores, targets = draw_scores(7), draw_targets(7)
    leaves = [s.clone().requires_grad_() for s in scores]
    m3_loss(tuple(leaves), targets, config).total.backward()  # type: ignore[arg-type]
    heads = [s.numpy() / config.temperature for s in scores]
    inter = sum(w * h for w, h in zip(config.ensemble_weights, heads, strict=True))
    teacher, wanted = softmax(inter), np.eye(5)[targets]
    for n, (leaf, head) in enumerate(zip(leaves, heads, strict=True)):
        own, w, lam = softmax(head), config.ensemble_weights[n], config.loss_weights[n]
        expected = (lam * (own - wanted) + w * (teacher - wanted)) / 8 + lam * (own - teacher) / 6
        found = leaf.grad.numpy() * config.temperature * 3
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_distillation_sends_no_gradient_to_the_teacher() -> None:
    """Only the student learns."""
    teacher, student, _ = (s.requires_grad_() for s in draw_scores(8))
    distillation(teacher, student).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@settings(deadline=None, max_examples=30)
@given(SEEDS)
def test_distillation_is_least_where_student_equals_teacher(seed: int) -> None:
    """Cross-entropy is never below the teacher's own entropy."""
    teacher, student, _ = draw_scores(seed)
    least = distillation(teacher, teacher)
    assert float(distillation(teacher, student)) >= float(least) - 1e-12
    assert float(distillation(teacher, teacher + 3.0)) == pytest.approx(float(least), rel=1e-12)


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.permutations(range(5)))
def test_loss_does_not_depend_on_the_order_of_passages(seed: int, order: list[int]) -> None:
    """Shuffled columns with moved targets give the same loss."""
    scores, targets = draw_scores(seed), draw_targets(seed)
    moved = torch.tensor([order.index(t) for t in targets.tolist()])
    shuffled = tuple(s[:, order] for s in scores)
    expected = float(m3_loss(scores, targets, LossConfig()).total)
    assert float(m3_loss(shuffled, moved, LossConfig()).total) == pytest.approx(expected, rel=1e-9)  # type: ignore[arg-type]


EXTREME = LossConfig(temperature=1e-4, ensemble_weights=(1e3, 1e3, 1e3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["fp32", "fp64"])
@pytest.mark.parametrize("config", [LossConfig(), EXTREME], ids=["paper", "extreme"])
def test_excluded_passage_is_as_if_it_were_not_there(
    config: LossConfig, dtype: torch.dtype
) -> None:
    """The loss equals that of the other columns, and the gradient is exactly 0, at any τ."""
    scores = [s[:1].to(dtype) - 1.0 for s in draw_scores(9)]
    leaves = [s.clone().requires_grad_() for s in scores]
    excluded = torch.tensor([[False, False, True, False, True]])
    targets = torch.tensor([1])
    loss = m3_loss(tuple(leaves), targets, config, excluded)  # type: ignore[arg-type]
    loss.total.backward()
    rest = tuple(s[:, [0, 1, 3]] for s in scores)
    expected = m3_loss(rest, targets, config)  # type: ignore[arg-type]
    torch.testing.assert_close(loss.total, expected.total)
    for leaf in leaves:
        assert leaf.grad[excluded].tolist() == [0.0, 0.0]
        assert leaf.grad.isfinite().all()


def test_false_negatives_marks_copies_of_positives_only() -> None:
    """Keys 10 and 11 answer query 0, 12 query 1; a query's own target stays."""
    mask = false_negatives([[10], [11], [12], [13]], [{10, 11}, {12}], [0, 2])
    assert mask.tolist() == [[False, True, False, False], [False, False, False, False]]


def test_false_negatives_never_masks_the_target() -> None:
    """Even where all passages are known positives, the drawn one is the target."""
    mask = false_negatives([[10], [11]], [{10, 11}], [1])
    assert mask.tolist() == [[True, False]]
