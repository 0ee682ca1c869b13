"""The schedule: learning rates, and which parameters learn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError
from train.checkpoint import load
from train.config import ModelConfig, TrainConfig
from train.optimizer import parameter_groups, prepare
from train.schedule import SCHEDULES, rate_factor

MODEL = ModelConfig(max_query_tokens=64, max_passage_tokens=64)


def test_unknown_part_to_freeze_is_refused(tiny_encoder: str) -> None:
    """`layer.7` of a 2-layer encoder would freeze nothing in silence."""
    with pytest.raises(ConfigError, match=r"train\.freeze: 'layer\.7' .*\['embeddings', 'encoder"):
        prepare(load(tiny_encoder, MODEL), TrainConfig(freeze=("layer.7",)))


def test_dropout_is_set_everywhere(tiny_encoder: str) -> None:
    """-1 keeps the encoder's own 0.1."""
    model = load(tiny_encoder, MODEL)
    for dropout, expected in ((-1.0, 0.1), (0.25, 0.25), (0.0, 0.0)):
        prepare(model, TrainConfig(dropout=dropout))
        assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {expected}


def test_parameter_groups_decay_matrices_only(tiny_encoder: str) -> None:
    """Every trained parameter is in one group; the heads have their own rate."""
    model = load(tiny_encoder, MODEL)
    config = TrainConfig(learning_rate=1e-5, head_learning_rate=1e-3, weight_decay=0.01)
    groups = parameter_groups(model, config, ("encoder", "heads"))
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [(1e-5, 0.01), (1e-5, 0), (1e-3, 0)]
    assert {p.dim() for p in groups[0]["params"]} == {2}
    assert {p.dim() for p in groups[1]["params"]} == {1}
    grouped = [id(p) for g in groups for p in g["params"]]
    assert sorted(grouped) == sorted(map(id, model.parameters()))
    for parts, expected in ((("heads",), groups[2:]), (("encoder",), groups[:2])):
        found = parameter_groups(model, config, parts)
        assert [list(map(id, g["params"])) for g in found] == [
            list(map(id, g["params"])) for g in expected
        ]


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 300), st.floats(0, 1), st.sampled_from(SCHEDULES))
def test_rate_rises_to_its_peak_and_falls_towards_zero(
    steps: int, share: float, schedule: str
) -> None:
    """Rising for the share of the steps, then falling or level; never 0, never above 1."""
    warmup = round(steps * share)
    rates = [rate_factor(step, steps, share, schedule) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    if warmup < steps:
        assert rates[warmup] == 1


@pytest.mark.parametrize(
    ("schedule", "share", "expected"),
    [
        ("linear", 0.0, [1, 0.75, 0.5, 0.25]),
        ("linear", 0.5, [1 / 3, 2 / 3, 1, 0.5]),
        ("linear", 1.0, [0.2, 0.4, 0.6, 0.8]),
        ("cosine", 0.0, [1, 0.5 + 0.125**0.5, 0.5, 0.5 - 0.125**0.5]),
        ("cosine", 0.5, [1 / 3, 2 / 3, 1, 0.5]),
        ("constant", 0.5, [1 / 3, 2 / 3, 1, 1]),
    ],
)
def test_rate_by_hand(schedule: str, share: float, expected: list[float]) -> None:
    """Four steps without, with half and with only warm-up."""
    assert [rate_factor(n, 4, share, schedule) for n in range(4)] == pytest.approx(expected)
