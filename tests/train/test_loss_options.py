"""Presets, heads, margins, teachers and Matryoshka against float64 numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from curation.errors import ConfigError
from tests.train.test_losses import draw_scores, draw_targets, log_softmax, oracle, softmax
from tests.train.test_scoring import embed
from train.config import TrainConfig
from train.loss_config import LossConfig
from train.losses import (
    Divisors,
    Teaching,
    above_positive,
    kl,
    loss_parts,
    m3_loss,
    margin_mse,
)
from train.scoring import dense_scores

torch.set_num_threads(1)

SEEDS = st.integers(0, 2**31)


@settings(deadline=None, max_examples=15)
@given(SEEDS)
def test_simple_preset_is_the_papers_first_form(seed: int) -> None:
    """Plain sum as teacher, means with unit weights, L + L'; explicit options win."""
    scores, targets = draw_scores(seed), draw_targets(seed)
    config = LossConfig(preset="simple")
    plain, distilled, parts = oracle(scores, targets, config)
    found = m3_loss(scores, targets, config)
    assert config.ensemble_weights == config.loss_weights == (1.0, 1.0, 1.0)
    assert float(found.total) == pytest.approx(plain + distilled, rel=1e-12)
    assert found.parts == pytest.approx(parts, rel=1e-12)
    mixed = LossConfig(preset="simple", loss_weights=(1.0, 0.5, 2.0), combine="mean")
    plain, distilled, _ = oracle(scores, targets, mixed)
    total = float(m3_loss(scores, targets, mixed).total)
    assert total == pytest.approx((plain + distilled) / 2, rel=1e-12)


def test_a_preset_is_its_numbers() -> None:
    """What is stored with a run says the constants; reading it back gives the same config."""
    paper = LossConfig(
        ensemble_weights=(1.0, 0.3, 1.0), loss_weights=(1.0, 0.1, 1.0), combine="mean"
    )
    assert LossConfig() == paper


@pytest.mark.parametrize(
    ("heads", "places"),
    [
        (("dense",), [0]),
        (("multi_vector",), [2]),
        (("sparse", "dense"), [0, 1]),
        (("multi_vector", "sparse"), [1, 2]),
    ],
    ids=str,
)
def test_a_part_of_the_heads(heads: tuple[str, ...], places: list[int]) -> None:
    """n heads: (Σ λL + L_inter)/(n + 1) and Σ λL'/n over these; one head: its InfoNCE."""
    config = LossConfig(heads=heads, temperature=0.5)
    drawn, targets = draw_scores(3), draw_targets(3)
    scores = [drawn[i] for i in places]
    found = m3_loss(scores, targets, config)
    logits = [s.numpy() / 0.5 for s in scores]
    rows = np.arange(len(targets))
    own = [-log_softmax(head)[rows, targets].mean() for head in logits]
    expected = own[0]
    if len(places) > 1:
        w = [config.ensemble_weights[i] for i in places]
        lam = [config.loss_weights[i] for i in places]
        inter = sum(a * b for a, b in zip(w, logits, strict=True))
        together = -log_softmax(inter)[rows, targets].mean()
        learned = [-(softmax(inter) * log_softmax(h)).sum(1).mean() for h in logits]
        expected = (np.dot(lam, own) + together) / 3 + np.dot(lam, learned) / 2
        expected /= 2
    assert float(found.total) == pytest.approx(expected, rel=1e-12)
    assert list(found.parts) == loss_parts(config)


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.floats(-1.5, 1.5).filter(bool), st.sampled_from(["ensemble", "dense"]))
def test_margin_masks_what_scores_above_the_positive(seed: int, margin: float, kind: str) -> None:
    """Exactly those, for scores of any sign, never the positive; their gradient is exactly 0."""
    scores, targets = [s - 0.7 for s in draw_scores(seed)], draw_targets(seed)
    config = LossConfig(
        temperature=0.5, false_negative_margin=margin, false_negative_score=kind, matryoshka=(4,)
    )
    compared = scores[0] if kind == "dense" else scores[0] + 0.3 * scores[1] + scores[2]
    rows = torch.arange(len(targets))
    above = compared > compared[rows, targets][:, None] + margin
    above[rows, targets] = False
    leaves = [s.clone().requires_grad_() for s in scores]
    found = m3_loss(leaves, targets, config, prefixes=leaves[:1])
    expected = m3_loss(scores, targets, LossConfig(temperature=0.5), above)
    assert found.total.item() == pytest.approx(expected.total.item(), rel=1e-9)
    assert found.masked == int(above.sum())
    found.total.backward()
    for leaf in leaves:
        assert not leaf.grad[above].any()
        assert leaf.grad.isfinite().all()


