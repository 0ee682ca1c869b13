"""The training loop: it stops and goes on as if it had not, and ignores no option."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from curation.errors import InputError, TrainingError
from tests.train.runs import CONFIG, MODEL, Killed, kill_after, log_of, logged, train
from train.checkpoint import load
from train.loss_config import LossConfig
from train.model import M3Model, weights_digest
from train.phase_run import Hooks
from train.plan import plan_phases
from train.stage_config import StageConfig
from train.streams import Shard
from train.trainer import Trainer

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def whole(
    tiny_encoder: str, shards: list[Shard], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[dict[str, Any]]]:
    """The digest and log of the run that nothing stops."""
    folder = tmp_path_factory.mktemp("whole")
    return weights_digest(train(tiny_encoder, shards, folder)), logged(folder)


@pytest.mark.parametrize("stops", [(1,), (2,), (3,), (4,), (6,), (9,), (4, 2, 1)], ids=str)
def test_stopped_run_ends_as_if_never_stopped(
    tiny_encoder: str,
    shards: list[Shard],
    tmp_path: Path,
    whole: tuple[str, list[dict[str, Any]]],
    stops: tuple[int, ...],
) -> None:
    """Killed before, at and after saves and phases: weights bit-equal, each step logged once."""
    for steps in stops:
        with pytest.raises(Killed):
            train(tiny_encoder, shards, tmp_path, on_step=kill_after(steps))
    model = train(tiny_encoder, shards, tmp_path, change=lambda m: torch.manual_seed(99))
    assert weights_digest(model) == whole[0]
    assert logged(tmp_path) == whole[1]


def test_share_rises_evenly_over_all_phases(whole: tuple[str, list[dict[str, Any]]]) -> None:
    """The progress line never starts again at a new phase."""
    shares = [line["share"] for line in whole[1]]
    assert shares == [step / 9 for step in range(1, 10)]


def test_finished_run_trains_no_more(
    tiny_encoder: str,
    shards: list[Shard],
    tmp_path: Path,
    whole: tuple[str, list[dict[str, Any]]],
) -> None:
    """Started again it only loads its last state; one state is kept."""
    train(tiny_encoder, shards, tmp_path)
    assert sorted(os.listdir(tmp_path / "state")) == ["position.json", "state-2-0"]
    again = train(tiny_encoder, shards, tmp_path, on_step=kill_after(1))
    assert weights_digest(again) == whole[0]
    assert logged(tmp_path) == whole[1]


def test_new_run_does_not_keep_an_older_runs_log(
    tiny_encoder: str, shards: list[Shard], tmp_path: Path
) -> None:
    """A run without a saved state starts its log anew."""
    Path(log_of(tmp_path)).parent.mkdir()
    Path(log_of(tmp_path)).write_text("{}\n" * 50)
    train(tiny_encoder, shards, tmp_path)
    assert [line["step"] for line in logged(tmp_path)] == [1, 2, 3, 1, 2, 3, 4, 5, 6]


def test_log_tells_phase_rate_and_losses(whole: tuple[str, list[dict[str, Any]]]) -> None:
    """Every step has its place, its total and parts, the tokens, and the rate in force."""
    lines = whole[1]
    assert [(line["phase"], line["step"], line["steps"]) for line in lines] == [
        *(("warmup", n, 3) for n in (1, 2, 3)),
        *(("finetune", n, 6) for n in range(1, 7)),
    ]
    rates = [1e-2, 1e-2 * 2 / 3, 1e-2 / 3, *(1e-3 * f for f in (0.5, 1, 0.8, 0.6, 0.4, 0.2))]
    assert [line["learning_rate"] for line in lines] == pytest.approx(rates)
    for line in lines:
        names = ["dense", "sparse", "multi_vector", "ensemble", "distillation"]
        assert list(line["parts"]) == names
        own = [line["parts"][name] for name in names]
        plain = (own[0] + 0.1 * own[1] + own[2] + own[3]) / 4
        assert line["loss"] == pytest.approx((plain + own[4]) / 2, rel=1e-5)
        assert line["tokens"] > 100
        assert line["gradient_norm"] > 0


SHORT = replace(CONFIG, epochs=1)


@pytest.fixture(scope="module")
def digest(tiny_encoder: str, shards: list[Shard], tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the options below are compared with."""
    return weights_digest(train(tiny_encoder, shards, tmp_path_factory.mktemp("short"), SHORT))


