"""Rows a second and memory of one training step: ours, FlagEmbedding's, sentence-transformers'.

    python -m benchmarks.training_step DATA WORK --reference ORACLE_PYTHON
        [--rows 4 --group 4 --passage-tokens 256 --steps 3 --heads all|dense --dtypes fp32 bf16]

The same rows for all: questions of the training sets of DATA, lengths mixed, each with its passage
and others of its set as negatives. Each system runs in a process of its own: forward, backward and
an AdamW step on multilingual-e5-small. FlagEmbedding (unified, self-distillation; a Python that has
it, see training.md) takes part with all heads, sentence-transformers (cached multiple negatives
ranking loss) with the dense head. A step of one row, which is not timed, comes first. bf16 is
autocast for all. Memory is the peak above what the loaded model holds.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from train.precision import autocast

SETS = (
    "jaquad-train-ja",
    "tquad-train-tr",
    "iapp-train-th",
    "drcd-dev-zh_Hant",
    "arcd-train-ar",
    "qed-nq-dev-en",
)
Step = Callable[[list[dict[str, Any]]], float]


def rows_of(data: Path, count: int, group: int) -> list[dict[str, Any]]:
    """Return rows `query`, `passages` (positive first), the sets in turn."""
    draw, rows = random.Random(0), []
    for name in SETS:
        folder = data / "retrieval/train" / name
        with gzip.open(folder / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
            corpus = {row["_id"]: row["text"] for row in map(json.loads, lines)}
        with gzip.open(folder / "queries.jsonl.gz", "rt", encoding="utf-8") as lines:
            queries = {row["_id"]: row["text"] for row in map(json.loads, lines)}
        judged = [line.split("\t") for line in (folder / "qrels.tsv").read_text().splitlines()[1:]]
        for query, passage, _ in draw.sample(judged, -(-count // len(SETS))):
            others = draw.sample([i for i in corpus if i != passage], group - 1)
            texts = [corpus[i] for i in (passage, *others)]
            rows.append({"query": queries[query], "passages": texts})
    draw.shuffle(rows)
    return rows[:count]


def ours(arguments: argparse.Namespace) -> Step:
    from train.checkpoint import load
    from train.config import ModelConfig
    from train.data import collate
    from train.loss_config import LossConfig
    from train.step import Execution, backward, tokenize_batch

    limits = {"max_query_tokens": 64, "max_passage_tokens": arguments.passage_tokens}
    pooling = "mean" if arguments.heads == "dense" else "cls"  # as the peers have it
    model = load(arguments.encoder, ModelConfig(pooling=pooling, **limits)).train()
    heads = ("dense",) if arguments.heads == "dense" else ("dense", "sparse", "multi_vector")
    loss = LossConfig(heads=heads, self_distillation=arguments.heads == "all")
    execution = Execution(budget=arguments.budget, memory=arguments.memory, dtype=arguments.dtype)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def step(rows: list[dict[str, Any]]) -> float:
        import numpy as np

        training = [
            {"id": str(i), "query": r["query"], "positives": r["passages"][:1],
             "negatives": r["passages"][1:]}
            for i, r in enumerate(rows)
        ]  # fmt: skip
        batch = collate(training, arguments.group, np.random.default_rng(0))
        optimizer.zero_grad(set_to_none=True)
        found = backward(model, batch, tokenize_batch(model, batch), loss, execution)
        optimizer.step()
        return float(found.total)

    return step


def flagembedding(arguments: argparse.Namespace) -> Step:
    from FlagEmbedding.finetune.embedder.encoder_only.m3.modeling import EncoderOnlyEmbedderM3Model
    from transformers import AutoModel, AutoTokenizer

    encoder = AutoModel.from_pretrained(arguments.encoder, add_pooling_layer=False)
    tokenizer = AutoTokenizer.from_pretrained(arguments.encoder)
    width = encoder.config.hidden_size
    parts = {
        "model": encoder,
        "colbert_linear": torch.nn.Linear(width, width),
        "sparse_linear": torch.nn.Linear(width, 1),
    }
    model = EncoderOnlyEmbedderM3Model(
        parts, tokenizer=tokenizer, temperature=0.02, normalize_embeddings=True,
        unified_finetuning=True, use_self_distill=True, self_distill_start_step=-1,
    ).train()  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def features(texts: list[str], limit: int) -> Any:
        return tokenizer(
            texts, padding=True, truncation=True, max_length=limit, return_tensors="pt"
        )

    def step(rows: list[dict[str, Any]]) -> float:
        optimizer.zero_grad(set_to_none=True)
        passages = [text for row in rows for text in row["passages"]]
        queries = features([row["query"] for row in rows], 64)
        with autocast(torch.device("cpu"), arguments.dtype):
            loss = model(queries, features(passages, arguments.passage_tokens)).loss
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def sentence_transformers(arguments: argparse.Namespace) -> Step:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import (
        CachedMultipleNegativesRankingLoss,
    )

    model = SentenceTransformer(arguments.encoder, device="cpu").train()
    model.max_seq_length = arguments.passage_tokens
    cached = CachedMultipleNegativesRankingLoss(model, scale=50.0, mini_batch_size=8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def step(rows: list[dict[str, Any]]) -> float:
        optimizer.zero_grad(set_to_none=True)
        columns = [[row["query"] for row in rows]]
        columns += [[row["passages"][i] for row in rows] for i in range(arguments.group)]
        features = [model.tokenize(texts) for texts in columns]
        with autocast(torch.device("cpu"), arguments.dtype):  # backward encodes again
            loss = cached(features, None)
            loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


SYSTEMS = {
    "ours": ours, "flagembedding": flagembedding, "sentence-transformers": sentence_transformers,
}  # fmt: skip


def run_one(arguments: argparse.Namespace) -> None:
    """Train in this process; print a JSON line."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    rows = json.loads(Path(arguments.rows_file).read_text())
    step = SYSTEMS[arguments.system](arguments)
    before = _resident()
    step(rows[:1])
    seconds, losses = [], []
    for number in range(arguments.steps):
        start = time.process_time()
        losses.append(step(rows[number * arguments.rows :][: arguments.rows]))
        seconds.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    middle = statistics.median(seconds)
    row = {"system": arguments.system, "dtype": arguments.dtype, "losses": losses, "cpu_s": middle}
    row |= {"rows_per_cpu_s": arguments.rows / middle, "peak_mb": (peak - before) / 1e6}
    print(json.dumps(row))


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--reference", help="interpreter that has FlagEmbedding")
    parser.add_argument("--heads", choices=("all", "dense"), default="all")
    parser.add_argument("--memory", choices=("cache", "checkpoint", "plain"), default="cache")
    parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"])
    for name, value in {"rows": 4, "group": 4, "passage-tokens": 256, "steps": 3, "threads": 1,
                        "budget": 2048}.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    for name in ("system", "rows-file", "encoder"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    parser.add_argument("--dtype", default="fp32", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    if arguments.system:
        run_one(arguments)
        return
    from pipelines.encoders import encoder_folder

    arguments.work.mkdir(parents=True, exist_ok=True)
    path = arguments.work / "rows.json"
    found = rows_of(arguments.data, arguments.rows * arguments.steps, arguments.group)
    path.write_text(json.dumps(found))
    encoder = encoder_folder("pypi:multilingual-e5-small")
    systems = [(sys.executable, "ours")]
    if arguments.heads == "dense":
        systems.append((sys.executable, "sentence-transformers"))
    elif arguments.reference:
        systems.append((arguments.reference, "flagembedding"))
    runs = [(python, system, dtype) for dtype in arguments.dtypes for python, system in systems]
    for python, system, dtype in runs:
        command = [python, "-m", "benchmarks.training_step", *sys.argv[1:], "--system", system]
        command += ["--dtype", dtype, "--rows-file", str(path), "--encoder", encoder]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
        print(done.stdout.strip() or f"{system}: exit {done.returncode}", flush=True)


if __name__ == "__main__":
    main()
