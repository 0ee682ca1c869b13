"""Inside a worker: collect records, spill them as sorted runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from curation import runs
from curation.citations import REFERENCE, Reference
from curation.records import (
    DOCUMENT,
    HOST,
    PAIR,
    QUESTION,
    REJECT,
    TRAINING_ROW,
    Document,
    HostKey,
    Pair,
    Reject,
    TrainingRow,
    to_table,
)
from curation.redirects import REDIRECT, TITLE, Redirect, TitleKey
from curation.runs import Keys, Run
from curation.tokens import TokenCounter, length_keys
from pipelines.work import Workspace

KeyFunction = Callable[[Sequence[Any]], Keys]


def document_keys(documents: Sequence[Document]) -> Keys:
    """Return the sort keys of documents: the digest of their text."""
    return runs.keys_of_digests([d.text_hash for d in documents])


def pair_keys(pairs: Sequence[Pair]) -> Keys:
    """Return the sort keys of pairs: length bucket, length, digest of both sides."""
    longest = np.array([max(p.query_tokens, p.positive_tokens) for p in pairs], np.int64)
    return length_keys(longest, [bytes.fromhex(p.id) for p in pairs])


def reject_keys(rejects: Sequence[Reject]) -> Keys:
    """Return the sort keys of rejects: a digest of what was rejected and why."""
    return runs.keys_of_digests(
        [
            xxhash.xxh3_128_digest(f"{r.stage}\0{r.reason}\0{r.id}".encode("utf-8", "replace"))
            for r in rejects
        ]
    )


def reference_keys(rows: Sequence[Reference]) -> Keys:
    """Return the sort keys of references: a digest of the paper's id."""
    return runs.keys_of_digests(
        [xxhash.xxh3_128_digest(row.id.encode("utf-8", "replace")) for row in rows]
    )


def row_keys(rows: Sequence[TrainingRow]) -> Keys:
    """Return the sort keys of training rows: length bucket, length, digest of the id."""
    lengths = np.array([row.length for row in rows], np.int64)
    return length_keys(
        lengths, [xxhash.xxh3_128_digest(row.id.encode("utf-8", "replace")) for row in rows]
    )


def pair_digests(ids: Sequence[str]) -> Keys:
    """Return the first 8 bytes of pairs' ids."""
    return runs.keys_of_digests([bytes.fromhex(identity) for identity in ids])


def host_keys(rows: Sequence[HostKey]) -> Keys:
    """Return the sort keys of the hosts of pairs: the pair's."""
    return np.array([row.pair for row in rows], np.uint64)


def redirect_keys(redirects: Sequence[Redirect]) -> Keys:
    """Return the sort keys of redirects: the key of the title they point to."""
    return np.array([redirect.target for redirect in redirects], np.uint64)


def title_keys(titles: Sequence[TitleKey]) -> Keys:
    """Return the sort keys of titles."""
    return np.array([title.title for title in titles], np.uint64)


KINDS: dict[str, tuple[pa.Schema, KeyFunction]] = {
    "documents": (DOCUMENT, document_keys),
    "hosts": (HOST, host_keys),
    "pairs": (PAIR, pair_keys),
    "references": (REFERENCE, reference_keys),
    "questions": (QUESTION, pair_keys),
    "redirects": (REDIRECT, redirect_keys),
    "titles": (TITLE, title_keys),
    "rejects": (REJECT, reject_keys),
    "training": (TRAINING_ROW, row_keys),
}


@dataclass(slots=True)
class Spiller:
    """Collects the records of one element by kind and spills them when `limit` bytes are held."""

    workspace: Workspace
    element: str
    limit: int
    written: list[tuple[str, Run]] = field(default_factory=list)
    _held: dict[str, list[Any]] = field(default_factory=dict)
    _bytes: int = 0

    def add(self, kind: str, record: Any, size: int) -> None:
        """Take a record of a kind; `size` is about its bytes of text."""
        self._held.setdefault(kind, []).append(record)
        self._bytes += size + 200
        if self._bytes > self.limit:
            self.flush()

    def flush(self) -> None:
        """Spill what is held, one run a kind."""
        for kind, records in sorted(self._held.items()):
            schema, keys = KINDS[kind]
            name = f"{self.element}-{len(self.written):05d}{runs.SUFFIX}"
            path = self.workspace.path("runs", kind, name)
            table = to_table(records, schema)
            self.written.append((kind, runs.write_run(path, table, keys(records))))
        self._held, self._bytes = {}, 0


def count_tokens(pairs: Sequence[Pair], counter: TokenCounter) -> None:
    """Fill in the token lengths of pairs, each distinct text counted once."""
    distinct = list(dict.fromkeys(t for p in pairs for t in (p.query, p.positive)))
    lengths = dict(zip(distinct, counter.lengths(distinct), strict=True))
    for pair in pairs:
        pair.query_tokens = lengths[pair.query]
        pair.positive_tokens = lengths[pair.positive]


def earlier_runs(outputs: Sequence[str]) -> Iterator[tuple[str, Run]]:
    """Yield (kind, run) for the run files of an element that was finished before."""
    for path in outputs:
        if path.endswith(runs.SUFFIX):
            yield path.rsplit("/", 2)[-2], runs.describe_run(path)
