"""Sorted runs → output parts, as a Beam composite.

`Run`s → plan of key ranges → one part file per range, gathered out of all runs → manifest.
Only histograms and names pass between workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa

from curation import manifest, runs, storage
from curation.records import Reject
from curation.runs import Histogram, KeyRange, Span
from pipelines.compact import MOST, Compact
from pipelines.report.facts import table_facts
from pipelines.spill import Spiller, earlier_runs
from pipelines.stored import Stored, store
from pipelines.work import Tally, Workspace

# A sorted table of one range → the rows to write, and records to spill as (kind, record, bytes).
Merge = Callable[[pa.Table], tuple[pa.Table, Iterable[tuple[str, Any, int]]]]
Namer = Callable[[Sequence[KeyRange]], list[str]]


def numbered(ranges: Sequence[KeyRange]) -> list[str]:
    """Return `part-00000.parquet` … for ranges in their order."""
    return [f"part-{part.index:05d}.parquet" for part in ranges]


@dataclass(frozen=True, kw_only=True)
class PartPlan:
    """How one kind of record is written."""

    kind: str
    directory: str
    schema: pa.Schema
    part_bytes: int
    description: dict[str, Any]
    names: Namer = numbered
    boundaries: tuple[int, ...] = ()
    spill_bytes: int = 64 << 20
    row_group_rows: int = 4096
    reported: bool = False
    """Whether the report shows lengths, scores and samples of this kind."""


class AddHistograms(beam.CombineFn):  # type: ignore[misc]
    """Histogram → Histogram: the sum."""

    def create_accumulator(self) -> Histogram:
        """Return the empty histogram."""
        return runs.add_histograms([])

    def add_input(self, total: Histogram, item: Histogram) -> Histogram:
        """Add one."""
        return runs.add_histograms([total, item])

    def merge_accumulators(self, totals: Iterable[Histogram]) -> Histogram:
        """Add many."""
        return runs.add_histograms(totals)

    def extract_output(self, total: Histogram) -> Histogram:
        """Return the sum."""
        return total


@dataclass
class WriteParts(beam.PTransform):  # type: ignore[misc]
    """`Run` → tagged: `parts` (dict), and runs of what the merge spilled, by kind."""

    plan: PartPlan
    workspace: Workspace
    setup: Callable[[], Merge]
    """Called once per process; returns the merge."""
    spills: tuple[str, ...] = ("rejects",)
    after: Any = None
    """A PCollection that must be complete before the first part is written."""
    most_runs: int = MOST
    """Runs that a part may open before they are merged."""

    def expand(self, items: beam.PCollection) -> Any:
        """Merge runs where there are many, plan the ranges, write the parts and the manifest."""
        plan = store(self.workspace, f"plan-{self.plan.kind}", (self.plan, self.setup))
        spans = items | "Spans" >> beam.Map(lambda run: run.span) | "Compact" >> self._compact()
        ranges = (
            items
            | "Histograms" >> beam.Map(lambda run: run.histogram)
            | "Add" >> beam.CombineGlobally(AddHistograms())
            | "Plan" >> beam.FlatMap(plan_parts, plan)
            | "Spread" >> beam.Reshuffle()
        )
        written = ranges | "Write" >> beam.ParDo(
            WritePart(plan, self.workspace),
            beam.pvalue.AsList(spans),
            beam.pvalue.AsList(self.after if self.after is not None else spans),
        ).with_outputs(*self.spills, main="parts")
        _ = (
            written.parts
            | "Collect" >> beam.combiners.ToList()
            | "Publish" >> beam.Map(publish, plan)
        )
        return written

    def _compact(self) -> Compact:
        plan = self.plan
        return Compact(plan.kind, self.workspace, plan.schema, plan.part_bytes, self.most_runs)


StoredPlan = Stored[tuple[PartPlan, Callable[[], Merge]]]


def plan_parts(histogram: Histogram, stored: StoredPlan) -> list[tuple[KeyRange, str]]:
    """Return the ranges with their part names."""
    plan, _ = stored.load()
    ranges = runs.plan_ranges(histogram, plan.part_bytes, plan.boundaries)
    return list(zip(ranges, plan.names(ranges), strict=True))


def publish(parts: list[dict[str, Any]], stored: StoredPlan) -> None:
    """Write a folder's manifest and `_SUCCESS`."""
    plan, _ = stored.load()
    manifest.publish(plan.directory, plan.description, parts)


class WritePart(beam.DoFn):  # type: ignore[misc]
    """(KeyRange, name) → part description; what the merge gives besides goes out as runs."""

    def __init__(self, plan: StoredPlan, workspace: Workspace) -> None:
        self._stored = plan
        self._workspace = workspace

    def setup(self) -> None:
        """Build the merge, with the models it needs."""
        self._plan, make_merge = self._stored.load()
        self._merge = make_merge()

    def process(
        self, element: tuple[KeyRange, str], spans: list[Span], after: list[Any]
    ) -> Iterator[Any]:
        """Write one part, unless an earlier attempt finished it."""
        del after  # a barrier, not data
        key_range, name = element
        label = name.replace("/", "-").removesuffix(".parquet")
        step = f"write-{self._plan.kind}"
        done = self._workspace.finished(step, label)
        if done is None:
            done = self._write(step, label, key_range, name, runs.select(spans, key_range))
        if done["part"]:
            yield done["part"]
        for kind, run in earlier_runs(done["outputs"]):
            yield beam.pvalue.TaggedOutput(kind, run)

    def _write(
        self, step: str, label: str, key_range: KeyRange, name: str, paths: list[str]
    ) -> dict[str, Any]:
        plan = self._plan
        tally = Tally(self._workspace, step, label)
        table = runs.read_range(paths, key_range, plan.schema)
        tally.add("in", plan.kind, count=table.num_rows)
        table, extras = self._merge(table)
        spiller = Spiller(self._workspace, f"{plan.kind}-{label}", plan.spill_bytes)
        for kind, record, size in extras:
            count_record(tally, kind, record)
            spiller.add(kind, record, size)
        spiller.flush()
        count_table(tally, plan.kind, table)
        if plan.reported:
            facts = table_facts(plan.kind, table).to_json()
            self._workspace.write_facts(step, label, facts)
        part = None
        if table.num_rows:
            path = storage.join(plan.directory, name)
            part = storage.write_parquet(path, table, plan.row_group_rows) | {"name": name}
        outputs = [run.path for _, run in spiller.written]
        tally.finish(outputs, part)
        return {"part": part, "outputs": outputs}


def count_record(tally: Tally, kind: str, record: Any) -> None:
    """Count a record under its kind, rejects with their reason, and as a Beam metric."""
    if isinstance(record, Reject):
        tally.add("rejects", record.reason, record.source, record.language)
        beam.metrics.Metrics.counter("rejects", record.reason).inc()
    else:
        tally.add(f"spilled-{kind}")


def count_table(tally: Tally, kind: str, table: pa.Table) -> None:
    """Count the rows of a table by source and language (and relation, where they have one)."""
    labels = [c for c in ("source", "language", "relation") if c in table.column_names]
    if not table.num_rows:
        return
    counts = table.group_by(labels).aggregate([([], "count_all")]).to_pylist()
    for row in counts:
        tally.add(kind, *(str(row[label]) for label in labels), count=row["count_all"])
    if "segments_shuffled" in table.column_names:
        drawn = table.filter(table["segments_shuffled"])["relation"].value_counts().to_pylist()
        for row in drawn:
            tally.add("shuffled", str(row["values"]), count=row["counts"])
    beam.metrics.Metrics.counter("written", kind).inc(table.num_rows)
