"""`python -m pipelines export-rows`: training rows for other trainers and evaluators."""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from curation import manifest, storage
from curation.errors import ConfigError
from pipelines.row_exports import FORMATS, N_TUPLES, n_tuples
from pipelines.terminal import say


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    folder = storage.join(arguments.folder, "training")
    listed = manifest.read(folder, "make mine-negatives")
    rows = rows_of(manifest.part_paths(folder, listed))
    if arguments.to == N_TUPLES:
        if arguments.negatives < 1:
            raise ConfigError(f"--to {N_TUPLES} needs --negatives N, the same number for all rows")
        lines, name = n_tuples(rows, arguments.negatives), "n-tuples.jsonl"
    else:
        if arguments.negatives:
            raise ConfigError(f"--negatives goes with --to {N_TUPLES}, not {arguments.to}")
        write, name = FORMATS[arguments.to]
        lines = write(rows)
    path = arguments.output or storage.join(arguments.folder, "exports", name)
    count = write_lines(path, lines)
    say(f"export-rows: wrote {count:,} lines of {listed['rows']:,} rows to {path}")
    return 0


def rows_of(paths: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of shards, a few hundred in memory at a time."""
    from curation import parquet

    for path in paths:
        yield from parquet.rows(path, held=512)


def write_lines(path: str, lines: Iterator[str]) -> int:
    """Write lines, compressed where the name ends so; the file appears whole or not at all."""
    count = 0
    with storage.open_write(path) as handle, ExitStack() as stack:
        stream: Any = handle
        if path.endswith(".gz"):  # without a time: equal rows give equal bytes
            stream = stack.enter_context(gzip.GzipFile("", "wb", 6, handle, mtime=0))
        for line in lines:
            stream.write(f"{line}\n".encode("utf-8", "replace"))
            count += 1
    return count
