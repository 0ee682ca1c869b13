"""Time and memory of the near-duplicate step, by number of documents.

    python benchmarks/near_duplicates_scale.py DATA COUNT [WORKERS]

Documents are variants of real articles: each is a shuffle of an article's sentences with a tenth
of its words replaced (no near duplicate), and a fifth of them come with one lightly edited copy.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import numpy as np

from benchmarks.real_texts import articles
from curation import dedup, runs
from curation.config import CurationConfig
from curation.records import DOCUMENT, Document, text_key, to_table
from pipelines import near_duplicates, runner
from pipelines.curate import thin_row
from pipelines.decisions import load_decisions
from pipelines.merges import save_array
from pipelines.near_duplicates import BandCollector, FindNearDuplicates, bands_by_shard
from pipelines.spill import document_keys
from pipelines.work import Workspace, total_counts

CONFIG = CurationConfig()
SPLIT = 5000


def variants(data: Path, count: int) -> Iterator[Document]:
    texts = [t for name in ("en", "it", "uk", "el") for t in articles(data, name, 300)]
    draw = random.Random(0)
    vocabulary = sorted({word for text in texts for word in text.split()})
    number = 0
    while number < count:
        words = texts[draw.randrange(len(texts))].split()[:400]
        draw.shuffle(words)
        for _ in range(len(words) // 10):
            words[draw.randrange(len(words))] = draw.choice(vocabulary)
        yield of(number, words)
        number += 1
        if draw.random() < 0.2:
            words[draw.randrange(len(words))] = "edited"
            yield of(number, words)
            number += 1


def of(number: int, words: list[str]) -> Document:
    text = " ".join(words)
    return Document(f"doc:{number}", "web", "", text, text_hash=text_key(text))


def spill(data: Path, workspace: Workspace, count: int) -> tuple[list[runs.Run], list[str], int]:
    """Write the runs and band files as the extract step does; return them and the CPU time."""
    spilled, bands, held, cpu, size = [], [], [], 0.0, 0
    for item in (*variants(data, count), None):
        if item is not None:
            held.append(item)
        if held and (item is None or len(held) == SPLIT):
            number = len(spilled)
            path = workspace.path("runs", "documents", f"{number}.parquet")
            spilled.append(runs.write_run(path, to_table(held, DOCUMENT), document_keys(held)))
            keys = document_keys(held).tolist()
            start = time.process_time()
            collector = BandCollector(CONFIG.near_duplicates)
            for key, document in zip(keys, held, strict=True):
                collector.add(key, document)
            rows = collector.rows()
            cpu += time.process_time() - start
            bands.append(workspace.path("runs", "bands", f"{number}.npy"))
            save_array(bands[-1], rows)
            size += sum(len(document.text) for document in held)
            held = []
    print(json.dumps({"documents": count, "MB of text": size / 1e6, "signatures CPU s": cpu}))
    return spilled, bands, size


class Bands(beam.DoFn):
    def __init__(self, shards: int) -> None:
        self._shards = shards

    def process(self, path: str) -> Iterator[tuple[int, object]]:
        yield from bands_by_shard(near_duplicates.load_array(path), self._shards)


def main() -> None:
    data, count = Path(sys.argv[1]), int(sys.argv[2])
    workers = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(folder)
        save_array(workspace.path("drops", "shard-00.npy"), np.empty(0, dedup.THIN_KEY))
        with multiprocessing.get_context("spawn").Pool(1) as pool:  # its memory is not ours
            spilled, bands, size = pool.apply(spill, (data, workspace, count))
        shards = max(4, size // 4 >> 24)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start, cpu = time.perf_counter(), time.process_time()
        with runner.create_pipeline([], workers, workers) as pipeline:
            keys = pipeline | beam.Create(bands) | beam.Reshuffle() | beam.ParDo(Bands(shards))
            found = pipeline | "Runs" >> beam.Create(spilled)
            barrier = pipeline | "Drops" >> beam.Create(["done"])
            _ = keys | FindNearDuplicates(CONFIG, workspace, shards, found, barrier)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        counts = total_counts(workspace.statuses(near_duplicates.STEP))
        table = load_decisions(workspace, np.array([0, 2**64 - 1], np.uint64))
        print(
            json.dumps(
                {
                    "documents": count,
                    "shards": shards,
                    "workers": workers,
                    "wall s": round(wall, 2),
                    "CPU s": round(cpu, 2),
                    "children CPU s": round(children(), 2),
                    "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                    "peak MB before": before // 1024,
                    "candidates": counts["candidate_edges"],
                    "near": counts["near_duplicate_edges"],
                    "clustered": table.num_rows,
                    "kept": sum(table["is_kept"].to_pylist()),
                    "thin bytes": thin_row(of(0, ["x"])) and 28 + 12 * 14,
                }
            )
        )


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
