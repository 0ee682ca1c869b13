"""Scientific papers (S2ORC, Semantic Scholar) → documents with the papers they cite.

Layouts, one JSON object a line:

- metadata of the first releases: `paper_id, title, abstract, year, outbound_citations`
- `s2orc`: `corpusid, content: {text, annotations}`; spans of title, abstract, bibliography
- `s2orc_v2`: `corpusid, title, body: {text, annotations}, bibliography: {annotations}`
- records of the graph API: `corpusId, title, abstract, references: [{corpusId}]`

A paper without an abstract has no section and gives no pair of its own, but what it cites counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

from curation.records import Reject
from curation.sources.lines import read_rows
from curation.sources.raw import RawDocument, RawSection
from curation.text import one_line

_MAX_CITATIONS = 2000  # of one paper; surveys cite some hundred


def read_papers(
    stream: IO[bytes], source: str, declared: str | None
) -> Iterator[RawDocument | Reject]:
    """Yield a document per paper: its text is its abstract, `cites` the ids of its references."""
    for paper in read_rows(stream, _parsed, source, declared):
        yield paper if isinstance(paper, Reject) else _document(paper, source, declared)


def _parsed(line: bytes | None) -> dict[str, Any] | str:
    if line is None:
        return "line_too_long"
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return "malformed_json"
    if not isinstance(row, dict):
        return "not_an_object"
    return row if _paper_id(row) else "missing_paper_id"


def _document(paper: dict[str, Any], source: str, declared: str | None) -> RawDocument | Reject:
    identity = f"{source}:{_paper_id(paper)}"
    title, abstract = one_line(_title(paper)), _abstract(paper).strip()
    if not title:
        return Reject(identity, "extract", "missing_title", source, declared or "")
    cites = dict.fromkeys(f"{source}:{cited}" for cited in _cited(paper))
    cites.pop(identity, None)
    return RawDocument(
        id=identity,
        title=title,
        sections=[RawSection("", 0, abstract)] if abstract else [],
        abstract=abstract,
        url=_text(paper.get("s2_url") or paper.get("url")),
        date=_date(paper),
        language=declared,
        cites=list(cites)[:_MAX_CITATIONS],
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _paper_id(paper: dict[str, Any]) -> str:
    """Return the id under which papers cite each other, "" where there is none."""
    for name in ("corpusid", "corpusId", "paper_id", "paperId"):
        value = paper.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
            return str(value)[:100]
    return ""


def _title(paper: dict[str, Any]) -> str:
    return _text(paper.get("title")) or _annotated(_dict(paper.get("content")), "title")


def _abstract(paper: dict[str, Any]) -> str:
    if isinstance(paper.get("abstract"), str):
        return _text(paper["abstract"])
    whole = _dict(paper.get("content")) or _dict(paper.get("body"))
    return _annotated(whole, "abstract")


def _date(paper: dict[str, Any]) -> str:
    date = _text(paper.get("publicationdate") or paper.get("publicationDate"))
    year = paper.get("year")
    return date[:10] or (str(year) if isinstance(year, int) and 0 < year < 10_000 else "")


def _annotated(text: dict[str, Any], kind: str) -> str:
    """Return the stretches of `text` that its annotations mark as `kind`, a paragraph each."""
    whole = _text(text.get("text"))
    spans = ((_offset(s, "start"), _offset(s, "end")) for s in _annotations(text, kind))
    return "\n".join(whole[start:end].strip() for start, end in spans if 0 <= start < end)


def _offset(span: dict[str, Any], name: str) -> int:
    """Return an offset, which some releases write as text; -1 for what is none."""
    value = span.get(name)
    if isinstance(value, str) and value.isdecimal() and len(value) < 12:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _annotations(text: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the annotations of a kind: a list, or one that is JSON inside the JSON."""
    found = _dict(text.get("annotations")).get(kind)
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            return []
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _cited(paper: dict[str, Any]) -> Iterator[str]:
    """Yield the ids of the papers cited, where the reference is resolved."""
    outbound = paper.get("outbound_citations")
    for cited in outbound if isinstance(outbound, list) else []:
        if isinstance(cited, str | int):
            yield str(cited)
    references = paper.get("references")
    for reference in references if isinstance(references, list) else []:
        yield from filter(None, [_paper_id(_dict(reference))])
    for part, kind in (
        ("content", "bibentry"),
        ("content", "bib_entry"),
        ("bibliography", "bib_entry"),
    ):
        for entry in _annotations(_dict(paper.get(part)), kind):
            matched = _dict(entry.get("attributes")).get("matched_paper_id")
            if isinstance(matched, str | int):
                yield str(matched)
