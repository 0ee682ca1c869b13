"""Citations, as a Beam composite: runs of references → runs of pairs and rejects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa

from curation.citations import REFERENCE, Reference, citation_pairs
from curation.config import CurationConfig
from curation.records import Reject
from curation.runs import KEY
from curation.tokens import TokenCounter, shared_counter
from pipelines.merges import Merged
from pipelines.parts import PartPlan, WriteParts
from pipelines.spill import count_tokens
from pipelines.work import Workspace


@dataclass
class ResolveCitations(beam.PTransform):  # type: ignore[misc]
    """`Run` of references → tagged `Run`s: `pairs` and `rejects`.

    Each key range is gathered like a part of an output, but nothing is written: the pairs go on
    to where all pairs are sorted.
    """

    config: CurationConfig
    tokenizer: str
    workspace: Workspace

    def expand(self, items: beam.PCollection) -> Any:
        """Gather the rows of each paper and join them."""
        part_bytes = int(self.config.part_mb * (1 << 20))
        plan = PartPlan(
            kind="references",
            directory=self.workspace.path("references"),
            schema=REFERENCE,
            part_bytes=part_bytes,
            spill_bytes=part_bytes,
            description={},
        )
        setup = CitationMergeSetup(self.config, self.tokenizer)
        return items | "Join" >> WriteParts(plan, self.workspace, setup, ("pairs", "rejects"))


@dataclass(frozen=True)
class CitationMergeSetup:
    """Builds the join in a worker."""

    config: CurationConfig
    tokenizer: str

    def __call__(self) -> Callable[[pa.Table], Merged]:
        """Load the tokenizer."""
        counter = shared_counter(self.tokenizer)
        return lambda table: merge_references(table, self.config, counter)


def merge_references(table: pa.Table, config: CurationConfig, counter: TokenCounter) -> Merged:
    """Turn a sorted range of references into pairs and rejects; no row stays."""
    if "citation" not in config.pairs.relations:
        table = table.slice(0, 0)
    rows = (Reference(**row) for row in table.drop_columns([KEY]).to_pylist())
    found = list(citation_pairs(rows, config.pairs.max_citations))
    count_tokens([item for item in found if not isinstance(item, Reject)], counter)
    extras: list[tuple[str, Any, int]] = [
        ("rejects", item, 0) if isinstance(item, Reject) else ("pairs", item, len(item.positive))
        for item in found
    ]
    return table.slice(0, 0).drop_columns([KEY]), extras