def test_margin_of_zero_masks_nothing() -> None:
    """It is the way to say off, though passages score above the positive."""
    scores, targets = draw_scores(2), draw_targets(2)
    assert above_positive(scores[0], targets, 0.0).any()
    assert m3_loss(scores, targets, LossConfig()).masked == 0


def teach(columns: list[list[int]], scores: list[list[float]]) -> Teaching:
    """Return padded tensors of rows of scores; empty rows are padded with column 0."""
    width = max(map(len, columns))
    padded = [
        (c + [0] * (width - len(c)), s + [0.0] * (width - len(s)))
        for c, s in zip(columns, scores, strict=True)
    ]
    real = [[True] * len(c) + [False] * (width - len(c)) for c in columns]
    return Teaching(
        torch.tensor([c for c, _ in padded]),
        torch.tensor([s for _, s in padded], dtype=torch.float64),
        torch.tensor(real),
    )


COLUMNS = [[1, 0, 3], [], [4, 2]]
SCORES = [[2.0, 0.5, -1.0], [], [0.3, 0.9]]


def taught_loss(config: LossConfig, excluded: Tensor | None = None) -> tuple[float, Any]:
    """Return the teacher's part over three queries, one of them without scores."""
    scores, targets = draw_scores(11), torch.tensor([1, 0, 4])
    found = m3_loss(
        scores,
        targets,
        config,
        excluded,
        teaching=teach(COLUMNS, SCORES),
        divisors=Divisors(3, 2),
    )
    return found.parts["teacher"], [s.numpy() for s in scores]


def test_kl_teacher_equals_numpy() -> None:
    """(Σ λ·KL(teacher || head) + KL(teacher || ensemble)) / 4, a mean over rows with scores."""
    config = LossConfig(temperature=0.5, teacher="kl", teacher_temperature=0.8)
    found, scores = taught_loss(config)
    inter = sum(w * s for w, s in zip(config.ensemble_weights, scores, strict=True))
    expected = 0.0
    for weight, score in zip([*config.loss_weights, 1.0], [*scores, inter], strict=True):
        for row in (0, 2):
            wanted = log_softmax(np.array([SCORES[row]]) / 0.8)
            student = log_softmax(score[row, COLUMNS[row]][None] / 0.5)
            expected += weight * (np.exp(wanted) * (wanted - student)).sum()
    assert found == pytest.approx(expected / 4 / 2, rel=1e-9)


def test_margin_mse_teacher_equals_numpy() -> None:
    """The ensemble's distances to the positive against the teacher's, a mean of rows' means."""
    config = LossConfig(teacher="margin-mse", teacher_temperature=2.0)
    found, scores = taught_loss(config)
    inter = sum(w * s for w, s in zip(config.ensemble_weights, scores, strict=True))
    rows = []
    for row in (0, 2):
        student = inter[row, COLUMNS[row]]
        wanted = np.array(SCORES[row]) / 2.0
        gaps = (student[0] - student[1:]) - (wanted[0] - wanted[1:])
        rows.append(np.mean(gaps**2))
    assert found == pytest.approx(np.mean(rows), rel=1e-9)


@pytest.mark.parametrize("teacher", ["kl", "margin-mse"])
def test_teacher_does_not_speak_for_excluded_passages(teacher: str) -> None:
    """Without passage 3 the first row's group is the other two."""
    config = LossConfig(temperature=0.5, teacher=teacher)
    excluded = torch.zeros(3, 5, dtype=torch.bool)
    excluded[0, 3] = True
    found, scores = taught_loss(config, excluded)
    smaller = teach([[1, 0], [], [4, 2]], [[2.0, 0.5], [], [0.3, 0.9]])
    expected = m3_loss(
        [torch.from_numpy(s) for s in scores],
        torch.tensor([1, 0, 4]),
        config,
        teaching=smaller,
        divisors=Divisors(3, 2),
    )
    assert found == pytest.approx(expected.parts["teacher"], rel=1e-9)


