"""Memory, time and recall of the dense index at 100k, 1M and 5M vectors.

    python -m benchmarks.mining_index vectors DATA WORK     encode real passages and questions
    python -m benchmarks.mining_index measure WORK [N …]    search them and perturbed copies

Vectors beyond the real ones are copies with noise of 0.03 a dimension, normalised again, in fp16
shards on disk. Each measurement is a process of its own: what it held when it began, its peak above
that, and CPU seconds.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

SIZES = (100_000, 1_000_000, 5_000_000)
_PASSAGES, _QUERIES, _TOKENS = 3_000, 200, 32
_SHARD = 1 << 16
_NOISE = 0.03
_DEPTH = 100
MEMORY_MB = (256.0, 1024.0)


def lines(path: Path) -> Iterator[str]:
    """Yield the texts of a corpus or of questions in BEIR layout."""
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        for line in handle:
            yield json.loads(line)["text"]


def real_texts(data: Path, name: str, count: int) -> list[str]:
    """Return distinct texts of all sets, as many of each language as there are."""
    files = sorted((data / "retrieval").glob(f"*/*/{name}.jsonl.gz"))
    readers = [lines(path) for path in files]
    texts: dict[str, None] = {}
    while readers and len(texts) < count:
        for reader in list(readers):
            text = next(reader, None)
            if text is None:
                readers.remove(reader)
            elif text.strip():
                texts.setdefault(text)
    return list(texts)[:count]


def encode(data: Path, work: Path) -> None:
    """Encode real passages and questions with the demo's encoder; a second call does nothing."""
    from mining.encode_config import EncodeConfig
    from mining.encode_parts import PartEncoder
    from mining.text_parts import ListedTexts
    from pipelines.encoders import encoder_folder
    from train.checkpoint import load
    from train.config import ModelConfig

    model = ModelConfig(
        pooling="mean",
        query_prompt="query: ",
        passage_prompt="passage: ",
        max_query_tokens=_TOKENS,
        max_passage_tokens=_TOKENS,
    )
    options = EncodeConfig(part_texts=500)
    folder = str(work / "cache")
    encoder = PartEncoder.of(load(encoder_folder(model.encoder), model), options, folder, print)
    for name, count, is_query in (
        ("corpus", _PASSAGES, False),
        ("queries", _QUERIES, True),
    ):
        texts = real_texts(data, name, count)
        started = time.process_time()
        parts = ListedTexts(texts, options.part_texts)
        found = encoder.encode(parts, is_query=is_query, report=_told)
        np.save(work / f"{name}.npy", found.dense[:].astype(np.float16))
        print(f"\n{len(texts):,} {name}: {time.process_time() - started:.0f} CPU s")


def _told(done: int, tokens: int) -> None:
    print(f"\r{done:,} texts, {tokens:,} tokens", end="", flush=True)


def shards(work: Path, size: int) -> list[str]:
    """Write the first `size` vectors as fp16 shards; those that are there stay."""
    real = np.load(work / "corpus.npy").astype(np.float32)
    folder = work / "shards"
    folder.mkdir(exist_ok=True)
    paths = []
    for start in range(0, size, _SHARD):
        rows = min(_SHARD, size - start)
        path = folder / f"{start:09d}-{rows}.npy"
        paths.append(str(path))
        if not path.exists():
            draw = np.random.default_rng(start)
            found = real[(start + np.arange(rows)) % len(real)]
            copies = np.arange(start, start + rows) >= len(real)
            noise = draw.standard_normal((int(copies.sum()), real.shape[1]), np.float32)
            found[copies] += _NOISE * noise
            found /= np.linalg.norm(found, axis=1, keepdims=True)
            np.save(path, found.astype(np.float16))
    return paths


