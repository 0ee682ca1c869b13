"""A small mined run to refresh the negatives of, and trainings on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from curation import manifest
from curation.records import PAIR, Pair, to_table
from curation.storage import write_parquet
from pipelines.commands import train as train_command
from pipelines.config import RunConfig, load
from pipelines.refresh import Miner
from tests.builders import short_rows
from tests.command_line import run
from train.data import shards_of
from train.streams import Shard

PAIRS = 12


def write_config(folder: Path, encoder: str) -> str:
    """Write a config that mines 2 of few candidates and trains heads, then all, 3 + 6 steps."""
    path = folder / "run.toml"
    path.write_text(
        f"""
out = {json.dumps(str(folder))}
[model]
encoder = {json.dumps(encoder)}
pooling = "mean"
max_query_tokens = 64
max_passage_tokens = 64
[splits]
held_out = 0.0
[mining]
relations = ["title-body"]
negatives = 2
depth = 20
max_positive_ratio = 0.99
[mining.encode]
dtype = "fp32"
store = "fp32"
part_texts = 5
[train]
epochs = 2
batch_tokens = 200
negatives = 2
learning_rate = 1e-3
head_learning_rate = 1e-2
dropout = 0.1
precision = "fp32"
save_steps = 3
batch_sizes = [4, 4, 4, 4, 4, 4, 4, 4, 4]
[[train.stages]]
kind = "warmup"
epochs = 1
[[train.stages]]
kind = "finetune"
[ance]
every_steps = 2
poll_seconds = 0.05
"""
    )
    return str(path)


def prepare(folder: Path, encoder: str) -> str:
    """Write OUT/pairs, mine for them, and return the config's path."""
    rows = short_rows(PAIRS)
    pairs = [
        Pair(row.query, row.positives[i % 2], "title-body", "en", "en", "s", document_id=f"d{i}")
        for i, row in enumerate(rows)
    ]
    part = write_parquet(str(folder / "pairs/part-00000.parquet"), to_table(pairs, PAIR))
    manifest.publish(str(folder / "pairs"), {"fingerprint": "test", "config": {}}, [part])
    config = write_config(folder, encoder)
    result = run("mine-negatives", "--config", config)
    assert result.code == 0, result.err
    return config


def config_of(path: str, *overrides: str) -> RunConfig:
    return load(path, list(overrides))


def miner_in(config: RunConfig, work: Path) -> Miner:
    """Return a miner whose versions lie in a folder."""
    return Miner(config, str(Path(config.out) / "pool"), str(work / "negatives"))


def shards_in(config: RunConfig) -> list[Shard]:
    listed = manifest.read(str(Path(config.out) / "training"), "")
    return shards_of(str(Path(config.out) / "training"), listed)


def refreshed(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines of a log that tell of a refresh, but for the time it took."""
    return [{k: v for k, v in li.items() if k != "seconds"} for li in lines if "version" in li]


def log_in(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "reports/train.jsonl").read_text().splitlines()]


def work_in(config: RunConfig) -> Path:
    """Return the working folder of the training of a config."""
    stage = train_command.stage_for(config, train_command.input_manifests(config))
    return Path(stage.workspace.root)
