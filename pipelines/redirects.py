"""Redirects meet articles: a join of thin runs, by ranges of the title's hash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import redirects, runs, storage
from curation.config import CurationConfig
from curation.records import Document
from curation.redirects import REDIRECT, TITLE, Redirect
from curation.runs import KEY, KeyRange, Run, Span
from pipelines.parts import AddHistograms, count_record
from pipelines.spill import Spiller, earlier_runs
from pipelines.stored import Stored, store
from pipelines.work import Tally, Workspace

STEP = "join-redirects"


@dataclass
class JoinRedirects(beam.PTransform):  # type: ignore[misc]
    """(`Run`s of redirects, of documents) → tagged: `joined` (labels), runs of `rejects`.

    Leaves runs of alternative titles in the workspace, sorted as the documents are. Does nothing
    where the config uses no redirects.
    """

    config: CurationConfig
    workspace: Workspace
    range_bytes: int

    def expand(self, items: tuple[beam.PCollection, beam.PCollection]) -> Any:
        """Plan ranges of the title's hash from the redirects' histogram; join each."""
        used = self.config.pairs.uses_redirects
        found = items[0] | "Used" >> beam.Filter(lambda run: used)
        stored = store(self.workspace, "config", self.config)
        titles = (
            items[1]
            | "Articles" >> beam.Filter(lambda run: used)
            | "Titles" >> beam.FlatMap(title_runs, self.workspace, stored)
        )
        return (
            found
            | "Histograms" >> beam.Map(lambda run: run.histogram)
            | "Add" >> beam.CombineGlobally(AddHistograms())
            | "Plan" >> beam.FlatMap(runs.plan_ranges, self.range_bytes)
            | "Spread" >> beam.Reshuffle()
            | "Join"
            >> beam.ParDo(
                JoinRange(self.workspace, self.range_bytes),
                beam.pvalue.AsList(found | "Spans" >> beam.Map(lambda run: run.span)),
                beam.pvalue.AsList(titles),
            ).with_outputs("rejects", main="joined")
        )


def title_runs(run: Run, workspace: Workspace, stored: Stored[CurationConfig]) -> Iterator[Span]:
    """Yield the span of a run of the titles in a run of documents: 16 bytes each."""
    sources = {s.label for s in stored.load().sources if s.kind == "wikipedia"}
    table = runs.read_columns(run.path, ("source", "declared_language", "title", KEY))
    table = table.filter(pc.is_in(table["source"], pa.array(sorted(sources), pa.string())))
    if not table.num_rows:
        return
    rows = table.drop_columns([KEY]).to_pylist()
    keys = [
        redirects.title_key(row["source"], row["declared_language"], row["title"]) for row in rows
    ]
    path = workspace.path("runs", "titles", run.path.rsplit("/", 1)[-1])
    documents = pa.table({"document": table[KEY].combine_chunks()}, TITLE)
    yield runs.write_run(path, documents, np.array(keys, np.uint64)).span


class JoinRange(beam.DoFn):  # type: ignore[misc]
    """`KeyRange` → label; rejects of redirects without an article go out as runs."""

    def __init__(self, workspace: Workspace, limit: int) -> None:
        self._workspace = workspace
        self._limit = limit

    def process(self, key_range: KeyRange, found: list[Span], titles: list[Span]) -> Iterator[Any]:
        """Join one range, unless an earlier attempt finished it."""
        label = f"range-{key_range.index:05d}"
        done = self._workspace.finished(STEP, label)
        outputs = done["outputs"] if done else self._join(label, key_range, found, titles)
        yield label
        for kind, run in earlier_runs(outputs):
            yield beam.pvalue.TaggedOutput(kind, run)

    def _join(
        self, label: str, key_range: KeyRange, spans: list[Span], title_spans: list[Span]
    ) -> list[str]:
        tally = Tally(self._workspace, STEP, label)
        found = runs.read_range(runs.select(spans, key_range), key_range, REDIRECT)
        titles = runs.read_range(runs.select(title_spans, key_range), key_range, TITLE)
        rows, columns = redirects.matches(found[KEY].to_numpy(), titles[KEY].to_numpy())
        if len(rows):
            keys = titles["document"].to_numpy()[columns]
            table = found.drop_columns([KEY]).take(pa.array(rows))
            path = self._workspace.path("runs", "aliases", f"{label}{runs.SUFFIX}")
            runs.write_run(path, table, keys)
        spiller = Spiller(self._workspace, f"redirects-{label}", self._limit)
        lost = np.ones(found.num_rows, np.bool_)
        lost[rows] = False
        for redirect in redirects_from(found.filter(pa.array(lost))):
            reject = redirects.rejected(redirect, "write", "redirect_without_article")
            count_record(tally, "rejects", reject)
            spiller.add("rejects", reject, len(reject.excerpt))
        spiller.flush()
        outputs = [run.path for _, run in spiller.written]
        tally.finish(outputs)
        return outputs


def redirects_from(table: pa.Table) -> list[Redirect]:
    """Return the rows of a `REDIRECT` table as `Redirect`s."""
    return [Redirect(**row) for row in table.select(REDIRECT.names).to_pylist()]


class Alternatives:
    """The redirects of the documents in a range of keys, each handed out once."""

    def __init__(self, workspace: Workspace, low: int, high: int) -> None:
        paths = storage.list_files(workspace.path("runs", "aliases"), runs.SUFFIX)
        table = runs.read_range(paths, KeyRange(0, low, high), REDIRECT)
        self._open: dict[tuple[int, int], dict[tuple[str, str], Redirect]] = {}
        for key, redirect in zip(table[KEY].to_pylist(), redirects_from(table), strict=True):
            meant = self._open.setdefault((key, redirect.target), {})
            meant[redirect.id, redirect.title] = redirect  # overlapping dumps repeat themselves

    def take(self, key: int, document: Document) -> list[Redirect]:
        """Return the redirects to a document that lies under a sort key."""
        return list(self._open.pop((key, redirects.document_title_key(document)), {}).values())

    def left(self) -> Iterator[Redirect]:
        """Yield the redirects to documents that were dropped."""
        for meant in self._open.values():
            yield from meant.values()
