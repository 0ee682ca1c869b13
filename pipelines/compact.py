"""Many runs → fewer, each with a narrow range of keys, so that a part opens few of them.

With R runs and about as many parts, every part reading from every run would open R x R files.
Above `MOST` runs they are merged in groups of about the square root of R first; each group gives
runs of one part's size with ranges that do not overlap. A part then opens at most two runs a
group: 64 GB in 1,024 runs of 64 MB take 2 x 1,024 x 32 opens instead of 1,048,576.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
import xxhash

from curation import runs
from curation.runs import KEY, Run, Span
from pipelines.work import Tally, Workspace

MOST = 64  # runs a part may open as they are: 1 MB each of a 64 MB part


@dataclass
class Compact(beam.PTransform):  # type: ignore[misc]
    """`Span` → `Span`: the same rows in at most `MOST` or so runs for any key."""

    kind: str
    workspace: Workspace
    schema: pa.Schema
    part_bytes: int
    most: int = MOST

    def expand(self, spans: beam.PCollection) -> beam.PCollection:
        """Group the runs by their paths and merge each group."""
        return (
            spans
            | "List" >> beam.combiners.ToList()
            | "Group" >> beam.FlatMap(groups, self.most)
            | "Spread" >> beam.Reshuffle()
            | "Merge"
            >> beam.FlatMap(merge, self.kind, self.workspace, self.schema, self.part_bytes)
        )


def groups(spans: list[Span], most: int) -> Iterator[tuple[bool, list[Span]]]:
    """Yield (to be merged, runs) for groups of runs, one group as it is where there are few."""
    found = runs.group(spans, most)
    if not found:
        yield False, spans
    for group in found:
        yield True, group


def merge(
    element: tuple[bool, list[Span]],
    kind: str,
    workspace: Workspace,
    schema: pa.Schema,
    part_bytes: int,
) -> Iterator[Span]:
    """Yield the runs that a group becomes, unless an earlier attempt made them."""
    is_merged, spans = element
    if not is_merged:
        yield from spans
        return
    name = xxhash.xxh3_64_hexdigest("\0".join(span.path for span in spans).encode())
    step = f"compact-{kind}"
    done = workspace.finished(step, name)
    paths = done["outputs"] if done else None
    if paths is None:
        merged = write_merged([s.path for s in spans], kind, name, workspace, schema, part_bytes)
        paths = [run.path for run in merged]
        Tally(workspace, step, name).finish(paths)
    for path in paths:
        yield runs.describe_run(path).span


def write_merged(
    paths: Sequence[str],
    kind: str,
    name: str,
    workspace: Workspace,
    schema: pa.Schema,
    part_bytes: int,
) -> list[Run]:
    """Write the rows of runs as new runs of about `part_bytes`, one range of keys after another."""
    histogram = runs.add_histograms(runs.describe_run(path).histogram for path in paths)
    spans = [runs.describe_run(path).span for path in paths]
    written = []
    for part in runs.plan_ranges(histogram, part_bytes):
        table = runs.read_range(runs.select(spans, part), part, schema)
        if table.num_rows:
            target = workspace.path("merged", kind, f"{name}-{part.index:05d}{runs.SUFFIX}")
            keys = table[KEY].to_numpy()
            written.append(runs.write_run(target, table.drop_columns([KEY]), keys))
    return written