@pytest.mark.parametrize("teacher", ["kl", "margin-mse"])
def test_teacher_adds_its_weight_times_its_part(teacher: str) -> None:
    """Total = the loss without it + weight · part; no scores at all: nothing is added."""
    scores, targets = draw_scores(11), torch.tensor([1, 0, 4])
    plain = float(m3_loss(scores, targets, LossConfig()).total)
    config = LossConfig(teacher=teacher, teacher_weight=0.25)
    found = m3_loss(scores, targets, config, teaching=teach(COLUMNS, SCORES))
    assert float(found.total) == pytest.approx(plain + 0.25 * found.parts["teacher"], rel=1e-12)
    assert float(m3_loss(scores, targets, config).total) == pytest.approx(plain, rel=1e-12)


def test_perfect_student_has_no_teacher_loss() -> None:
    """KL is 0 where distributions agree, margin-mse where distances do, whatever the offset."""
    scores = torch.tensor([[1.0, -0.5, 0.25]], dtype=torch.float64)
    assert float(kl(scores, scores + 3)) == pytest.approx(0.0, abs=1e-12)
    assert float(margin_mse(scores, scores + 3, torch.ones(1, 3))) == pytest.approx(0, abs=1e-12)


def test_matryoshka_is_the_average_over_cut_vectors() -> None:
    """Vectors are cut and normalised again; weights need not add up to 1."""
    queries, passages = embed(1, 3), embed(2, 5)
    targets = torch.tensor([0, 2, 4])
    config = LossConfig(
        heads=("dense",), temperature=0.3, matryoshka=(6, 2), matryoshka_weights=(1.0, 3.0)
    )
    scores = dense_scores(queries, passages)
    prefixes = [dense_scores(queries, passages, width) for width in (6, 2)]
    torch.testing.assert_close(prefixes[0], scores)
    found = float(m3_loss([scores], targets, config, prefixes=prefixes).total)
    q, p = (normalize(e.dense[:, :2].double(), dim=-1).numpy() for e in (queries, passages))
    losses = [
        -log_softmax(s / 0.3)[np.arange(3), targets].mean()
        for s in (scores.double().numpy(), q @ p.T)
    ]
    assert found == pytest.approx((losses[0] + 3 * losses[1]) / 4, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "papr"}, "unknown train.loss.preset 'papr': did you mean 'paper'?"),
        ({"combine": "max"}, "unknown train.loss.combine 'max'"),
        (
            {"heads": ("dense", "sparce")},
            "unknown train.loss.heads 'sparce': did you mean 'sparse'",
        ),
        ({"heads": ()}, "train.loss.heads = () must name each head that learns once"),
        ({"heads": ("dense", "dense")}, "train.loss.heads = ('dense', 'dense')"),
        ({"loss_weights": (1.0, 2.0)}, "train.loss.loss_weights = [1.0, 2.0] takes three numbers"),
        ({"teacher": "mse"}, "unknown train.loss.teacher 'mse': valid: kl, margin-mse, none"),
        ({"teacher_columns": "x"}, "unknown train.loss.teacher_columns 'x'"),
        ({"teacher_temperature": 0.0}, "train.loss.teacher_temperature = 0.0"),
        ({"teacher_weight": -1.0}, "train.loss.teacher_weight = -1.0"),
        ({"false_negative_score": "sparse"}, "unknown train.loss.false_negative_score 'sparse'"),
        ({"false_negative_margin": float("nan")}, "train.loss.false_negative_margin = nan"),
        ({"matryoshka": (0,)}, "train.loss.matryoshka = 0"),
        ({"matryoshka": (8,), "heads": ("sparse",)}, "train.loss.matryoshka is for the dense head"),
        ({"matryoshka_weights": (1.0,)}, "train.loss.matryoshka_weights = [1.0] takes one number"),
        (
            {"matryoshka": (8,), "matryoshka_weights": (0.0,)},
            "train.loss.matryoshka_weights = [0.0]",
        ),
        (
            {"heads": ("sparse",), "false_negative_score": "dense"},
            "train.loss.false_negative_score = 'dense' needs the dense head",
        ),
    ],
    ids=str,
)
def test_wrong_loss_options_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    """The message begins with the option and its value."""
    with pytest.raises(ConfigError) as caught:
        LossConfig(**options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "cashe"}, "unknown train.memory 'cashe': did you mean 'cache'?"),
        ({"precision": "fp16"}, "unknown train.precision 'fp16'"),
    ],
    ids=str,
)
def test_wrong_ways_of_computing_are_refused(options: dict[str, Any], message: str) -> None:
    """Valid names are listed."""
    with pytest.raises(ConfigError) as caught:
        TrainConfig(**options)
    assert str(caught.value).startswith(message)
