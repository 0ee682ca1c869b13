"""Which paper cites which → citation pairs, when a paper and its citations have met.

A paper leaves a row under the id of each paper that it cites, with its title; one that is kept
leaves a row under its own id, with its text. Rows of one id lie side by side in sorted runs, so
that a citation is resolved without a table of all papers and without any text in a shuffle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa
import xxhash

from curation.records import Document, Pair, Reject
from curation.sources.raw import RawDocument
from curation.text import one_line


@dataclass(slots=True)
class Reference:
    """A paper under its own id (`citing_id` is ""), or the title of one that cites it."""

    id: str
    citing_id: str
    title: str
    text: str
    language: str
    source: str


REFERENCE = pa.schema(
    [
        ("id", pa.string()),
        ("citing_id", pa.string()),
        ("title", pa.string()),
        ("text", pa.string()),
        ("language", pa.string()),
        ("source", pa.string()),
    ]
)


def citing(raw: RawDocument, source: str) -> Iterator[Reference]:
    """Yield a row for each paper that a paper of a source cites, whatever becomes of itself."""
    title = one_line(raw.title)
    for cited_id in raw.cites:
        yield Reference(cited_id, raw.id, title, "", raw.language or "", source)


def cited(document: Document) -> Reference:
    """Return the row of a paper that is kept."""
    return Reference(
        document.id, "", document.title, document.text, document.language, document.source
    )


def citation_pairs(rows: Iterable[Reference], limit: int) -> Iterator[Pair | Reject]:
    """Yield pairs (title of the citing paper, title and abstract of the cited) of rows by id.

    A paper that is cited more often than `limit` keeps so many citations, chosen by a hash of
    both ids; the rest of them, and citations of papers that are not there, are one reject a paper.
    """
    for identity, group in groupby(rows, key=lambda row: row.id):
        items = list(group)
        paper = next((row for row in items if not row.citing_id), None)
        by_paper = {row.citing_id: row for row in items if row.citing_id}
        chosen = sorted(by_paper, key=lambda name: _draw(identity, name))
        if paper is None:
            yield _reject("cited_paper_absent", items[0], len(by_paper))
            continue
        for name in chosen[:limit]:
            yield _pair(by_paper[name], paper)
        if len(chosen) > limit:
            yield _reject("cited_too_often", paper, len(chosen) - limit)


def _draw(cited: str, citing: str) -> tuple[int, str]:
    """Return what orders the citations of a paper: a hash, so that no source comes first."""
    return xxhash.xxh3_64_intdigest(f"{cited}\0{citing}".encode("utf-8", "replace")), citing


def _pair(row: Reference, paper: Reference) -> Pair:
    return Pair(
        query=row.title,
        positive=f"{paper.title}\n{paper.text}",
        relation="citation",
        query_language=row.language or paper.language,
        language=paper.language,
        source=paper.source,
        query_document_id=row.citing_id,
        document_id=paper.id,
    )


def _reject(reason: str, row: Reference, count: int) -> Reject:
    identity = f"{row.id}#citation"
    return Reject(identity, "pairs", reason, row.source, row.language, str(count))
