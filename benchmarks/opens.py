"""How often and how much parts read of runs, as the number of both grows.

    python benchmarks/opens.py 64 192 640 2048

writes so many small runs of made-up rows (a run, a part and a batch are 1/512 of their real size)
and gathers all parts from them, as they are and merged in groups first.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from curation import run_files, runs, storage  # noqa: E402
from pipelines import compact  # noqa: E402
from pipelines.work import Workspace  # noqa: E402

PART = 128 << 10
SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])


def main() -> None:
    run_files.BATCH_BYTES = 512
    reads = count_reads()
    print("   runs  merged   reads  reads/part  batches read/held  CPU s")
    for count in map(int, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder:
            written = [write(folder, number) for number in range(count)]
            for merged in (False, True):
                reads.clear()
                started = time.process_time()
                parts = gather(written, folder if merged else "")
                cpu = time.process_time() - started
                share = sum(reads) / (count * PART)
                each = len(reads) / parts
                print(
                    f"{count:7} {merged!s:>7} {len(reads):7} {each:11.1f} {share:18.2f} {cpu:6.1f}"
                )


def count_reads() -> list[int]:
    """Have every read of a run put its bytes into the list that is returned."""
    sizes: list[int] = []
    read: Callable[[str, int, int], bytes] = storage.read_span

    def counted(path: str, start: int, length: int) -> bytes:
        data = read(path, start, length)
        sizes.append(len(data) if start >= 0 else 0)  # an index is not 1/512 of its real size
        return data

    storage.read_span = counted
    return sizes


def write(folder: str, number: int) -> runs.Run:
    """Write a run of random keys and texts that do not compress."""
    draw = np.random.default_rng(number)
    rows = PART // (64 + 6 + 250)
    texts = [draw.bytes(125).hex() for _ in range(rows)]
    table = pa.table({"id": [f"{i:06d}" for i in range(rows)], "text": texts}, schema=SCHEMA)
    keys = draw.integers(0, 1 << 64, rows, np.uint64, endpoint=False)
    return runs.write_run(f"{folder}/{number:05d}{runs.SUFFIX}", table, keys)


def gather(written: Iterable[runs.Run], merge_in: str) -> int:
    """Read all parts; return how many there are."""
    written = list(written)
    spans = [run.span for run in written]
    plan = runs.plan_ranges(runs.add_histograms(run.histogram for run in written), PART)
    if merge_in:
        groups = compact.groups(spans, compact.MOST)
        arguments = ("rows", Workspace(f"{merge_in}/merged"), SCHEMA, PART)
        spans = [span for group in groups for span in compact.merge(group, *arguments)]
    rows = sum(runs.read_range(runs.select(spans, p), p, SCHEMA).num_rows for p in plan)
    assert rows == sum(int(run.histogram.rows.sum()) for run in written)
    return len(plan)


if __name__ == "__main__":
    main()
