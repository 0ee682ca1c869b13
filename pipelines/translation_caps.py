"""Runs of pairs → which translations are too many for their sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import runs
from curation.records import Reject
from curation.runs import Run
from curation.translation_caps import Hashes, Keys, sentence_keys, surplus, translation_hash
from pipelines.decide import StoreShards, by_shard
from pipelines.merges import Merged, load_shards
from pipelines.work import Workspace

_COLUMNS = ("query", "positive", "language", "source_score")


@dataclass
class FindSurplus(beam.PTransform):  # type: ignore[misc]
    """`Run` of pairs → paths of the stored hashes of surplus translations."""

    most: int
    sources: frozenset[str]
    """The sources whose translations are capped."""
    workspace: Workspace

    def expand(self, pairs: beam.PCollection) -> Any:
        """Let thin keys of a sentence meet, and store what is beyond its cap."""
        decide = partial(surplus, most=self.most)
        return (
            pairs
            | "Sentences" >> beam.FlatMap(read_sentences, self.sources)
            | "Cap" >> StoreShards("surplus", self.workspace, decide)
        )


def read_sentences(run: Run, sources: frozenset[str]) -> Iterator[tuple[int, Keys]]:
    """Yield (shard, `SENTENCE_KEY` rows) of a run's translations."""
    table = runs.read_columns(run.path, (*_COLUMNS, "relation", "source"))
    wanted = pc.and_(
        pc.equal(table["relation"], "parallel"),
        pc.is_in(table["source"], pa.array(sorted(sources), pa.string())),
    )
    table = table.filter(wanted)
    columns = (table[name].to_pylist() for name in _COLUMNS)
    yield from by_shard(sentence_keys(*columns), "sentence")


@dataclass(frozen=True)
class CappedMergeSetup:
    """Builds a merge of pairs that leaves surplus translations out first."""

    merge: Callable[[], Callable[[pa.Table], Merged]]
    workspace: Workspace

    def __call__(self) -> Callable[[pa.Table], Merged]:
        """Build the inner merge now; load the decisions with the first part, when complete."""
        merge = self.merge()
        surplus = cache(lambda: load_shards(self.workspace, "surplus", np.uint64))
        return lambda table: merge_capped(table, surplus(), merge)


def merge_capped(table: pa.Table, dropped: Hashes, merge: Callable[[pa.Table], Merged]) -> Merged:
    """Take the translations to drop out of a sorted range of pairs, and merge the others."""
    if not len(dropped):
        return merge(table)
    hit = pa.array(np.isin(_hashes(table), dropped))
    rejects = [
        ("rejects", Reject(identity, "write", "too_many_translations", source, language), 0)
        for identity, source, language in zip(
            *(table.filter(hit)[name].to_pylist() for name in ("id", "source", "language")),
            strict=True,
        )
    ]
    kept, extras = merge(table.filter(pc.invert(hit)))
    return kept, [*rejects, *extras]


def _hashes(table: pa.Table) -> Hashes:
    """Return the hash of each translation, 0 for other pairs."""
    columns = (table[name].to_pylist() for name in ("relation", "query", "positive"))
    found = [
        translation_hash(query, positive) if relation == "parallel" else 0
        for relation, query, positive in zip(*columns, strict=True)
    ]
    return np.array(found, np.uint64)
