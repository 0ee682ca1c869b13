"""Queries, a corpus and judgements in files of their own → labelled queries.

BEIR folders (JSON lines and a TSV with a header), MS MARCO (TSV and TREC judgements), Mr. TyDi and
MIRACL (TSV topics, JSON lines, TREC judgements): each file tells its own layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from curation.records import Reject
from curation.sources.joins import BLOCK, blocks
from curation.sources.labelled_rows import MalformedError, Row, json_object, titled_text
from curation.sources.lines import read_lines
from curation.sources.opener import Opener
from curation.sources.raw import Passage, RawLabelled

_IDS = ("_id", "id", "docid", "query_id", "qid", "pid")
_TEXTS = ("text", "contents", "query", "title", "question")


@dataclass(frozen=True, slots=True)
class Judged:
    """The files of a judged collection."""

    judgements: str
    queries: tuple[str, ...]
    corpus: tuple[str, ...]
    source: str

    def reject(self, name: object, reason: str, value: str = "") -> Reject:
        """Return a reject of one of its records."""
        return Reject(f"{self.source}:{name}", "extract", reason, self.source, value=value)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One line of the judgements: whether a document answers a query."""

    query: str
    document: str
    answers: bool


def read_judged(
    opener: Opener, judged: Judged, block: int = BLOCK
) -> Iterator[RawLabelled | Reject]:
    """Yield a labelled query per query id of a block of judgements.

    A relevance above 0 makes a positive, 0 or less a negative. Queries and corpus are read
    once for every `block` judgements, and only what these name is held. A query whose judgements
    lie in two blocks comes twice; queries of one text are merged later anyway.
    """
    with opener.open(judged.judgements) as stream:
        for number, listed in enumerate(blocks(_judgements(stream, judged), block)):
            yield from (item for item in listed if isinstance(item, Reject))
            found = [item for item in listed if isinstance(item, Judgement)]
            first = number == 0  # a damaged line is met in every reading, and counted once
            queries: dict[str, str] = {}
            yield from _collect(
                opener, judged, judged.queries, {j.query for j in found}, queries, first
            )
            texts: dict[str, str] = {}
            yield from _collect(
                opener, judged, judged.corpus, {j.document for j in found}, texts, first
            )
            yield from _labelled(found, queries, texts, judged)


def _judgements(stream: IO[bytes], judged: Judged) -> Iterator[Judgement | Reject]:
    """Read `query document relevance` (BEIR) or `query iteration document relevance` (TREC)."""
    for number, line in enumerate(read_lines(stream)):
        cells = (line or b"").decode("utf-8", "replace").split()
        if not cells and line is not None:
            continue
        if number == 0 and cells and not _is_number(cells[-1]):
            continue  # a header
        if len(cells) not in (3, 4) or not _is_number(cells[-1]):
            yield judged.reject(f"judgement-{number}", "malformed_judgement", " ".join(cells)[:200])
            continue
        yield Judgement(cells[0], cells[-2], float(cells[-1]) > 0)


def _is_number(cell: str) -> bool:
    return cell.lstrip("+-").replace(".", "", 1).isdecimal()


def read_corpus(opener: Opener, paths: tuple[str, ...]) -> Iterator[Passage]:
    """Yield every passage of the files of a corpus; lines that are none are passed over."""
    for path in paths:
        with opener.open(path) as stream:
            for line in read_lines(stream):
                if line == b"":
                    continue
                try:
                    identity, text = _identified(line, None)
                except MalformedError:  # `read_judged` has counted it
                    continue
                yield Passage(text, identity)


def _collect(
    opener: Opener,
    judged: Judged,
    paths: tuple[str, ...],
    needed: set[str],
    found: dict[str, str],
    count: bool,
) -> Iterator[Reject]:
    """Put the texts of the needed ids into `found`; yield rejects if they are to be counted."""
    for path in paths:
        name = path.rsplit("/", 1)[-1]
        with opener.open(path) as stream:
            for number, line in enumerate(read_lines(stream)):
                if line == b"":
                    continue
                try:
                    identity, text = _identified(line, needed)
                except MalformedError as error:
                    if count:
                        yield judged.reject(f"{name}:line-{number}", str(error))
                    continue
                if identity in needed:
                    found[identity] = text


def _identified(line: bytes | None, needed: set[str] | None) -> tuple[str, str]:
    """Return the id and the text of a line: a JSON object, or `id TAB [title TAB] text`.

    The text is left out where the id is not `needed`; None needs all.
    """
    if line is not None and not line.startswith(b"{"):
        head, tab, rest = line.partition(b"\t")
        if not tab:
            raise MalformedError("missing_columns")
        identity = head.decode("utf-8", "replace").strip()
        if needed is not None and identity not in needed:
            return identity, ""
        return identity, rest.decode("utf-8", "replace").replace("\t", "\n")
    row = json_object(line)
    identity = next((str(row[name]) for name in _IDS if name in row), "")
    if not identity:
        raise MalformedError("missing_id")
    return identity, _text(row) if needed is None or identity in needed else ""


def _text(row: Row) -> str:
    if isinstance(row.get("text"), str):
        return titled_text(row)
    for name in _TEXTS:
        if isinstance(row.get(name), str):
            return str(row[name])
    raise MalformedError("missing_text")


def _labelled(
    found: list[Judgement], queries: dict[str, str], texts: dict[str, str], judged: Judged
) -> Iterator[RawLabelled | Reject]:
    by_query: dict[str, tuple[list[Passage], list[Passage]]] = {}
    for item in found:
        if item.document not in texts:
            yield judged.reject(f"{item.query} {item.document}", "missing_document")
            continue
        sides = by_query.setdefault(item.query, ([], []))
        passage = Passage(texts[item.document], item.document)
        sides[0 if item.answers else 1].append(passage)
    for query, (positives, negatives) in by_query.items():
        if query not in queries:
            yield judged.reject(query, "missing_query")
            continue
        yield RawLabelled(f"{judged.source}:{query}", queries[query], positives, negatives)