CHANGES: dict[str, dict[str, Any]] = {
    "epochs": {"epochs": 0.4},
    "max_steps": {"max_steps": 1},
    "stages": {"stages": (StageConfig(kind="finetune"),)},
    "batch_sizes": {"batch_sizes": (3, *(4,) * 8)},
    "negatives": {"negatives": 2},
    "learning_rate": {"learning_rate": 2e-3},
    "head_learning_rate": {"head_learning_rate": 2e-2},
    "warmup_share": {"warmup_share": 0.5},
    "schedule": {"schedule": "constant"},
    "weight_decay": {"weight_decay": 0.5},
    "max_gradient_norm": {"max_gradient_norm": 1e-3},
    "precision": {"precision": "bf16"},
    "dropout": {"dropout": 0.2},
    "dropout of the config": {"dropout": -1},
    "freeze": {"freeze": ("embeddings",)},
    "seed": {"seed": 1},
    "temperature": {"loss": LossConfig(temperature=0.05)},
    "ensemble_weights": {"loss": LossConfig(ensemble_weights=(1.0, 0.3, 0.9))},
    "loss_weights": {"loss": LossConfig(loss_weights=(1.0, 0.2, 1.0))},
    "self_distillation": {"loss": LossConfig(self_distillation=False)},
    "preset": {"loss": LossConfig(preset="simple")},
    "combine": {"loss": LossConfig(combine="sum", temperature=0.5)},
    "heads": {"loss": LossConfig(heads=("dense", "sparse"))},
    "margin": {"loss": LossConfig(false_negative_margin=-1.0)},
    "matryoshka": {"loss": LossConfig(matryoshka=(32, 8))},
    "matryoshka_weights": {"loss": LossConfig(matryoshka=(32, 8), matryoshka_weights=(1.0, 9.0))},
}
SAME = {
    "dropout of the config",
    "save_steps",
    "spike_factor",
}  # the tiny encoder's config says 0.1 as CONFIG does


@pytest.mark.parametrize(
    ("name", "change"),
    [*CHANGES.items(), ("save_steps", {"save_steps": 1}), ("spike_factor", {"spike_factor": 9.0})],
    ids=[*CHANGES, "save_steps", "spike_factor"],
)
def test_every_option_has_its_effect(
    tiny_encoder: str,
    shards: list[Shard],
    tmp_path: Path,
    digest: str,
    name: str,
    change: dict[str, Any],
) -> None:
    """Each option of the objective changes the weights; how often to save does not."""
    model = train(tiny_encoder, shards, tmp_path, replace(SHORT, **change))
    assert (weights_digest(model) == digest) == (name in SAME)


