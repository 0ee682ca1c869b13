"""Labelled rows → one row per question, in length-sorted parts.

Rows of one question may come out of any file, so they meet in a range of question keys first; what
this gives is spilled by length, as pairs are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
import pyarrow as pa

from curation import tokens
from curation.config import CurationConfig
from curation.contamination import Contamination
from curation.labelled import merge_questions, row_texts
from curation.records import Reject, TrainingRow, training_rows_from
from curation.runs import KEY
from curation.tokens import TokenCounter, shared_counter
from pipelines.merges import Merged, keep_all
from pipelines.parts import PartPlan, WriteParts, numbered
from pipelines.work import Workspace


@dataclass
class WriteLabelled(beam.PTransform):  # type: ignore[misc]
    """`Run` of rows by question → `Run` of rejects; writes the `labelled` folder."""

    plan: PartPlan
    workspace: Workspace
    setup: Callable[[], Callable[[pa.Table], Merged]]

    def expand(self, found: beam.PCollection) -> Any:
        """Let the rows of a question meet, then write what they give."""
        meeting = replace(
            self.plan,
            kind="questioned",
            directory=self.workspace.path("questioned"),
            names=numbered,
            boundaries=(),
            reported=False,
        )
        merged = found | "Questions" >> WriteParts(
            meeting, self.workspace, self.setup, spills=("labelled", "rejects")
        )
        rows = replace(self.plan, reported=False)  # the report's samples are of documents and pairs
        _ = merged.labelled | "Rows" >> WriteParts(rows, self.workspace, keep_all, spills=())
        return merged.rejects


def length_options() -> dict[str, Any]:
    """Return how a plan sorts its parts into buckets of length."""
    return {
        "names": tokens.length_part_names,
        "boundaries": tuple(tokens.bucket_boundaries()),
    }


@dataclass(frozen=True)
class QuestionMergeSetup:
    """Builds the merge of questions in a worker."""

    config: CurationConfig
    tokenizer: str
    workspace: Workspace

    def __call__(self) -> Callable[[pa.Table], Merged]:
        """Load the tokenizer and the evaluation sets' tables, if any, now."""
        counter = shared_counter(self.tokenizer)
        held = None
        if self.config.decontamination.sets:
            folder = self.workspace.path("decontamination")
            held = Contamination.load(self.config.decontamination, folder)
        return lambda table: merge_labelled(table, self.config, counter, held)


def merge_labelled(
    table: pa.Table,
    config: CurationConfig,
    counter: TokenCounter,
    held: Contamination | None = None,
) -> Merged:
    """Merge the rows of each question of a sorted range; all that it gives is spilled.

    Passages are cut at the bound of positives; what `held` knows is dropped.
    """
    priority = {source.label: -source.priority for source in config.sources}

    def rank(row: TrainingRow) -> tuple[object, ...]:
        return priority.get(row.source, 0), row.source, row.id

    most = config.pairs.max_positive_characters
    extras: list[tuple[str, Any, int]] = []
    for item in _clean(merge_questions(training_rows_from(table), rank), held):
        if isinstance(item, Reject):
            extras.append(("rejects", item, len(item.excerpt)))
        else:
            item.positives = [t[:most] for t in item.positives]
            item.negatives = [t[:most] for t in item.negatives]
            item.length = max(counter.lengths(row_texts(item)))
            extras.append(("labelled", item, sum(map(len, row_texts(item)))))
    return table.slice(0, 0).drop_columns([KEY]), extras


def _clean(
    items: Iterable[TrainingRow | Reject], held: Contamination | None
) -> Iterator[TrainingRow | Reject]:
    """Reject rows whose query or a positive of which an evaluation set holds.

    A negative may be a distractor of an evaluation corpus: it teaches nothing of its questions.
    """
    for item in items:
        found = None
        if held and isinstance(item, TrainingRow):
            found = next(filter(None, held.find([item.query, *item.positives])), None)
        if found is None or isinstance(item, Reject):
            yield item
        else:
            query = item.query[:200]
            yield Reject(item.id, "write", "contaminated", item.source, item.language, found, query)
