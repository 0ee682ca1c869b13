"""Which paper cites which → citation pairs, when a paper and its citations have met.

A paper leaves one row under its own id, with its text, and one under the id of each paper that
it cites, with its title. Rows of one id lie side by side in sorted runs, so that a citation is
resolved without a table of all papers and without any text in a shuffle.
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


def references(raw: RawDocument, record: Document | Reject) -> Iterator[Reference]:
    """Yield the rows that a paper leaves: its own, then one for each paper that it cites.

    A paper that was rejected for want of an abstract cites all the same; any other reject is
    not there.
    """
    if isinstance(record, Document):
        title, text = record.title, record.text
    elif record.reason == "missing_abstract":
        title, text = one_line(raw.title), ""
    else:
        return
    yield Reference(raw.id, "", title, text, record.language, record.source)
    for cited in raw.cites:
        yield Reference(cited, raw.id, title, "", record.language, record.source)


def citation_pairs(rows: Iterable[Reference], limit: int) -> Iterator[Pair | Reject]:
    """Yield pairs (title of the citing paper, title and abstract of the cited) of rows by id.

    A paper that is cited more often than `limit` keeps so many citations, chosen by a hash of
    both ids; the rest of them, and those of papers without abstract or not there, are one reject
    a paper.
    """
    for identity, group in groupby(rows, key=lambda row: row.id):
        items = list(group)
        paper = next((row for row in items if not row.citing_id), None)
        citing = {row.citing_id: row for row in items if row.citing_id}
        chosen = sorted(citing, key=lambda name: _draw(identity, name))
        if paper is None or not paper.text:
            reason = "cited_without_abstract" if paper else "cited_paper_absent"
            if citing:
                yield _reject(reason, items[0], len(citing))
            continue
        for name in chosen[:limit]:
            yield _pair(citing[name], paper)
        if len(chosen) > limit:
            yield _reject("cited_too_often", paper, len(chosen) - limit)


def _draw(cited: str, citing: str) -> tuple[int, str]:
    """Return what orders the citations of a paper: a hash, so that no source comes first."""
    return xxhash.xxh3_64_intdigest(f"{cited}\0{citing}".encode("utf-8", "replace")), citing


def _pair(citing: Reference, paper: Reference) -> Pair:
    return Pair(
        query=citing.title,
        positive=f"{paper.title}\n{paper.text}",
        relation="citation",
        query_language=citing.language or paper.language,
        language=paper.language,
        source=paper.source,
        query_document_id=citing.citing_id,
        document_id=paper.id,
    )


def _reject(reason: str, row: Reference, count: int) -> Reject:
    identity = f"{row.id}#citation"
    return Reject(identity, "pairs", reason, row.source, row.language, str(count))
