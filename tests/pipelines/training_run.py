"""A folder to train on, and training in processes that torchrun starts."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
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


def torchrun(arguments: list[str], timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a command in two processes as torchrun starts them; nothing outlives the call."""
    names = ("RANK", "WORLD_SIZE")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(names)}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    program += ["--nproc-per-node", "2", "-m", "pipelines", *arguments]
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


def in_two(arguments: list[str], folder: Path, stop_at: int = 0, timeout: float = 60) -> str:
    """Run a command in two processes that fork where all is imported; return what they print.

    With `stop_at` the last process gets a SIGTERM after that step. Both must exit with 0.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipelines.training", "pipelines.commands.train"])
    texts = [str(folder / f"printed-{rank}") for rank in range(2)]
    children = [
        context.Process(target=_run_rank, args=(arguments, rank, port, texts[rank], stop_at))
        for rank in range(2)
    ]
    try:
        for child in children:
            child.start()
        for child in children:
            child.join(timeout)
        printed = "".join(Path(text).read_text() for text in texts)
        assert [child.exitcode for child in children] == [0, 0], printed
    finally:
        for child in children:
            if child.is_alive():
                child.kill()
                child.join()
    return "".join(line for line in printed.splitlines(True) if line.startswith("train: "))


def _run_rank(arguments: list[str], rank: int, port: int, text: str, stop_at: int) -> None:
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    names |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in names.items()}
    if stop_at and rank == 1:
        _stop_after(stop_at)
    with open(text, "w", encoding="utf-8") as sys.stdout:
        sys.stderr = sys.stdout
        from pipelines.cli import main

        sys.exit(main(arguments))


def _stop_after(steps: int) -> None:
    """Let the process send itself a SIGTERM after so many steps."""
    from train.learner import Learner

    learn, left = Learner.learn, [steps]

    def counted(*given: Any) -> Any:
        report = learn(*given)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGTERM)
        return report

    Learner.learn = counted  # type: ignore[method-assign]


def steps(folder: Path) -> list[dict[str, Any]]:
    """Return the steps of the log."""
    lines = (folder / "reports/train.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if "loss" in line]
