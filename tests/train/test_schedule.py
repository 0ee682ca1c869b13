"""The schedule: phases, learning rates, and which parameters learn."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError
from train.batching import Shard
from train.checkpoint import load
from train.config import ModelConfig, TrainConfig
from train.trainer import Trainer, parameter_groups, plan_phases, prepare, rate_factor

MODEL = ModelConfig(max_query_tokens=64, max_passage_tokens=64)


def test_plan_counts_steps() -> None:
    """A share of an epoch is its first batches; the limit is for the unified phase."""
    shards = [Shard("a", 0, 7), Shard("b", 0, 5)]
    config = TrainConfig(epochs=1.5, head_warmup_epochs=0.5, max_steps=4, batch_sizes=(4,) * 9)
    heads, unified = plan_phases(shards, config)
    assert (heads.name, heads.heads_only, len(heads.batches)) == ("heads", True, 2)
    assert (unified.name, unified.heads_only, len(unified.batches)) == ("unified", False, 4)
    assert [epoch for epoch, _ in unified.batches] == [0, 0, 0, 1]
    assert [phase.name for phase in plan_phases(shards, TrainConfig())] == ["unified"]
    longer = plan_phases(shards, replace(config, max_steps=0))[1].batches
    assert [b.rows.tolist() for _, b in longer[:4]] == [b.rows.tolist() for _, b in unified.batches]
    assert len(longer) == 5


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
    groups = parameter_groups(model, config, heads_only=False)
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [(1e-5, 0.01), (1e-5, 0), (1e-3, 0)]
    assert {p.dim() for p in groups[0]["params"]} == {2}
    assert {p.dim() for p in groups[1]["params"]} == {1}
    grouped = [id(p) for g in groups for p in g["params"]]
    assert sorted(grouped) == sorted(map(id, model.parameters()))
    (heads,) = parameter_groups(model, config, heads_only=True)
    assert list(map(id, heads["params"])) == list(map(id, groups[2]["params"]))


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 300), st.floats(0, 1))
def test_rate_rises_to_its_peak_and_falls_towards_zero(steps: int, share: float) -> None:
    """Rising for the share of the steps, then falling; never 0, never above 1."""
    warmup = round(steps * share)
    rates = [rate_factor(step, steps, share) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    if warmup < steps:
        assert rates[warmup] == 1


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, [1, 0.75, 0.5, 0.25]), (0.5, [1 / 3, 2 / 3, 1, 0.5]), (1.0, [0.2, 0.4, 0.6, 0.8])],
)
def test_rate_by_hand(share: float, expected: list[float]) -> None:
    """Four steps without, with half and with only warm-up."""
    assert [rate_factor(n, 4, share) for n in range(4)] == pytest.approx(expected)


def test_several_processes_are_refused(tiny_encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would train a model of its own."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    trainer = Trainer(load(tiny_encoder, MODEL), TrainConfig(), [], "", "", lambda _: None)
    with pytest.raises(ConfigError, match="several processes is not implemented"):
        trainer.run()
