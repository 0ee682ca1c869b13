"""A few steps on a small task: every head learns to find its passage."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.builders import short_rows, write_training_shards
from train.checkpoint import load
from train.config import ModelConfig, TrainConfig
from train.data import shards_of
from train.log import Line
from train.loss_config import LossConfig
from train.model import M3Model
from train.phase_run import Hooks
from train.plan import plan_phases
from train.scoring import all_scores
from train.trainer import Trainer

torch.set_num_threads(1)

MODEL = ModelConfig(max_query_tokens=64, max_passage_tokens=64, pooling="mean")


def test_training_lowers_every_loss_and_raises_retrieval(tiny_encoder: str, tmp_path: Path) -> None:
    """40 steps teach each head to find the sentence with the name."""
    rows = short_rows(32)
    for row in rows:
        row.positives, row.negatives = row.positives[:1], []
    shards = shards_of(str(tmp_path), write_training_shards(tmp_path, rows, [32]))
    config = TrainConfig(
        epochs=20,
        batch_sizes=(16,) * 9,
        learning_rate=2e-3,
        head_learning_rate=1e-2,
        dropout=0.0,
        loss=LossConfig(temperature=0.05),
    )

    def hits(model: M3Model) -> list[int]:
        queries = model.pad(model.tokenize([row.query for row in rows], is_query=True))
        texts = model.pad(model.tokenize([row.positives[0] for row in rows], is_query=False))
        with torch.no_grad():
            scores = all_scores(model.eval()(*queries), model(*texts))
        return [int((s.argmax(1) == torch.arange(32)).sum()) for s in scores]

    reports: list[Line] = []
    model = load(tiny_encoder, MODEL)
    before = hits(model)
    state, log = str(tmp_path / "state"), str(tmp_path / "reports" / "train.jsonl")
    phases = plan_phases({"training": shards}, config)
    Trainer(model, config, phases, state, log, Hooks(on_line=reports.append)).run()
    assert len(reports) == 40
    for name, first in reports[0].parts.items():
        assert reports[-1].parts[name] < 0.5 * first, name
    after = hits(model)
    dense, sparse, vectors = before  # the sparse head starts as token overlap, the others know less
    assert max(dense, vectors) < 10 < sparse < 24, before
    assert min(after) > 24, after
