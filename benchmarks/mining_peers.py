"""Mine the same pairs with the same encoder here, in sentence-transformers and in FlagEmbedding.

    python -m benchmarks.mining_peers DATA WORK MODEL --peer-python PYTHON --hn-mine hn_mine.py
        [--pairs 30000] [--tokens 64] [--systems ours-fp32 ours-bf16 st-fp32 st-bf16 fe-fp32]

MODEL is a folder of all-MiniLM-L6-v2, PYTHON an interpreter that has both peers, hn_mine.py the
script of FlagEmbedding's repository (benchmarks/mining.md tells where all of it comes from). Every
system is a process of one thread from its start to its end: it reads the pairs from disk and writes
training rows. Negatives are the best 15 passages that are not the query's own, without any margin:
what all three can do. WORK/results.jsonl gets a line a run; then the negatives are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.mining_pairs import all_pairs, write_for_peers, write_for_us

NEGATIVES = 15
BATCH = 16  # of 8, 16, 32, 64 and 192 the fastest for both peers, measured on 192 passages
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
SYSTEMS = ("ours-fp32", "ours-bf16", "st-fp32", "st-bf16", "fe-fp32")

Mined = dict[str, list[str]]


def ours(arguments: argparse.Namespace, name: str, folder: Path) -> list[str]:
    """Return our command; it reads the `pairs` folder beside its output."""
    out = folder / name
    out.mkdir(exist_ok=True)
    if not (out / "pairs").exists():
        os.symlink(folder.resolve() / "pairs", out / "pairs")
    model = {
        "encoder": arguments.model,
        "pooling": "mean",
        "max_query_tokens": arguments.tokens,
        "max_passage_tokens": arguments.tokens,
    }
    mining = {
        "relations": ["title-body"],
        "negatives": NEGATIVES,
        "depth": NEGATIVES + 1,
        "max_positive_ratio": 0.0,
        "filters": [],
        "encode.dtype": name.partition("-")[2],
        "encode.store": "fp32",
    }
    lines = [f"out = {json.dumps(str(out))}", "splits.held_out = 0.0"]
    lines += [f"model.{key} = {json.dumps(value)}" for key, value in model.items()]
    lines += [f"mining.{key} = {json.dumps(value)}" for key, value in mining.items()]
    (out / "run.toml").write_text("\n".join(lines))
    return [sys.executable, "-m", "pipelines", "mine-negatives", "--config", str(out / "run.toml")]


def sentence_transformers(arguments: argparse.Namespace, name: str, folder: Path) -> list[str]:
    """Return the command that runs `mine_hard_negatives`."""
    options = {
        "tokens": arguments.tokens,
        "dtype": "bfloat16" if name.endswith("bf16") else "float32",
        "num_negatives": NEGATIVES,
        "range_max": NEGATIVES + 1,
        "use_faiss": True,
        "batch_size": BATCH,
        "verbose": False,
    }
    script = Path(__file__).with_name("mining_st.py")
    paths = [folder / "pairs.jsonl", folder / f"{name}.jsonl", arguments.model]
    return [arguments.peer_python, *map(str, [script, *paths]), json.dumps(options)]


def flag_embedding(arguments: argparse.Namespace, name: str, folder: Path) -> list[str]:
    """Return the command that runs `hn_mine.py`; 16 of the ranks 0-16 are all of them."""
    options = {
        "input_file": folder / "pairs.jsonl",
        "output_file": folder / f"{name}.jsonl",
        "range_for_sampling": f"0-{NEGATIVES + 1}",
        "negative_number": NEGATIVES + 1,
        "embedder_name_or_path": arguments.model,
        "embedder_model_class": "encoder-only-base",
        "pooling_method": "mean",
        "use_fp16": False,
        "devices": "cpu",
        "embedder_passage_max_length": arguments.tokens,
        "embedder_query_max_length": arguments.tokens,
        "batch_size": BATCH,
    }
    listed = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    return [arguments.peer_python, arguments.hn_mine, *listed]


COMMANDS: dict[str, Callable[[argparse.Namespace, str, Path], list[str]]] = {
    "ours": ours,
    "st": sentence_transformers,
    "fe": flag_embedding,
}


def measured(command: list[str], name: str, folder: Path) -> dict[str, Any]:
    """Run a command with its output in a log; return wall and CPU seconds and its peak memory."""
    started = time.monotonic()
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | ONE_THREAD)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} failed; see {folder / name}.log")
    return {
        "system": name,
        "wall": round(time.monotonic() - started, 1),
        "cpu": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": usage.ru_maxrss // 1024,
    }


def mined_by(name: str, folder: Path) -> Mined:
    """Return the negatives of each query."""
    if name.startswith("ours"):
        files = (folder / name / "training").rglob("*.parquet")
        rows = [row for path in files for row in pq.read_table(path).to_pylist()]
        return {row["query"]: row["negatives"] for row in rows}
    with (folder / f"{name}.jsonl").open(encoding="utf-8") as handle:
        rows = [json.loads(line) for line in handle]
    if name.startswith("st"):
        return {row["query"]: row["positive"][1:] for row in rows}
    return {row["query"]: row["neg"][:NEGATIVES] for row in rows}


def compare(reference: Mined, found: Mined) -> str:
    """Return how many queries have other sets of negatives, and how many negatives differ."""
    others = [set(found.get(query, ())) for query in reference]
    missing = [len(set(own) - other) for own, other in zip(reference.values(), others, strict=True)]
    total = sum(map(len, reference.values()))
    return (
        f"{sum(map(bool, missing))} of {len(missing)} queries differ, "
        f"{sum(missing)} of {total} negatives ({sum(missing) / total:.4%})"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("model")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--hn-mine", default="hn_mine.py")
    parser.add_argument("--pairs", type=int, default=30_000)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS), choices=SYSTEMS)
    arguments = parser.parse_args()
    folder = arguments.work / f"{arguments.pairs}x{arguments.tokens}"
    if not (folder / "pairs.jsonl").exists():
        folder.mkdir(parents=True, exist_ok=True)
        pairs = all_pairs(arguments.data)[: arguments.pairs]
        write_for_us(pairs, folder)
        write_for_peers(pairs, folder / "pairs.jsonl")
    for name in arguments.systems:
        command = COMMANDS[name.partition("-")[0]](arguments, name, folder)
        figures = measured(command, name, folder)
        print(figures, flush=True)
        with (arguments.work / "results.jsonl").open("a") as results:
            results.write(json.dumps({"pairs": arguments.pairs, **figures}) + "\n")
    reference = mined_by(arguments.systems[0], folder)
    for name in arguments.systems[1:]:
        print(f"{arguments.systems[0]}, {name}: {compare(reference, mined_by(name, folder))}")


if __name__ == "__main__":
    main()
