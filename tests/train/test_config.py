"""The `[model]` and `[train]` tables: defaults of the paper, wrong values refused by name."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError
from train.config import ModelConfig, TrainConfig
from train.loss_config import LossConfig

NAN = float("nan")


def test_loss_defaults_are_the_papers_final_form() -> None:
    """w = (1, 0.3, 1), λ = (1, 0.1, 1), τ = 0.02, with self-distillation."""
    config = LossConfig()
    assert config.temperature == 0.02
    assert config.ensemble_weights == (1.0, 0.3, 1.0)
    assert config.loss_weights == (1.0, 0.1, 1.0)
    assert config.self_distillation is True


def test_batch_defaults_are_the_papers_fine_tuning_table() -> None:
    """Table 9 per GPU, times 24 GPUs, gives its totals; 7 hard negatives."""
    totals = [24 * size for size in TrainConfig().batch_sizes]
    assert totals == [1152, 768, 480, 432, 336, 336, 288, 240, 192]
    assert TrainConfig().negatives == 7


@pytest.mark.parametrize(
    ("kind", "option", "value", "named"),
    [
        (ModelConfig, "max_query_tokens", 1, "model.max_query_tokens = 1 is outside 2 .. "),
        (ModelConfig, "max_passage_tokens", 0, "model.max_passage_tokens = 0"),
        (ModelConfig, "colbert_dim", -1, "model.colbert_dim = -1"),
        (LossConfig, "temperature", 0.0, "train.loss.temperature = 0.0"),
        (LossConfig, "temperature", NAN, "train.loss.temperature = nan"),
        (LossConfig, "ensemble_weights", (1.0, -0.3, 1.0), "train.loss.ensemble_weights = -0.3"),
        (LossConfig, "loss_weights", (1.0, 0.1, NAN), "train.loss.loss_weights = nan"),
        (TrainConfig, "epochs", -1.0, "train.epochs = -1.0"),
        (TrainConfig, "max_steps", -1, "train.max_steps = -1"),
        (TrainConfig, "memory_gb", -0.5, "train.memory_gb = -0.5"),
        (TrainConfig, "batch_tokens", 8, "train.batch_tokens = 8"),
        (TrainConfig, "negatives", -1, "train.negatives = -1"),
        (TrainConfig, "learning_rate", -1e-5, "train.learning_rate = -1e-05"),
        (TrainConfig, "head_learning_rate", NAN, "train.head_learning_rate = nan"),
        (TrainConfig, "warmup_share", 1.5, "train.warmup_share = 1.5 is outside 0 .. 1"),
        (TrainConfig, "weight_decay", -0.1, "train.weight_decay = -0.1"),
        (TrainConfig, "max_gradient_norm", 0.0, "train.max_gradient_norm = 0.0"),
        (TrainConfig, "dropout", -0.5, "train.dropout = -0.5 is outside 0 .. 0.99"),
        (TrainConfig, "dropout", 1.0, "train.dropout = 1.0"),
        (TrainConfig, "seed", -1, "train.seed = -1"),
        (TrainConfig, "save_steps", 0, "train.save_steps = 0"),
    ],
)
def test_value_out_of_range_is_refused_by_name(
    kind: type, option: str, value: Any, named: str
) -> None:
    """The message begins with the option and its value."""
    with pytest.raises(ConfigError) as caught:
        kind(**{option: value})
    assert str(caught.value).startswith(named)


@pytest.mark.parametrize("sizes", [(8,) * 8, (8,) * 10, (0, *(8,) * 8)])
def test_batch_sizes_need_one_positive_number_per_bucket(sizes: tuple[int, ...]) -> None:
    """Eight, ten, or one of zero do not cover the nine length buckets."""
    with pytest.raises(ConfigError, match=r"train.batch_sizes .* needs nine positive numbers"):
        TrainConfig(batch_sizes=sizes)


def test_unknown_pooling_lists_the_valid_ones() -> None:
    """A typo gets the nearest name and all valid ones."""
    with pytest.raises(ConfigError) as caught:
        ModelConfig(pooling="clss")
    assert str(caught.value) == (
        "unknown model.pooling 'clss': did you mean 'cls'? valid: cls, mean"
    )


@pytest.mark.parametrize("kind", [ModelConfig, LossConfig, TrainConfig])
def test_configs_are_frozen_and_keyword_only(kind: type) -> None:
    """No option can be set by position, under another name, or later."""
    with pytest.raises(TypeError):
        kind(1)
    with pytest.raises(TypeError):
        kind(no_such_option=1)
    with pytest.raises(FrozenInstanceError):
        setattr(kind(), next(iter(kind.__slots__)), None)


@settings(deadline=None, max_examples=50)
@given(st.floats(-1e3, 1e3))
def test_temperature_is_taken_inside_its_range_only(value: float) -> None:
    """A valid value is kept as it is; any other raises."""
    if 1e-4 <= value <= 10.0:
        assert LossConfig(temperature=value).temperature == value
    else:
        with pytest.raises(ConfigError, match="temperature"):
            LossConfig(temperature=value)
