"""Stages: what each says wins, then the paper's for its kind, then `[train]`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import ConfigError
from train.batching import Batch
from train.config import TrainConfig, stage_settings
from train.plan import Phase, plan_phases, sources_of
from train.stage_config import BatchingConfig, StageConfig
from train.streams import Shard

SHARDS = [Shard("a", 0, 7), Shard("b", 0, 5)]
WARMUP, FINETUNE = StageConfig(kind="warmup", epochs=0.5), StageConfig(kind="finetune")
CONFIG = TrainConfig(epochs=1.5, stages=(WARMUP, FINETUNE), batch_sizes=(4,) * 9)


def planned(config: TrainConfig) -> list[Phase]:
    return plan_phases(dict.fromkeys(("training", "pairs", "documents"), SHARDS), config)


def listed(batches: list[Batch]) -> list[tuple[int, list[int]]]:
    return [(batch.epoch, batch.rows.tolist()) for batch in batches]


def test_plan_counts_steps() -> None:
    """A share of an epoch is its first batches; a limit cuts the end off."""
    warmup, finetune = planned(CONFIG)
    assert (warmup.name, warmup.parts, warmup.steps) == ("warmup", ("heads",), 2)
    assert (finetune.name, finetune.parts, finetune.steps) == ("finetune", ("encoder", "heads"), 5)
    longer = list(finetune.batches())
    assert len({batch.epoch for batch in longer[:3]}) == 1
    assert len({batch.epoch for batch in longer}) == 2
    limited = planned(replace(CONFIG, max_steps=4))[1]
    assert listed(list(limited.batches())) == listed(longer[:4])
    assert [phase.name for phase in planned(TrainConfig())] == ["finetune"]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 8), st.floats(0, 3), st.integers(0, 7))
def test_batches_from_any_step_on_are_the_rest(first: int, epochs: float, limit: int) -> None:
    """A resumed run counts its way to where it was."""
    (phase,) = planned(TrainConfig(epochs=epochs, max_steps=limit, batch_sizes=(4,) * 9))
    whole = listed(list(phase.batches()))
    assert len(whole) == phase.steps
    assert listed(list(phase.batches(first))) == whole[first:]


def test_stages_do_not_repeat_one_anothers_batches() -> None:
    """Two epochs in two stages are two orders; stages of one kind are numbered."""
    config = replace(CONFIG, epochs=1, stages=(FINETUNE, FINETUNE))
    first, second = planned(config)
    assert [first.name, second.name] == ["finetune", "finetune-2"]
    assert listed(list(first.batches())) != listed(list(second.batches()))


def test_a_stage_wins_over_its_kind_and_that_over_train() -> None:
    """Learning rate 5e-5 and the paper's table in pre-training, unless the stage says otherwise."""
    train = TrainConfig(learning_rate=1e-6, negatives=5, warmup_share=0.3)
    found = stage_settings(train, StageConfig(kind="pretrain"))
    assert (found.learning_rate, found.negatives, found.warmup_share) == (5e-5, 0, 0.3)
    assert [96 * size for size in found.batch_sizes] == [
        *(67200, 54720, 37248, 27648, 21504, 17280, 15072, 12288, 9984)
    ]
    own = StageConfig(kind="pretrain", learning_rate=2e-5, negatives=1)
    found = stage_settings(train, own)
    assert (found.learning_rate, found.negatives) == (2e-5, 1)
    assert stage_settings(train, FINETUNE) == replace(train, stages=())


def test_stages_say_which_folders_they_read() -> None:
    """Each once; a kind has its own default."""
    stages = [StageConfig(kind=kind) for kind in ("retromae", "pretrain", "warmup", "finetune")]
    assert [stage.data for stage in stages] == ["documents", "pairs", "training", "training"]
    assert sources_of(TrainConfig(stages=tuple(stages))) == ["documents", "pairs", "training"]
    assert sources_of(TrainConfig(stages=(StageConfig(kind="warmup", data="pairs"),))) == ["pairs"]


def test_documents_are_grouped_by_what_they_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have a source but no relation; the column is left out for them alone."""
    seen = []

    def layout(shards: list[Shard], config: BatchingConfig, world: int) -> Any:
        seen.append(config.group_by)

    monkeypatch.setattr("train.plan.layout_of", layout)
    stages = (StageConfig(kind="retromae"), FINETUNE)
    batching = BatchingConfig(group_by=("source", "relation"))
    planned(TrainConfig(stages=stages, batching=batching))
    assert seen == [("source",), ("source", "relation")]


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"kind": "fintune"}, "unknown train.stages.kind 'fintune': did you mean 'finetune'?"),
        (
            {"kind": "retromae", "data": "pairs"},
            "unknown data of the stage retromae 'pairs': valid: documents",
        ),
        ({"kind": "finetune", "data": "documents"}, "unknown data of the stage finetune"),
        ({"kind": "retromae", "encoder_mask": 0.0}, "train.stages.encoder_mask = 0.0 is outside"),
        ({"kind": "retromae", "decoder_mask": 1.0}, "train.stages.decoder_mask = 1.0 is outside"),
        ({"kind": "finetune", "max_query_tokens": -1}, "train.stages.max_query_tokens = -1"),
        ({"kind": "finetune", "max_passage_tokens": -1}, "train.stages.max_passage_tokens = -1"),
        ({"kind": "finetune", "epochs": -1.0}, "train.stages.0: train.epochs = -1.0 is outside"),
        ({"kind": "warmup", "batch_sizes": (1,)}, "train.stages.0: train.batch_sizes = (1,) needs"),
    ],
)
def test_wrong_stage_is_refused_by_name(stage: dict[str, Any], message: str) -> None:
    """When the config is read, not when the stage is due."""
    with pytest.raises(ConfigError) as caught:
        TrainConfig(stages=(StageConfig(**stage),))
    assert message in str(caught.value)


def test_no_stage_is_refused() -> None:
    """Nothing would be trained in silence."""
    with pytest.raises(ConfigError, match="lists no stage; add a table like: kind = 'finetune'"):
        sources_of(TrainConfig(stages=()))
