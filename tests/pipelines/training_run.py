"""A folder to train on, and training in processes that torchrun starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from curation import manifest
from tests.builders import short_rows, write_training_shards

ROOT = Path(__file__).parents[2]


def prepare(folder: Path, encoder: str, rows: int = 12) -> list[str]:
    """Write OUT/training and return the arguments of a training on it: 3 and 3 steps of 4 rows."""
    training = folder / "training"
    texts = short_rows(rows)
    for row in texts:
        row.positives = row.positives[:1]  # which one is drawn depends on the batch's cut
    parts = write_training_shards(training, texts, [rows - 5, 5])["parts"]
    manifest.publish(str(training), {"fingerprint": "test", "config": {}}, parts)
    config = folder / "run.toml"
    config.write_text(
        f"""
out = {json.dumps(str(folder))}
[model]
encoder = {json.dumps(encoder)}
pooling = "mean"
max_query_tokens = 64
max_passage_tokens = 64
[train]
batch_tokens = 200
negatives = 1
learning_rate = 1e-3
head_learning_rate = 1e-2
dropout = 0.0
precision = "fp32"
save_steps = 2
batch_sizes = [4, 4, 4, 4, 4, 4, 4, 4, 4]
[[train.stages]]
kind = "warmup"
[[train.stages]]
kind = "finetune"
"""
    )
    return ["train", "--config", str(config)]


def beir(folder: Path) -> str:
    """Write a set of 4 queries and 9 passages in BEIR layout."""
    rows = short_rows(9)
    folder.mkdir()
    queries = [json.dumps({"_id": f"q{i}", "text": row.query}) for i, row in enumerate(rows[:4])]
    corpus = [json.dumps({"_id": f"d{i}", "text": row.positives[0]}) for i, row in enumerate(rows)]
    judged = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in range(4))]
    for name, lines in (("queries", queries), ("corpus", corpus)):
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    (folder / "qrels.tsv").write_text("\n".join(judged))
    return str(folder)


def torchrun(
    arguments: list[str], processes: int = 2, timeout: float = 120, stop_at: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run a command in so many processes; with `stop_at`, SIGTERM comes to all after that step.

    Nothing that was started outlives the call.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RANK", "WORLD_SIZE"))}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    program += ["--nproc-per-node", str(processes), "-m", "pipelines", *arguments]
    if stop_at:
        program[-len(arguments) - 1] = "tests.pipelines.stopped_run"
        environment["STOP_AT"] = str(stop_at)
    with subprocess.Popen(
        program,
        env=environment,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(program, process.returncode, out, err)


def steps(folder: Path) -> list[dict[str, Any]]:
    """Return the steps of the log."""
    lines = (folder / "reports/train.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if "loss" in line]