@pytest.mark.parametrize(
    "change",
    [{"memory": "plain"}, {"memory": "checkpoint"}, {"batch_tokens": 1 << 20}],
    ids=["plain", "checkpoint", "at once"],
)
def test_memory_options_do_not_change_the_loss(
    tiny_encoder: str, shards: list[Shard], tmp_path: Path, change: dict[str, Any]
) -> None:
    """Without dropout, sub-batches and caching are matters of memory alone."""
    config = replace(CONFIG, dropout=0.0, epochs=1, learning_rate=1e-4)
    train(tiny_encoder, shards, tmp_path / "a", config)
    train(tiny_encoder, shards, tmp_path / "b", replace(config, **change))
    losses = [[line["loss"] for line in logged(tmp_path / name)] for name in "ab"]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_warmup_leaves_the_encoder_alone(
    tiny_encoder: str, shards: list[Shard], tmp_path: Path
) -> None:
    """Both heads move, no weight of the encoder does, and dropout is off."""
    fresh = load(tiny_encoder, MODEL)
    model = train(tiny_encoder, shards, tmp_path, replace(CONFIG, epochs=0))
    moved = {
        name
        for (name, a), b in zip(model.named_parameters(), fresh.parameters(), strict=True)
        if not torch.equal(a, b)
    }
    heads = ("sparse_linear", "colbert_linear")
    assert moved == {f"{head}.{part}" for head in heads for part in ("weight", "bias")}
    other = replace(CONFIG, epochs=0, dropout=0.5)
    assert weights_digest(train(tiny_encoder, shards, tmp_path / "b", other)) == weights_digest(
        model
    )


@pytest.mark.parametrize(
    ("part", "prefix"), [("embeddings", "embeddings."), ("layer.1", "encoder.layer.1.")]
)
def test_frozen_parts_do_not_move(
    tiny_encoder: str, shards: list[Shard], tmp_path: Path, part: str, prefix: str
) -> None:
    """Exactly the named part keeps its weights, also after the warm-up."""
    fresh = load(tiny_encoder, MODEL)
    model = train(tiny_encoder, shards, tmp_path, replace(CONFIG, freeze=(part,)))
    for (name, a), b in zip(
        model.encoder.named_parameters(), fresh.encoder.parameters(), strict=True
    ):
        if not name.endswith("key.bias"):  # softmax cancels it: its gradient is rounding noise
            assert torch.equal(a, b) == name.startswith(prefix), name


def spoil_weights(model: M3Model) -> None:
    torch.nn.init.constant_(model.colbert_linear.weight, math.nan)


def spoil_gradient(model: M3Model) -> None:
    model.sparse_linear.bias.register_hook(lambda gradient: gradient * math.inf)


@pytest.mark.parametrize(
    ("change", "message"),
    [(spoil_weights, "the loss is nan"), (spoil_gradient, "its gradient's norm (inf|nan)")],
    ids=["loss", "gradient"],
)
def test_not_a_number_stops_the_run(
    tiny_encoder: str,
    shards: list[Shard],
    tmp_path: Path,
    change: Callable[[M3Model], None],
    message: str,
) -> None:
    """No step is taken, no state saved; the rows at fault are written down."""
    model = load(tiny_encoder, MODEL)
    change(model)
    before = weights_digest(model)
    phases = plan_phases({"training": shards}, CONFIG)
    trainer = Trainer(
        model,
        CONFIG,
        phases,
        str(tmp_path / "state"),
        log_of(tmp_path),
        Hooks(on_line=kill_after(1)),
    )
    with pytest.raises(TrainingError, match=message) as caught:
        trainer.run()
    bad = tmp_path / "state" / "bad-batch.json"
    assert str(bad) in str(caught.value)
    assert "lower train.learning_rate or train.max_gradient_norm" in str(caught.value)
    planned = next(phases[0].batches()).rows.tolist()
    assert json.loads(bad.read_text())["rows"] == [f"row-{i:03d}" for i in planned]
    assert weights_digest(model) == before
    assert os.listdir(tmp_path / "state") == ["bad-batch.json"]


def test_damaged_state_is_refused(tiny_encoder: str, shards: list[Shard], tmp_path: Path) -> None:
    """The message names the file, and what to remove to begin again."""
    with pytest.raises(Killed):
        train(tiny_encoder, shards, tmp_path, on_step=kill_after(3))
    path = tmp_path / "state" / "state-0-2" / "model.pt"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError) as caught:
        train(tiny_encoder, shards, tmp_path)
    assert str(caught.value).startswith(f"{path} is damaged (")
    assert str(caught.value).endswith(f"; remove {tmp_path / 'state'} to begin again")