def one(arguments: argparse.Namespace) -> None:
    """Build and search in this process; print what it took as JSON."""
    import faiss

    from mining.index import DenseIndex
    from mining.index_config import IndexConfig
    from mining.shards import Shards

    faiss.omp_set_num_threads(arguments.threads)
    vectors = Shards(arguments.shards.read_text().split())
    queries = np.load(arguments.queries)[:_QUERIES].astype(np.float32)
    config = IndexConfig(
        memory_mb=arguments.memory_mb,
        factory=arguments.factory,
        exact_pairs=1e18 if arguments.factory == "Flat" else 0,
    )
    said: list[str] = []
    DenseIndex.build(vectors[:2000], config).search(queries[:2], 10)  # loads what is loaded once
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    started = time.process_time()
    index = DenseIndex.build(vectors, config, queries=queries, depth=_DEPTH, say=said.append)
    built = time.process_time()
    scores, numbers = index.search(queries, _DEPTH)
    ended = time.process_time()
    size = sum(os.path.getsize(file) for file in index.pieces.files) if index.pieces else 0
    found = {
        "index": index.factory,
        "effort": str(index.effort),
        "held": before,
        "above": _resident("VmHWM") - before,
        "build": built - started,
        "search": (ended - built) / len(queries) * 1000,
        "recall": None if index.recall is None else index.recall.at_100,
        "window": None if index.recall is None else index.recall.window,
        "index_mb": size / (1 << 20),
        "best": float(scores[:, 0].mean()),
        "found": int((numbers >= 0).sum()),
        "said": said,
    }
    print(json.dumps(found))


def _resident(name: str) -> float:
    """Return a line of the process's status in MB: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(name))) / 1024


def measure(arguments: argparse.Namespace) -> None:
    """Measure each size, memory and kind in a process of its own; print a table."""
    head = "vectors memory_mb index effort held_mb peak_above_mb build_cpu_s ms_per_query R@100"
    print("| " + " | ".join(head.split()) + " | index_mb |")
    print("|" + " --- |" * 10)
    work = arguments.work
    for size in arguments.sizes or SIZES:
        listed = work / f"shards-{size}.txt"
        listed.write_text("\n".join(shards(work, size)))
        for factory in arguments.factories:
            for memory in arguments.memory_mb:
                options = ["--factory", factory, "--memory-mb", str(memory)]
                found = _run([str(listed), str(work / "queries.npy"), *options], arguments.threads)
                recall = "1" if found["recall"] is None else f"{found['recall']:.4f}"
                print(
                    f"| {size:,} | {memory:g} | {found['index']} | {found['effort']} | "
                    f"{found['held']:.0f} | {found['above']:.0f} | {found['build']:.1f} | "
                    f"{found['search']:.2f} | {recall} | {found['index_mb']:.0f} |",
                    flush=True,
                )
                if arguments.verbose:
                    print("\n".join(found["said"]), flush=True)


def _run(arguments: list[str], threads: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.mining_index", "one", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [*command, "--threads", str(threads)], env=environment, stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    vectors = commands.add_parser("vectors")
    vectors.add_argument("data", type=Path)
    vectors.add_argument("work", type=Path)
    several = commands.add_parser("measure")
    several.add_argument("work", type=Path)
    several.add_argument("sizes", type=int, nargs="*")
    several.add_argument("--memory-mb", type=float, nargs="*", default=MEMORY_MB)
    several.add_argument("--factories", nargs="*", default=["Flat", "auto"])
    several.add_argument("--threads", type=int, default=1)
    several.add_argument("--verbose", action="store_true")
    single = commands.add_parser("one")
    single.add_argument("shards", type=Path)
    single.add_argument("queries", type=Path)
    single.add_argument("--memory-mb", type=float, required=True)
    single.add_argument("--factory", required=True)
    single.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.command == "vectors":
        arguments.work.mkdir(parents=True, exist_ok=True)
        encode(arguments.data, arguments.work)
    else:
        {"measure": measure, "one": one}[arguments.command](arguments)


if __name__ == "__main__":
    main()
