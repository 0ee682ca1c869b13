"""Evaluations during training: when, on what, and what they decide."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from curation.errors import ConfigError
from tests.train.processes import run_processes
from tests.train.runs import CONFIG, logged, train
from train.config import TrainConfig
from train.model import M3Model, weights_digest
from train.stage_config import StageConfig
from train.streams import Shard
from train.watch import MODES, Scores, Watch

ALONE = replace(CONFIG, stages=(StageConfig(kind="finetune"),), evaluate_steps=2)


class Judge:
    """Gives the scores of a list, one an evaluation, and keeps what it was asked about."""

    def __init__(self, *scores: float) -> None:
        self.scores = list(scores)
        self.seen: list[str] = []

    def __call__(self, model: M3Model) -> Scores:
        assert not model.training
        assert not model.encoder.training
        self.seen.append(weights_digest(model))
        torch.rand(7)  # what it draws must not be felt
        value = self.scores[len(self.seen) - 1]
        return {mode: {"nDCG@10": value if mode == "sparse" else 0.5} for mode in MODES}


def test_evaluations_come_every_so_many_steps_and_at_the_end(
    tiny_encoder: str, shards: list[Shard], tmp_path: Path
) -> None:
    """After steps 4 and 6 of 6; they change no weight of a run that keeps the last."""
    judge = Judge(0.5, 0.4)
    config = replace(ALONE, evaluate_steps=4)
    model = train(tiny_encoder, shards, tmp_path / "a", config, evaluate=judge)
    found = [line for line in logged(tmp_path / "a") if "scores" in line]
    assert [(line["phase"], line["step"], line["is_best"]) for line in found] == [
        ("finetune", 4, True),
        ("finetune", 6, False),
    ]
    assert found[1]["scores"]["sparse"] == {"nDCG@10": 0.4}
    plain = train(tiny_encoder, shards, tmp_path / "b", replace(ALONE, evaluate_steps=0))
    assert weights_digest(model) == weights_digest(plain) == judge.seen[1]


@pytest.mark.parametrize(
    ("scores", "best"), [((0.1, 0.9, 0.3), 1), ((0.1, 0.2, 0.3), 2), ((0.5, 0.5, 0.5), 0)]
)
def test_the_best_weights_are_kept(
    tiny_encoder: str, shards: list[Shard], tmp_path: Path, scores: tuple[float, ...], best: int
) -> None:
    """By the metric that was named; of equal ones the first."""
    judge = Judge(*scores)
    config = replace(ALONE, keep="best", keep_by="sparse")
    model = train(tiny_encoder, shards, tmp_path, config, evaluate=judge)
    assert len(set(judge.seen)) == 3
    assert weights_digest(model) == judge.seen[best]


def test_patience_ends_a_stage_and_not_the_run(
    tiny_encoder: str, shards: list[Shard], tmp_path: Path
) -> None:
    """Two evaluations without a gain: the first stage ends after 3 steps, the next one begins."""
    stages = (StageConfig(kind="finetune"), StageConfig(kind="finetune", epochs=1))
    config = replace(ALONE, stages=stages, evaluate_steps=1, patience=2, keep_by="sparse")
    judge = Judge(0.5, 0.4, 0.5, 0.1, 0.2, 0.3)
    train(tiny_encoder, shards, tmp_path, config, evaluate=judge)
    steps = [(line["phase"], line["step"]) for line in logged(tmp_path) if "loss" in line]
    assert steps == [(p, n) for p in ("finetune", "finetune-2") for n in (1, 2, 3)]


def _train_and_tell(case: dict[str, Any], model: M3Model, rank: int) -> tuple[list[int], str]:
    """Train in this process of two; return who evaluated, seen from here, and the weights."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}
    scores, asked = iter((0.2, 0.9, 0.1)), []

    def judge(_: M3Model) -> Scores:
        asked.append(rank)
        return {mode: {"nDCG@10": next(scores)} for mode in ("all",)}

    trained = train(
        case["encoder"], case["shards"], Path(case["folder"]), case["config"], evaluate=judge
    )
    return asked, weights_digest(trained)


def test_one_of_two_processes_evaluates_and_both_keep_its_best(
    tiny_encoder: str, shards: list[Shard], tmp_path: Path
) -> None:
    """The second waits for the scores; both end with the weights of the best step."""
    config = replace(ALONE, keep="best", batch_sizes=(2,) * 9)
    case = {
        "encoder": tiny_encoder,
        "shards": shards,
        "folder": str(tmp_path / "run"),
        "config": config,
    }
    found = run_processes(tmp_path, tiny_encoder, 2, [case], step=_train_and_tell)
    (asked, weights), (others, same) = (outcomes[0][0] for outcomes in found)
    assert (asked, others) == ([0, 0, 0], [])
    assert weights == same
    lines = [line for line in logged(tmp_path / "run") if "scores" in line]
    assert [(line["step"], line["is_best"]) for line in lines] == [
        (2, True), (4, True), (6, False)
    ]  # fmt: skip


def test_watch_counts_since_the_best() -> None:
    watch = Watch("all", 2)
    seen = []
    for step, value in enumerate([0.0, 0.3, 0.2, 0.4, 0.4, 0.1]):
        is_best = watch.see(step, {"all": {"nDCG@10": value}})
        seen.append((is_best, watch.has_seen_enough))
    assert [best for best, _ in seen] == [True, True, False, True, False, False]
    assert [enough for _, enough in seen] == [False] * 5 + [True]
    assert (watch.best, watch.best_step) == (0.4, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"keep": "best"}, r"train\.keep = 'best' needs evaluations: set train\.evaluate_steps"),
        ({"patience": 1}, r"train\.patience needs evaluations"),
        ({"keep_by": "spares"}, "unknown train.keep_by 'spares': did you mean 'sparse'"),
        ({"schedule": "cosin"}, "unknown train.schedule 'cosin': did you mean 'cosine'"),
        ({"spike_factor": 1.0}, r"train\.spike_factor = 1\.0 is outside 1\.1"),
        (
            {"shard": True, "memory": "plain"},
            "shard = true goes with train.memory = 'cache'",
        ),
        ({"shard": True, "compile": True}, "goes with train.compile = false only"),
        ({"shard": True, "batch_tokens": 0}, "goes with train.batch_tokens and train.batch_sizes"),
        ({"shard": True, "stages": (StageConfig(kind="retromae"),)}, "other than retromae only"),
    ],
    ids=str,
)
def test_options_that_cannot_act_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**values)  # type: ignore[arg-type]
