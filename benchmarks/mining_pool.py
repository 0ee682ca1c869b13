"""Memory and time of a mining pool: passages read from Parquet, taken in, and grouped.

    python -m benchmarks.mining_pool DATA WORK [--passages 100000 1000000]

A passage is 150 words drawn from real ones, so that no two are alike: about 1 KB. Each line is a
process of its own; "held" and "peak" are its memory above what it held when it began, without the
mapped texts (the kernel takes those back), sampled every 20 ms.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.mining_index import real_texts

_WORDS, _BATCH, _QUESTIONS = 150, 8192, 1000


def write(data: Path, path: Path, count: int) -> None:
    """Write `count` passages with id, text and language."""
    words = np.array(" ".join(real_texts(data, "corpus", 3000)).split())
    random = np.random.default_rng(0)
    schema = pa.schema([(name, pa.string()) for name in ("id", "text", "language")])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, count, _BATCH):
            size = min(_BATCH, count - start)
            chosen = words[random.integers(0, len(words), (size, _WORDS))].tolist()
            texts = [" ".join(row) for row in chosen]
            ids = [f"d{start + place}" for place in range(size)]
            writer.write_table(pa.table([ids, texts, ["en"] * size], schema))


def questions() -> pa.Table:
    """Return rows whose positives are no passage of the corpus."""
    from mining.rows import ROW

    rows = [
        dict.fromkeys(ROW.names, "en")
        | {"id": f"{n:04d}", "query": f"question {n}", "document_id": "", "query_document_id": ""}
        | {"positives": [f"answer {n}"], "positive_ids": [f"a{n}"]}
        | {"negatives": [], "negative_ids": []}
        | {"positive_teacher_scores": None, "negative_teacher_scores": None}
        for n in range(_QUESTIONS)
    ]
    return pa.Table.from_pylist(rows, ROW)


def anonymous_mb() -> float:
    """Return this process's memory that no file backs."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status has no RssAnon")


def one(path: Path) -> None:
    """Build the pool of a corpus and print what it took."""
    from mining.config import MiningConfig
    from mining.corpus import files_corpus, unknown
    from mining.pool import build_pool

    before, ended, seen = anonymous_mb(), threading.Event(), [0.0]

    def sample() -> None:
        while not ended.wait(0.02):
            seen.append(anonymous_mb())

    watcher = threading.Thread(target=sample)
    watcher.start()
    started = time.process_time()
    pool = build_pool(questions(), MiningConfig(), files_corpus(str(path), unknown))
    cpu = time.process_time() - started
    held = anonymous_mb()
    ended.set()
    watcher.join()
    print(
        f"{len(pool.passages):,} passages, {pool.passages.array.nbytes / 1e6:,.0f} MB of texts: "
        f"{cpu:.1f} CPU s, held {held - before:,.0f} MB, peak {max(seen) - before:,.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--passages", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one)
        return
    arguments.work.mkdir(parents=True, exist_ok=True)
    for count in arguments.passages:
        path = arguments.work / f"passages-{count}.parquet"
        write(arguments.data, path, count)
        command = [sys.executable, "-m", "benchmarks.mining_pool", str(arguments.data)]
        subprocess.run([*command, str(arguments.work), "--one", str(path)], check=True)


if __name__ == "__main__":
    main()
