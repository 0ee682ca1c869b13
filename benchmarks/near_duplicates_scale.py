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
from curation.quality import fill_scores
from curation.records import DOCUMENT, Document, text_key, to_table
from curation.runs import Run
from pipelines import near_duplicates, runner
from pipelines.decisions import load_decisions
from pipelines.merges import save_array
from pipelines.near_duplicates import FindNearDuplicates
from pipelines.spill import document_keys
from pipelines.stored import Elements
from pipelines.work import Workspace, total_counts

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


def spill(data: Path, workspace: Workspace, count: int) -> tuple[list[Run], int]:
    """Write the runs that the extract step writes; return them and the bytes of text."""
    spilled: list[Run] = []
    held: list[Document] = []
    size = 0
    for item in (*variants(data, count), None):
        held += [item] if item else []
        if held and (item is None or len(held) == SPLIT):
            path = workspace.path("runs", "documents", f"{len(spilled)}{runs.SUFFIX}")
            fill_scores(held)
            spilled.append(runs.write_run(path, to_table(held, DOCUMENT), document_keys(held)))
            size += sum(len(document.text) for document in held)
            held = []
    return spilled, size


def main() -> None:
    data, count = Path(sys.argv[1]), int(sys.argv[2])
    workers = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(folder)
        save_array(workspace.path("drops", "shard-00.npy"), np.empty(0, dedup.THIN_KEY))
        with multiprocessing.get_context("spawn").Pool(1) as pool:  # its memory is not ours
            spilled, size = pool.apply(spill, (data, workspace, count))
        bounds = Path(folder, "bounds.toml")
        bounds.write_text('version = "all"\n[default]\nmax_digit_share = 1.0\n')
        config = CurationConfig(thresholds=str(bounds), min_language_score=0.0)
        shards = max(4, size // 4 >> 24)  # as for files compressed to a quarter
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start, cpu = time.perf_counter(), time.process_time()
        with runner.create_pipeline([], workers, workers) as pipeline:
            found = pipeline | "Runs" >> Elements(spilled, workspace)
            barrier = pipeline | "Drops" >> beam.Create(["done"])
            _ = found | FindNearDuplicates(config, workspace, shards, barrier)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        counts = total_counts(workspace.statuses(near_duplicates.STEP))
        table = load_decisions(workspace, np.array([0, 2**64 - 1], np.uint64))
        print(
            json.dumps(
                {
                    "documents": count,
                    "MB": round(size / 1e6),
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
                }
            )
        )


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
