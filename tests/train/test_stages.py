"""All kinds of stages one after the other: each from where the last ended, resumed anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from curation.records import DOCUMENT, PAIR, Document, Pair, to_table
from curation.storage import write_parquet
from curation.tokens import bucket_name
from tests.builders import articles, short_rows, write_training_shards
from train.checkpoint import load
from train.config import ModelConfig, TrainConfig
from train.data import shards_of
from train.log import Line
from train.model import M3Model, weights_digest
from train.phase_run import Hooks
from train.plan import plan_phases
from train.stage_config import StageConfig
from train.streams import Shard
from train.trainer import Trainer

torch.set_num_threads(1)

MODEL = ModelConfig(max_query_tokens=64, max_passage_tokens=64)
STAGES = tuple(
    StageConfig(kind=kind, learning_rate=1e-3, batch_sizes=(size,) * 9)
    for kind, size in (("retromae", 6), ("pretrain", 6), ("warmup", 4), ("finetune", 4))
)
CONFIG = TrainConfig(stages=STAGES, batch_tokens=300, negatives=1, save_steps=2, precision="fp32")


class Stopped(Exception):  # noqa: N818 - stands for a signal
    """The process is killed."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Shard]]:
    """Twelve documents, pairs and training rows."""
    folder = tmp_path_factory.mktemp("data")
    rows = short_rows(12)
    documents = [
        Document(str(i), "s", "", article["text"], text_hash=bytes(16))
        for i, article in enumerate(articles("en", 12))
    ]
    pairs = [Pair(r.query, r.positives[0], "title-body", "en", "en", "s") for r in rows]
    name = f"length={bucket_name(0)}/part-0.parquet"
    written = {
        "documents": ("part-0.parquet", to_table(documents, DOCUMENT)),
        "pairs": (name, to_table(pairs, PAIR)),
    }
    found = {
        kind: [write_parquet(str(folder / kind / path), table) | {"name": path}]
        for kind, (path, table) in written.items()
    }
    training = write_training_shards(folder / "training", rows, [12])
    return {
        "training": shards_of(str(folder / "training"), training),
        "pairs": shards_of(str(folder / "pairs"), {"parts": found["pairs"]}),
        "documents": shards_of(
            str(folder / "documents"), {"parts": found["documents"]}, by_length=False
        ),
    }


def train(
    encoder: str, data: Mapping[str, list[Shard]], folder: Path, stop: int = 0
) -> tuple[M3Model, list[dict[str, Any]]]:
    """Run all stages, or stop after so many steps."""
    seen: list[Line] = []

    def on_line(line: Line) -> None:
        seen.append(line)
        if len(seen) == stop:
            raise Stopped

    model, log = load(encoder, MODEL), folder / "reports" / "train.jsonl"
    phases = plan_phases(data, CONFIG)
    Trainer(model, CONFIG, phases, str(folder / "state"), str(log), Hooks(on_line=on_line)).run()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return model, [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def test_stages_follow_one_another_and_resume(
    tiny_encoder: str, data: Mapping[str, list[Shard]], tmp_path: Path
) -> None:
    """Steps, losses and rates are each stage's own; killed in every stage it ends the same."""
    whole, lines = train(tiny_encoder, data, tmp_path / "whole")
    steps = {"retromae": 2, "pretrain": 2, "warmup": 3, "finetune": 3}
    assert [(line["phase"], line["step"]) for line in lines] == [
        (kind, step + 1) for kind, count in steps.items() for step in range(count)
    ]
    parts = {line["phase"]: list(line["parts"]) for line in lines}
    assert parts["retromae"] == ["encoder", "decoder"]
    assert parts["pretrain"] == ["dense"]
    assert (
        parts["warmup"]
        == parts["finetune"]
        == [*("dense", "sparse", "multi_vector", "ensemble", "distillation")]
    )
    assert {line["gradient_norm"] > 0 for line in lines} == {True}
    for stop in (1, 3, 3, 2):
        with pytest.raises(Stopped):
            train(tiny_encoder, data, tmp_path / "again", stop)
    model, again = train(tiny_encoder, data, tmp_path / "again")
    assert again == lines
    assert weights_digest(model) == weights_digest(whole)


@pytest.mark.parametrize(
    ("kind", "moves"),
    [
        ("retromae", {"encoder"}),
        ("pretrain", {"encoder"}),
        ("warmup", {"sparse_linear", "colbert_linear"}),
        ("finetune", {"encoder", "sparse_linear", "colbert_linear"}),
    ],
)
def test_each_kind_trains_its_parts(
    tiny_encoder: str,
    data: Mapping[str, list[Shard]],
    tmp_path: Path,
    kind: str,
    moves: set[str],
) -> None:
    """And leaves every weight of the others as it was."""
    stage = next(stage for stage in STAGES if stage.kind == kind)
    config = TrainConfig(stages=(stage,), negatives=1, max_steps=1, precision="fp32")
    model, fresh = load(tiny_encoder, MODEL), load(tiny_encoder, MODEL)
    phases = plan_phases(data, config)
    Trainer(model, config, phases, str(tmp_path / "state"), str(tmp_path / "r" / "log")).run()
    moved = {
        name.partition(".")[0]
        for (name, one), other in zip(model.named_parameters(), fresh.parameters(), strict=True)
        if not torch.equal(one, other)
    }
    assert moved == moves
