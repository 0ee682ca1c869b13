"""Redirects meet articles: a join of thin runs, by ranges of the title's hash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from curation import redirects, runs, storage
from curation.records import Document
from curation.redirects import REDIRECT, TITLE, Redirect
from curation.runs import KEY, KeyRange
from pipelines.parts import AddHistograms, count_record
from pipelines.spill import Spiller, earlier_runs
from pipelines.work import Tally, Workspace

STEP = "join-redirects"


@dataclass
class JoinRedirects(beam.PTransform):  # type: ignore[misc]
    """(`Run`s of redirects, `Run`s of titles) → tagged: `joined` (labels), runs of `rejects`.

    Leaves runs of alternative titles in the workspace, sorted as the documents are.
    """

    workspace: Workspace
    range_bytes: int

    def expand(self, items: tuple[beam.PCollection, beam.PCollection]) -> Any:
        """Plan ranges of the title's hash from the redirects' histogram; join each."""
        found, titles = items
        paths = found | "Redirects" >> beam.Map(lambda run: run.path)
        title_paths = titles | "Titles" >> beam.Map(lambda run: run.path)
        return (
            found
            | "Histograms" >> beam.Map(lambda run: run.histogram)
            | "Add" >> beam.CombineGlobally(AddHistograms())
            | "Plan" >> beam.FlatMap(runs.plan_ranges, self.range_bytes)
            | "Spread" >> beam.Reshuffle()
            | "Join"
            >> beam.ParDo(
                JoinRange(self.workspace, self.range_bytes),
                beam.pvalue.AsList(paths),
                beam.pvalue.AsList(title_paths),
            ).with_outputs("rejects", main="joined")
        )


class JoinRange(beam.DoFn):  # type: ignore[misc]
    """`KeyRange` → label; rejects of redirects without an article go out as runs."""

    def __init__(self, workspace: Workspace, limit: int) -> None:
        self._workspace = workspace
        self._limit = limit

    def process(
        self, key_range: KeyRange, paths: list[str], title_paths: list[str]
    ) -> Iterator[Any]:
        """Join one range, unless an earlier attempt finished it."""
        label = f"range-{key_range.index:05d}"
        done = self._workspace.finished(STEP, label)
        outputs = done["outputs"] if done else self._join(label, key_range, paths, title_paths)
        yield label
        for kind, run in earlier_runs(outputs):
            yield beam.pvalue.TaggedOutput(kind, run)

    def _join(
        self, label: str, key_range: KeyRange, paths: list[str], title_paths: list[str]
    ) -> list[str]:
        tally = Tally(self._workspace, STEP, label)
        found = runs.read_range(paths, key_range, REDIRECT)
        titles = runs.read_range(title_paths, key_range, TITLE)
        rows, columns = redirects.matches(found[KEY].to_numpy(), titles[KEY].to_numpy())
        if len(rows):
            keys = titles["document"].to_numpy()[columns]
            table = found.drop_columns([KEY]).take(pa.array(rows))
            runs.write_run(
                self._workspace.path("runs", "aliases", f"{label}{runs.SUFFIX}"), table, keys
            )
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
